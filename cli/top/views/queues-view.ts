// The queues: how much waits, by priority, for how long, how fast it moves, and which are paused.
import type { ReactElement } from "react";
import type { Queue, QueueLane } from "../../../gen/mycel/v1/queue_pb.ts";
import { Priority } from "../../../gen/mycel/v1/task_pb.ts";
import { msFromTimestamp } from "../../../lib/wire/time-codec.ts";
import { harmless } from "../../output/terminal.ts";
import { ageText, countText, rateText } from "../draw/figures.ts";
import { table, type TableColumn } from "../draw/table.ts";
import type { PanelContent } from "./panel-content.ts";
import type { View } from "./view.ts";

const LANES: readonly (readonly [head: string, priority: Priority])[] = [
  ["CRIT", Priority.CRITICAL],
  ["HIGH", Priority.HIGH],
  ["NORM", Priority.NORMAL],
  ["LOW", Priority.LOW],
];
const LONG_MS = 60_000;

/** The queues' panel. */
export const queuesContent: PanelContent = {
  title: "Queues",
  aside({ snapshot }) {
    const queues = snapshot.queues.value ?? [];
    const paused = queues.filter(({ pause }) => pause !== undefined).length;
    const sum = (of: (queue: Queue) => bigint): string =>
      countText(queues.reduce((total, queue) => total + Number(of(queue)), 0));
    const pauses = paused === 0 ? "" : `, ${paused} paused`;
    if (queues.length === 0) return "";
    return `${queues.length}, ${sum(({ waitingCount }) => waitingCount)} waiting, ${sum(({ inFlightCount }) => inFlightCount)} in flight${pauses}`;
  },
  told: ({ snapshot }) => snapshot.queues,
  count: ({ snapshot }) => snapshot.queues.value?.length ?? 0,
  body: (view, room): ReactElement =>
    table({ ...room, columns: columnsFor(view), rows: view.snapshot.queues.value ?? [], none: "there is none yet" }),
};

function columnsFor({ nowMs }: View): TableColumn<Queue>[] {
  const waitsMs = ({ oldestCreateTime }: Queue): number => nowMs - (msFromTimestamp(oldestCreateTime) ?? nowMs);
  const dash = (count: bigint | undefined): string =>
    count === undefined || count === 0n ? "·" : countText(Number(count));
  return [
    {
      head: "QUEUE",
      text: ({ name }) => harmless(name),
      tone: ({ pause }) => (pause === undefined ? "plain" : "warn"),
      least: 14,
      most: 40,
    },
    { head: "WAITING", text: ({ waitingCount }) => countText(Number(waitingCount)), tone: () => "bold", right: true },
    ...LANES.map(([head, priority]): TableColumn<Queue> => ({
      head,
      text: ({ lanes }) => dash(lanes.find((lane) => lane.priority === priority)?.waitingCount),
      tone: () => "dim",
      right: true,
      spare: 2,
    })),
    {
      head: "OLDEST",
      text: (queue) => (queue.oldestCreateTime === undefined ? "–" : ageText(waitsMs(queue))),
      tone: (queue) => (waitsMs(queue) > LONG_MS ? "warn" : "plain"),
      right: true,
    },
    { head: "FLIGHT", text: ({ inFlightCount }) => countText(Number(inFlightCount)), right: true, spare: 3 },
    { head: "IN/s", text: ({ rates }) => ratesText(rates?.addedPerSecond), right: true },
    { head: "OUT/s", text: ({ rates }) => ratesText(rates?.finishedPerSecond), right: true },
    { head: "AGENTS", text: ({ agentCount }) => String(agentCount), tone: agentsTone, right: true, spare: 4 },
    { head: "", text: (queue) => noteOf(queue, nowMs), tone: () => "warn", least: 8, grows: true, spare: 1 },
  ];
}

/** What should be known of a queue; empty if nothing. */
export function noteOf({ pause, agentCount, waitingCount }: Queue, nowMs: number): string {
  if (pause === undefined) return agentCount === 0 && waitingCount > 0n ? "nobody pulls from it" : "";
  const untilMs = msFromTimestamp(pause.untilTime);
  const since = ageText(nowMs - (msFromTimestamp(pause.pauseTime) ?? nowMs));
  const until = untilMs === undefined ? "" : `, ${ageText(Math.max(0, untilMs - nowMs))} to go`;
  return harmless(`paused ${since}${until}${pause.reason === "" ? "" : `: ${pause.reason}`}`);
}

function ratesText(perSecond: number | undefined): string {
  return perSecond === undefined ? "–" : rateText(perSecond);
}

function agentsTone({ agentCount, waitingCount }: Queue): "warn" | "plain" {
  return agentCount === 0 && waitingCount > 0n ? "warn" : "plain";
}

/** The word and the lane of each priority, highest first. */
export function lanesOf({ lanes }: Queue): readonly (readonly [head: string, lane: QueueLane])[] {
  return LANES.flatMap(([head, priority]) => {
    const lane = lanes.find((each) => each.priority === priority);
    return lane === undefined ? [] : [[head, lane] as const];
  });
}
