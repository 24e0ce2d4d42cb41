// Times of running streams: a line that stays on the screen says when, not how long ago, which would be wrong a second later.
import type { Terminal } from "./terminal.ts";

/** For a person the time of day to the millisecond, otherwise ISO 8601. Empty for an unset one. */
export function clockTime(terminal: Terminal, date: Date | undefined): string {
  if (date === undefined) return "";
  if (!terminal.isTerminal) return date.toISOString();
  const milliseconds = String(date.getMilliseconds()).padStart(3, "0");
  return `${date.toLocaleTimeString("en-GB", { hour12: false })}.${milliseconds}`;
}
