// One whole frame: the head, what is looked at, the foot. Never larger than the terminal.
import { createElement as h, type ReactElement } from "react";
import { Box } from "ink";
import { line } from "../draw/words.ts";
import { SMALLEST, type Size } from "../state/layout.ts";
import { screenOf } from "../state/model.ts";
import { agentScreen } from "./agent-screen.ts";
import { callsView } from "./calls-view.ts";
import { footerView } from "./footer-view.ts";
import { headerView, HEADER_HEIGHT } from "./header-view.ts";
import { helpView } from "./help-view.ts";
import { overview } from "./overview.ts";
import { queueScreen } from "./queue-screen.ts";
import { taskScreen } from "./task-screen.ts";
import type { View } from "./view.ts";

const FOOTER_HEIGHT = 1;

/** Draws a frame. */
export function frame(view: View): ReactElement {
  const { columns, rows } = view.size;
  const all = { flexDirection: "column", width: columns, height: rows, overflow: "hidden" } as const;
  if (columns < SMALLEST.columns || rows < SMALLEST.rows) {
    return h(Box, all, line(`At least ${SMALLEST.columns} × ${SMALLEST.rows} characters, please.`));
  }
  const room = { columns, rows: rows - HEADER_HEIGHT - FOOTER_HEIGHT };
  return h(
    Box,
    all,
    headerView(view),
    h(Box, { width: columns, height: room.rows, flexShrink: 0, overflow: "hidden" }, bodyOf(view, room)),
    h(Box, { width: columns, height: FOOTER_HEIGHT, flexShrink: 0 }, footerView(view)),
  );
}

function bodyOf(view: View, room: Size): ReactElement {
  if (view.model.overlay === "help") return helpView(room);
  if (view.model.overlay === "calls") return callsView(view.calls, room);
  const screen = screenOf(view.model);
  switch (screen.kind) {
    case "overview":
      return overview(view, room);
    case "agent":
      return agentScreen(view, screen.agentId, room);
    case "queue":
      return queueScreen(view, screen.queue, room);
    case "task":
      return taskScreen(view, screen.taskId, room);
  }
}
