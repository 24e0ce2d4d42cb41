// Readers that wait: what thousands of StreamResults of tasks that nobody works on cost one coordinator.

import { setTimeout as sleep } from "node:timers/promises";
import { inFlight } from "../support/in-flight.ts";
import { BenchError } from "../support/bench-error.ts";
import { idleCpuShares } from "./cpu-share.ts";
import { type Figure, type ScaleOptions, type ScaleScenario, TARGET_FIGURES } from "./figure.ts";
import { type Memory, MemoryProbe, PROBED, rssBytes } from "./measure-memory.ts";
import { TYPES } from "./mesh/agents.ts";
import { openBroker } from "./mesh/broker.ts";
import { type Connection, openCoordinator, type TasksClient } from "./mesh/coordinator.ts";
import { submitBulk } from "./submit-bulk.ts";

/** How much to do. */
export interface IdleStreamsSizes {
  readonly streams: number;
  /** How many streams share a connection. A coordinator allows 1,000. */
  readonly perConnection: number;
  /** How long the idle streams are watched: two rounds of keep-alives if long enough. */
  readonly idleMs: number;
}

const FULL: IdleStreamsSizes = { streams: 10_000, perConnection: 500, idleMs: 30_000 };
const QUICK: IdleStreamsSizes = { streams: 200, perConnection: 100, idleMs: 500 };
/** The share of the streams that are open already when the others are measured. */
const OPEN_BEFORE = 0.2;
const OPENING_AT_ONCE = 64;
const PREFIX = "idle";
/** What was opened and closed is let go of a moment later. */
const CLOSED_MS = 2_000;
const KIB = 1_024;

/** The whole measurement. */
export const IDLE_STREAMS: ScaleScenario = {
  id: "idle-streams",
  title: "Idle StreamResults",
  measure: (options) => measureIdleStreams(options, options.quick ? QUICK : FULL),
};

/** One coordinator, one task for each stream, several connections. */
export async function measureIdleStreams(options: ScaleOptions, sizes: IdleStreamsSizes): Promise<readonly Figure[]> {
  const { streams, perConnection, idleMs } = sizes;
  await using broker = await openBroker(options);
  const probe = new MemoryProbe();
  const { onMessage } = probe;
  await using coordinator = await openCoordinator({ ...options, broker, nodeArgs: PROBED, onMessage });
  await submitBulk({ coordinators: [coordinator], prefix: PREFIX, type: TYPES.parked, count: streams });
  await coordinator.settle();
  // What the first streams bring about once is not a stream's: V8's young generation grows to its full size under their garbage, and stays
  // so. They stay open: what they gave back would be used again by the others, as if those were free.
  const first = Math.round(streams * OPEN_BEFORE);
  const measured = streams - first;
  const connect = (): Connection => coordinator.connect();
  const firstReaders = await openReaders(connect, { from: 0, count: first, perConnection });

  const before = await probe.look(coordinator.process);
  const brokerBefore = await rssBytes(broker.pid);
  const startMs = performance.now();
  const readers = await openReaders(connect, { from: first, count: measured, perConnection });
  const openedMs = performance.now() - startMs;
  options.onProgress(`idle-streams: ${streams} are open`);
  const open = await probe.look(coordinator.process);
  const brokerOpen = await rssBytes(broker.pid);
  const pids = { coordinator: coordinator.process.pid, broker: broker.pid };
  const idle = await idleCpuShares(pids, idleMs);
  const later = await probe.look(coordinator.process);
  const ended = firstReaders.ended() + readers.ended();
  if (ended > 0) throw new BenchError(`${ended} of ${streams} idle streams ended`);
  for (const some of [firstReaders, readers]) some.close();
  await sleep(CLOSED_MS);
  const closed = await probe.look(coordinator.process);

  const each = (field: keyof Memory): number => (Math.max(open[field], later[field]) - before[field]) / measured / KIB;
  const mib = (field: keyof Memory): string =>
    [before, open, later, closed].map((memory) => (memory[field] / KIB / KIB).toFixed(0)).join(" → ");
  const when = `${first} open → ${streams} open → idle for ${idleMs / 1_000} s → closed`;
  return [
    {
      id: TARGET_FIGURES.idleStream,
      title: "memory of one idle StreamResults on the coordinator",
      value: each("rssBytes"),
      unit: "KiB",
      detail: `resident, all of it: ${mib("rssBytes")} MiB (${when}); ${perConnection} streams a connection`,
    },
    {
      id: "idle-streams.heap",
      title: "of which heap, after garbage collection",
      value: each("ownBytes"),
      unit: "KiB",
      detail: `${mib("ownBytes")} MiB (${when})`,
    },
    {
      id: "idle-streams.broker",
      title: "memory of one idle StreamResults on the broker",
      value: (brokerOpen - brokerBefore) / measured / KIB,
      unit: "KiB",
      detail: "resident, garbage included",
    },
    {
      id: "idle-streams.cpu",
      title: `processor time of the coordinator while ${streams} streams idle`,
      value: idle["coordinator"] ?? Number.NaN,
      unit: "%",
      detail: `of one core over ${idleMs / 1_000} s, keep-alives included; broker ${(idle["broker"] ?? 0).toFixed(1)} %`,
    },
    {
      id: "idle-streams.open",
      title: "opening StreamResults, until the snapshot is there",
      value: (measured * 1_000) / openedMs,
      unit: "streams/s",
      detail: `${OPENING_AT_ONCE} at once, over ${Math.ceil(measured / perConnection)} connections`,
    },
  ];
}

interface Readers {
  /** How many streams have ended by themselves. */
  ended(): number;
  close(): void;
}

interface Share {
  readonly from: number;
  readonly count: number;
  readonly perConnection: number;
}

async function openReaders(connect: () => Connection, { from, count, perConnection }: Share): Promise<Readers> {
  const connections = Array.from({ length: Math.ceil(count / perConnection) }, connect);
  let ended = 0;
  let closed = false;
  await inFlight(count, OPENING_AT_ONCE, async (i) => {
    const tasks = connections[i % connections.length]?.tasks;
    if (tasks === undefined) return;
    await openReader(tasks, `${PREFIX}-${from + i}`, () => {
      if (!closed) ended += 1;
    });
  });
  return {
    ended: () => ended,
    close: () => {
      closed = true;
      for (const connection of connections) connection[Symbol.dispose]();
    },
  };
}

/** Resolves when the stream has sent its snapshot, and reads on until it ends. */
async function openReader(tasks: TasksClient, taskId: string, onEnd: () => void): Promise<void> {
  const messages = tasks.streamResults({ taskId })[Symbol.asyncIterator]();
  const { value } = await messages.next();
  if (value?.kind.case !== "snapshot") throw new BenchError(`the results of ${taskId} do not begin with a snapshot`);
  const read = async (): Promise<void> => {
    while ((await messages.next()).done !== true);
  };
  void read().then(onEnd, onEnd);
}
