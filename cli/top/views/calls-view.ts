// The grpcurl calls that tell what a screen shows, to be copied: no frame, and lines that a shell puts together again.
import { createElement as h, type ReactElement } from "react";
import { Box, Text } from "ink";
import { line } from "../draw/words.ts";
import type { Size } from "../state/layout.ts";

const INDENT = "  ";

/** Draws the calls. */
export function callsView(calls: readonly string[], room: Size): ReactElement {
  const lines = calls.flatMap((call) => [...folded(call, room.columns), ""]);
  return h(
    Box,
    { flexDirection: "column", width: room.columns, height: room.rows, overflow: "hidden" },
    line(["title", "grpcurl"], ["dim", calls.length === 0 ? "  nothing is asked here" : "  the same as this screen"]),
    line(""),
    ...lines.map((text, key) => h(Box, { key, height: 1, flexShrink: 0 }, h(Text, { wrap: "hard" }, text))),
  );
}

/** A command over several lines of a width; what is quoted is only broken where it must be. */
export function folded(call: string, width: number): string[] {
  const words = call.match(/(?:'[^']*'|\\.|[^\s'\\])+/g) ?? [call];
  const lines: string[] = [];
  for (const word of words) {
    const last = lines.at(-1);
    if (last === undefined) lines.push(word);
    else if (last.length + 1 + word.length + 2 <= width) lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(`${INDENT}${word}`);
  }
  return lines
    .map((text, at) => (at === lines.length - 1 ? text : `${text} \\`))
    .flatMap((text) => broken(text, width));
}

function broken(text: string, width: number): string[] {
  return Array.from({ length: Math.max(1, Math.ceil(text.length / width)) }, (_, at) =>
    text.slice(at * width, (at + 1) * width),
  );
}
