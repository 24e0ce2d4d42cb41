// Reads when a server wants to be asked again. Pure.

/**
 * The wait that a `Retry-After` header asks for, in milliseconds as of `nowMs`: 0 or more, for seconds and for a date; undefined for
 * none, or one that cannot be read.
 */
export function readRetryAfter(value: string | undefined, nowMs: number): number | undefined {
  const text = value?.trim() ?? "";
  if (/^\d{1,9}$/.test(text)) return Number(text) * 1_000;
  // Date.parse reads much that is no date of HTTP; all of those begin with the name of a day.
  const time = /^(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]*,? /.test(text) ? Date.parse(text) : NaN;
  return Number.isNaN(time) ? undefined : Math.max(0, time - nowMs);
}
