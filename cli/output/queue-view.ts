// Queues as a person wants to see them: a line each, or one by priority.
import type { Queue, QueueLane, QueuePause } from "../../gen/mycel/v1/queue_pb.ts";
import { type Column, renderTable } from "./table.ts";
import { dateOf, priorityWord } from "./task-view.ts";
import { harmless, type Terminal } from "./terminal.ts";

/** All queues, a line each. */
export function queueTable(out: Terminal, queues: readonly Queue[]): string {
  const columns: Column<Queue>[] = [
    { head: "QUEUE", value: ({ name }) => name, minimum: 12 },
    {
      head: "STATE",
      value: ({ pause }) => (pause === undefined ? "open" : "paused"),
      paint: (text, { pause }) => (pause === undefined ? text : out.colors.yellow(text)),
    },
    ...counts<Queue>(out),
    {
      head: "AGENTS",
      value: ({ agentCount }) => String(agentCount).padStart(6),
      paint: (text, { agentCount, waitingCount }) =>
        agentCount === 0 && waitingCount > 0n ? out.colors.red(text) : text,
    },
    { head: "BUSY", value: ({ runningCount, slotCount }) => `${runningCount}/${slotCount}` },
  ];
  return renderTable(out, columns, queues);
}

/** The lanes of a queue, a line for each priority. */
export function laneTable(out: Terminal, { lanes }: Queue): string {
  const columns: Column<QueueLane>[] = [
    { head: "PRIORITY", value: ({ priority }) => priorityWord(priority) },
    ...counts<QueueLane>(out),
  ];
  return renderTable(out, columns, lanes);
}

/** What there is to say of a queue beside its lanes. */
export function queueFacts(out: Terminal, queue: Queue): [name: string, value: string][] {
  const { name, pause, agentCount, agentIds, slotCount, runningCount } = queue;
  const more = agentCount > agentIds.length ? `, and ${agentCount - agentIds.length} more` : "";
  return [
    ["queue", harmless(name)],
    ["state", pause === undefined ? "open" : out.colors.yellow("paused")],
    ...(pause === undefined ? [] : pauseFacts(out, pause)),
    ["waiting", String(queue.waitingCount)],
    ["in flight", String(queue.inFlightCount)],
    ["oldest", out.time(dateOf(queue.oldestCreateTime))],
    ["agents", agentCount === 0 ? "none" : `${agentIds.map(harmless).join(", ")}${more}`],
    ["busy", `${runningCount}/${slotCount}`],
  ];
}

function pauseFacts(out: Terminal, { pauseTime, untilTime, reason }: QueuePause): [name: string, value: string][] {
  return [
    ["since", out.time(dateOf(pauseTime))],
    ["until", untilTime === undefined ? "it is resumed" : out.time(dateOf(untilTime))],
    ["reason", harmless(reason)],
  ];
}

function counts<Row extends Queue | QueueLane>(out: Terminal): Column<Row>[] {
  return [
    { head: "WAITING", value: ({ waitingCount }) => String(waitingCount).padStart(7) },
    { head: "IN FLIGHT", value: ({ inFlightCount }) => String(inFlightCount).padStart(9) },
    { head: "OLDEST", value: ({ oldestCreateTime }) => out.time(dateOf(oldestCreateTime)) },
    { head: "IN/S", value: ({ rates }) => rate(rates?.addedPerSecond).padStart(4) },
    { head: "OUT/S", value: ({ rates }) => rate(rates?.finishedPerSecond).padStart(5) },
  ];
}

/** A rate with as many digits as it is worth; a dash where none is known. */
function rate(perSecond: number | undefined): string {
  if (perSecond === undefined) return "-";
  return perSecond === 0 || perSecond >= 10 ? perSecond.toFixed(0) : perSecond.toPrecision(2);
}
