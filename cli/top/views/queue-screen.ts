// One queue: how much waits in it by priority, who pulls from it, whether it is paused, and the tasks that wait.
import { createElement as h, type ReactElement } from "react";
import { Box } from "ink";
import type { Queue } from "../../../gen/mycel/v1/queue_pb.ts";
import { msFromTimestamp } from "../../../lib/wire/time-codec.ts";
import { harmless } from "../../output/terminal.ts";
import { UNTOLD } from "../data/snapshot.ts";
import { ageText, barText, countText, rateText } from "../draw/figures.ts";
import { panel } from "../draw/panel.ts";
import type { Size } from "../state/layout.ts";
import { type Fact, factLines, tasksPanel } from "./facts.ts";
import { lanesOf, noteOf } from "./queues-view.ts";
import type { View } from "./view.ts";

const BAR = 20;

/** Draws the screen of a queue. */
export function queueScreen(view: View, name: string, room: Size): ReactElement {
  const { detail, queues } = view.snapshot;
  // The list's entry stands in until the queue itself, with its agents' ids, was told.
  const queue = detail?.queue?.value ?? queues.value?.find((each) => each.name === name);
  const facts = queue === undefined ? [["state", "…"] satisfies Fact] : factsOf(queue, view.nowMs);
  const framed = room.rows >= 24;
  const factsHeight = facts.length + (framed ? 2 : 1);
  return h(
    Box,
    { flexDirection: "column", width: room.columns, height: room.rows },
    panel(
      { title: `Queue ${harmless(name)}`, focused: false, framed, width: room.columns, height: factsHeight },
      h(Box, { flexDirection: "column" }, ...factLines(facts, room.columns - (framed ? 4 : 0))),
    ),
    tasksPanel(view, "Waiting tasks", "none waits", detail?.tasks ?? UNTOLD, {
      columns: room.columns,
      rows: room.rows - factsHeight,
    }),
  );
}

function factsOf(queue: Queue, nowMs: number): Fact[] {
  const most = Math.max(1, ...queue.lanes.map(({ waitingCount }) => Number(waitingCount)));
  const note = noteOf(queue, nowMs);
  const rates =
    queue.rates === undefined
      ? ""
      : `, ${rateText(queue.rates.addedPerSecond)}/s in, ${rateText(queue.rates.finishedPerSecond)}/s out`;
  const ids = queue.agentIds.map(harmless).join(" ");
  return [
    [
      "state",
      note === "" ? ["good", "open"] : ["warn", note],
      [
        "dim",
        `   ${countText(Number(queue.waitingCount))} waiting, ${countText(Number(queue.inFlightCount))} in flight${rates}`,
      ],
    ],
    ...lanesOf(queue).map(([head, lane]): Fact => {
      const oldestMs = msFromTimestamp(lane.oldestCreateTime);
      const oldest = oldestMs === undefined ? "" : `   oldest ${ageText(nowMs - oldestMs)}`;
      return [
        head.toLowerCase(),
        ["accent", barText(Number(lane.waitingCount) / most, BAR)],
        ` ${countText(Number(lane.waitingCount)).padStart(5)} waiting ${countText(Number(lane.inFlightCount)).padStart(5)} in flight`,
        ["dim", oldest],
      ];
    }),
    ["agents", `${queue.agentCount}, running ${queue.runningCount} of ${queue.slotCount}`, ["dim", `   ${ids}`]],
  ];
}
