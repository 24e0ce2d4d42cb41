// What the command writes to, and how: colours only where they are wanted, widths, and text made harmless.
import { once } from "node:events";
import type { Writable } from "node:stream";
import { stripVTControlCharacters } from "node:util";
import picocolors from "picocolors";
import { formatDuration } from "../duration.ts";

/** A text stream with what is known about its reader. */
export interface Terminal {
  /** Whether a person reads it. */
  readonly isTerminal: boolean;
  /** How many columns there are; Infinity if nobody counts them. */
  readonly columns: number;
  /** Colours, or functions that change nothing. */
  readonly colors: ReturnType<typeof picocolors.createColors>;
  /** Writes a line, as fast as the reader takes it. */
  line(text?: string): Promise<void>;
  /** Writes bytes as they are. */
  bytes(data: Uint8Array): Promise<void>;
  /** A time: for a person how long ago it was or will be, otherwise ISO 8601. Empty for an unset one. */
  time(date: Date | undefined): string;
}

/** Describes an output stream. `noColor` is true when the user does not want colours. */
export function createTerminal(
  stream: Writable & { readonly isTTY?: boolean; readonly columns?: number },
  noColor: boolean,
): Terminal {
  const isTerminal = stream.isTTY === true;
  const write = async (data: string | Uint8Array): Promise<void> => {
    if (!stream.write(data)) await once(stream, "drain");
  };
  return {
    isTerminal,
    columns: isTerminal ? (stream.columns ?? 80) : Infinity,
    colors: picocolors.createColors(isTerminal && !noColor),
    line: (text = "") => write(`${text}\n`),
    bytes: write,
    time(date) {
      if (date === undefined) return "";
      return isTerminal ? relative(date.getTime() - Date.now()) : date.toISOString();
    },
  };
}

/** Text of others on one line, without what a terminal would obey. */
export function harmless(text: string): string {
  // oxlint-disable-next-line no-control-regex -- control characters are what is looked for
  return stripVTControlCharacters(text).replaceAll(/[\u0000-\u001f\u007f-\u009f]+/g, " ");
}

/** Text cut to a width, with an ellipsis. */
export function cut(text: string, width: number): string {
  return text.length <= width ? text : `${text.slice(0, Math.max(0, width - 1))}…`;
}

function relative(ms: number): string {
  if (Math.abs(ms) < 1000) return "just now";
  return ms > 0 ? `in ${formatDuration(ms)}` : `${formatDuration(-ms)} ago`;
}
