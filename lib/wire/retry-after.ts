// Reads `retry-after` as HTTP has it: whole seconds, or a date.

const SECONDS = /^\d{1,9}$/;

/** How long to wait from now, in milliseconds, never negative; undefined if the header is not there or says nothing. */
export function retryAfterMs(header: string | undefined, nowMs: number): number | undefined {
  const text = header?.trim() ?? "";
  if (SECONDS.test(text)) return Number(text) * 1_000;
  // Dates have letters; what is only a number is no date, whatever Date.parse makes of it.
  const dateMs = /[A-Za-z]/.test(text) ? Date.parse(text) : Number.NaN;
  return Number.isNaN(dateMs) ? undefined : Math.max(0, dateMs - nowMs);
}
