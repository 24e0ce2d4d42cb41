// When an attempt started, as far as its agent's clock can be believed.

/** What bounds an agent's word, in milliseconds since 1970 by the broker's clock. */
export interface StartBounds {
  /** When the dispatch was stored: nobody can have started before. */
  readonly storedMs: number;
  readonly nowMs: number;
}

/** The start of an attempt that is over, which its agent reports now; undefined if it says nothing. */
export function reportedStartMs(startMs: number | undefined, { storedMs, nowMs }: StartBounds): number | undefined {
  return startMs === undefined ? undefined : Math.min(nowMs, Math.max(startMs, storedMs));
}
