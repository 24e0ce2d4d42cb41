// One agent: who it is, what it can do, how busy it is, and the tasks that it runs.
import { createElement as h, type ReactElement } from "react";
import { Box } from "ink";
import { msFromTimestamp } from "../../../lib/wire/time-codec.ts";
import { harmless } from "../../output/terminal.ts";
import { UNTOLD } from "../data/snapshot.ts";
import { agoText, barText, percentText, rateText } from "../draw/figures.ts";
import { panel } from "../draw/panel.ts";
import type { Piece } from "../draw/words.ts";
import type { Size } from "../state/layout.ts";
import { type Fact, factLines, tasksPanel } from "./facts.ts";
import type { View } from "./view.ts";

const BAR = 20;

/** Draws the screen of an agent. */
export function agentScreen(view: View, agentId: string, room: Size): ReactElement {
  const facts = factsOf(view, agentId);
  const framed = room.rows >= 24;
  const factsHeight = facts.length + (framed ? 2 : 1);
  const tasks = view.snapshot.detail?.tasks ?? UNTOLD;
  return h(
    Box,
    { flexDirection: "column", width: room.columns, height: room.rows },
    panel(
      { title: `Agent ${harmless(agentId)}`, focused: false, framed, width: room.columns, height: factsHeight },
      h(Box, { flexDirection: "column" }, ...factLines(facts, room.columns - (framed ? 4 : 0))),
    ),
    tasksPanel(view, "Running tasks", "it runs none that lasts", tasks, {
      columns: room.columns,
      rows: room.rows - factsHeight,
    }),
  );
}

function factsOf({ snapshot, nowMs }: View, agentId: string): Fact[] {
  const found = snapshot.agents.value?.find(({ agent }) => agent.agentId === agentId);
  if (found === undefined) return [["state", ["bad", "is not registered any more"]]];
  const { agent, condition } = found;
  const ago = (ms: number | undefined): string => (ms === undefined ? "–" : agoText(nowMs - ms));
  const now = snapshot.pulse.value?.agents.find((each) => each.agentId === agentId)?.metrics;
  const done = snapshot.metrics.value?.agents.find((each) => each.agentId === agentId)?.metrics;
  const success: Piece = done?.successRate === undefined ? "" : `, ${percentText(done.successRate)} successful`;
  const labels = Object.entries(agent.labels).map(([key, value]) => `${key}=${value}`);
  const tone = condition === "active" ? "good" : condition === "lost" ? "bad" : "warn";
  return [
    ["name", harmless(`${agent.name} ${agent.version}`)],
    [
      "state",
      [tone, condition],
      [
        "dim",
        `   registered ${ago(msFromTimestamp(agent.registerTime))}, heard of ${ago(msFromTimestamp(agent.heartbeatTime))}`,
      ],
    ],
    [
      "load",
      ["accent", barText(agent.running / Math.max(1, agent.concurrency), BAR)],
      ` ${agent.running} of ${agent.concurrency} slots`,
    ],
    ...(done === undefined ? [] : [["work", `${rateText(now?.endRate ?? 0)}/s ended`, success] satisfies Fact]),
    [
      "can do",
      agent.capabilities
        .map(({ type, queue }) => harmless(queue === "" || queue === type ? type : `${type} (queue ${queue})`))
        .join(", "),
    ],
    ...(labels.length === 0 ? [] : [["labels", harmless(labels.join(" "))] satisfies Fact]),
  ];
}
