// What the keys do.
import { createElement as h, type ReactElement } from "react";
import { Box } from "ink";
import { panel } from "../draw/panel.ts";
import { line } from "../draw/words.ts";
import type { Size } from "../state/layout.ts";

const KEYS: readonly (readonly [key: string, text: string])[] = [
  ["Tab  ← →", "from panel to panel; the focused one gets the most room"],
  ["↑ ↓  j k", "choose a row; PgUp, PgDn, Home, End go further"],
  ["Enter", "an agent's running tasks, a queue's waiting tasks, a task's story"],
  ["", "in Durations: only this type, and all again"],
  ["Esc", "back"],
  ["/", "only some task types"],
  ["p", "hold the screen, and go on"],
  ["r", "submit a failed task again, as a new one"],
  ["c", "cancel a task that has not ended"],
  ["P", "pause a queue, or resume it"],
  ["g", "the grpcurl calls that tell what this screen shows"],
  ["q  Ctrl-C", "quit"],
];

/** Draws the help. */
export function helpView(room: Size): ReactElement {
  const lines = KEYS.map(([key, text], at) => h(Box, { key: at, height: 1 }, line(["key", key.padEnd(11)], text)));
  return panel(
    { title: "Keys", focused: true, framed: true, width: room.columns, height: room.rows },
    h(Box, { flexDirection: "column" }, ...lines),
  );
}
