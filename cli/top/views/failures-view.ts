// The tasks that failed for good, newest first: when, where, why.
import type { ReactElement } from "react";
import type { DeadLetter } from "../../../gen/mycel/v1/agent_service_pb.ts";
import { msFromTimestamp } from "../../../lib/wire/time-codec.ts";
import { harmless } from "../../output/terminal.ts";
import { LIMITS } from "../data/feed.ts";
import { ageText } from "../draw/figures.ts";
import { table, type TableColumn } from "../draw/table.ts";
import type { PanelContent } from "./panel-content.ts";
import type { View } from "./view.ts";

/** The panel of failures. */
export const failuresContent: PanelContent = {
  title: "Failures",
  aside({ snapshot }) {
    const count = snapshot.failures.value?.length ?? 0;
    if (count === 0) return "";
    return count === LIMITS.failures ? `the newest ${count}` : String(count);
  },
  told: ({ snapshot }) => snapshot.failures,
  count: ({ snapshot }) => snapshot.failures.value?.length ?? 0,
  body: (view, room): ReactElement =>
    table({ ...room, columns: columnsFor(view), rows: view.snapshot.failures.value ?? [], none: "none" }),
};

function columnsFor({ nowMs }: View): TableColumn<DeadLetter>[] {
  return [
    {
      head: "AGO",
      text: ({ task }) => ageText(nowMs - (msFromTimestamp(task?.status?.endTime) ?? nowMs)),
      right: true,
    },
    { head: "TYPE", text: ({ task }) => harmless(task?.type ?? ""), least: 6, most: 20 },
    {
      head: "TRY",
      text: ({ task }) => `${task?.status?.attempt ?? 0}/${task?.status?.maximumAttempts ?? 0}`,
      right: true,
    },
    {
      head: "REASON",
      text: ({ task }) => harmless(task?.status?.failure?.reason ?? ""),
      tone: ({ redrivenBy }) => (redrivenBy === "" ? "bad" : "dim"),
      least: 10,
      most: 30,
    },
    {
      head: "AGENT",
      text: ({ task }) => harmless(task?.status?.agentId ?? ""),
      least: 6,
      most: 24,
      tone: () => "dim",
      spare: 2,
    },
    {
      head: "MESSAGE",
      text: ({ task, redrivenBy }) =>
        harmless(`${redrivenBy === "" ? "" : `again as ${redrivenBy}; `}${task?.status?.failure?.message ?? ""}`),
      least: 10,
      most: 60,
      grows: true,
      spare: 1,
    },
    { head: "TASK", text: ({ task }) => task?.taskId ?? "", least: 12, most: 40, tone: () => "dim", spare: 3 },
  ];
}
