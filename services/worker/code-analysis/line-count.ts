// Counting and finding lines in a text. Pure.
import type { SourceLines, TextLines } from "./file-metrics.ts";

/** A stretch of a text by its offsets in UTF-16 code units, the end not included. */
export interface Span {
  readonly start: number;
  readonly end: number;
}

/** Lines of any text. */
export function textLines(text: string): TextLines {
  let blank = 0;
  let longest = 0;
  const lines = splitLines(text);
  for (const line of lines) {
    if (line.length > longest) longest = line.length;
    if (line.trim() === "") blank += 1;
  }
  return { total: lines.length, blank, longest };
}

/** Lines of a source text whose `comments` are known, in order and without overlap. */
export function sourceLines(text: string, comments: readonly Span[]): SourceLines {
  const { total, blank, longest } = textLines(text);
  // With every comment blanked out, the lines that became blank held nothing but comments.
  const withoutComments = textLines(blankOut(text, comments)).blank;
  return { total, code: total - withoutComments, comment: withoutComments - blank, blank, longest };
}

/** Number of lines in `bytes`, without decoding them; for one that is fed in pieces see `LineCounter`. */
export function countLines(bytes: Uint8Array): number {
  const counter = new LineCounter();
  counter.add(bytes);
  return counter.lines;
}

/** Counts the lines of a content that arrives in pieces. */
export class LineCounter {
  #newlines = 0;
  #lastByte = NEWLINE;

  add(bytes: Uint8Array): void {
    for (let at = bytes.indexOf(NEWLINE); at !== -1; at = bytes.indexOf(NEWLINE, at + 1)) this.#newlines += 1;
    this.#lastByte = bytes.at(-1) ?? this.#lastByte;
  }

  get lines(): number {
    return this.#lastByte === NEWLINE ? this.#newlines : this.#newlines + 1;
  }
}

/** Makes a function from an offset in `text` to its line and column, both from 1. */
export function placeFinder(text: string): (offset: number) => { readonly line: number; readonly column: number } {
  const starts = lineStarts(text);
  return (offset) => {
    const line = lineOf(starts, offset);
    return { line, column: offset - (starts[line - 1] ?? 0) + 1 };
  };
}

/** Makes a function from an offset in `text` to its line, from 1. */
export function lineFinder(text: string): (offset: number) => number {
  const starts = lineStarts(text);
  return (offset) => lineOf(starts, offset);
}

function lineStarts(text: string): readonly number[] {
  const starts = [0];
  for (let at = text.indexOf("\n"); at !== -1; at = text.indexOf("\n", at + 1)) starts.push(at + 1);
  return starts;
}

function lineOf(starts: readonly number[], offset: number): number {
  let low = 0;
  let high = starts.length;
  while (high - low > 1) {
    const middle = (low + high) >>> 1;
    if ((starts[middle] ?? 0) <= offset) low = middle;
    else high = middle;
  }
  return low + 1;
}

const NEWLINE = 10;

function splitLines(text: string): string[] {
  const lines = text.split(/\r?\n/);
  if (lines.at(-1) === "") lines.pop();
  return lines;
}

function blankOut(text: string, spans: readonly Span[]): string {
  const pieces: string[] = [];
  let at = 0;
  for (const { start, end } of spans) {
    pieces.push(text.slice(at, start), text.slice(start, end).replace(/[^\n]+/g, " "));
    at = end;
  }
  pieces.push(text.slice(at));
  return pieces.join("");
}
