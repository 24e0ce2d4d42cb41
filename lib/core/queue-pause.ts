// When a queue is paused, and what a further pause makes of the one that stands.

/** A pause of a queue, as it is kept. */
export interface QueuePause {
  /** Since when, in milliseconds since 1970. */
  readonly sinceMs: number;
  /** When it is over by itself, in milliseconds since 1970; undefined for a pause until somebody resumes. */
  readonly untilMs: number | undefined;
  /** Why, in somebody's words. */
  readonly reason: string;
}

/** Whether a queue with this pause, if any, is paused now: one that ended by itself may still be kept. */
export function isPaused(pause: QueuePause | undefined, nowMs: number): pause is QueuePause {
  return pause !== undefined && (pause.untilMs === undefined || nowMs < pause.untilMs);
}

/** The pause after somebody asked for one: it lasts since the one that stands, if that is not over. */
export function pausedAnew(
  standing: QueuePause | undefined,
  asked: Pick<QueuePause, "untilMs" | "reason">,
  nowMs: number,
): QueuePause {
  const { untilMs, reason } = asked;
  return { sinceMs: isPaused(standing, nowMs) ? standing.sinceMs : nowMs, untilMs, reason };
}
