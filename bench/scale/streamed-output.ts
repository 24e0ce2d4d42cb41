// Handlers that stream and readers that follow: whether every chunk gets through at a given rate, and how old it is when it arrives.

import { setTimeout as sleep } from "node:timers/promises";
import { createClient } from "../../sdk/client/index.ts";
import { ResultKind } from "../../gen/mycel/v1/agent_service_pb.ts";
import { BenchError } from "../support/bench-error.ts";
import { percentile } from "../support/statistics.ts";
import { cpuShares } from "./cpu-share.ts";
import type { Figure, ScaleOptions, ScaleScenario } from "./figure.ts";
import { openAgents, type StreamedOrder, TYPES } from "./mesh/agents.ts";
import { openBroker } from "./mesh/broker.ts";
import { ageMs, wallMs } from "./mesh/chunk.ts";
import { type Connection, openCoordinator, type TasksClient } from "./mesh/coordinator.ts";

/** How much to do. */
export interface StreamedOutputSizes {
  /** How many tasks stream at once, each to one reader. */
  readonly streams: number;
  /** How many chunks a second all of them give. */
  readonly perSecond: number;
  readonly seconds: number;
  /** How long the readers have to connect before the first chunk. */
  readonly leadMs: number;
}

const FULL: StreamedOutputSizes = { streams: 100, perSecond: 10_000, seconds: 20, leadMs: 3_000 };
const QUICK: StreamedOutputSizes = { streams: 5, perSecond: 100, seconds: 1, leadMs: 1_500 };
const CONNECTIONS = 4;
/** The first of the chunks find cold code, and are left out: this share of all. */
const WARM_UP_SHARE = 0.2;

/** The whole measurement. */
export const STREAMED_OUTPUT: ScaleScenario = {
  id: "streamed-output",
  title: "Streamed output",
  measure: (options) => measureStreamedOutput(options, options.quick ? QUICK : FULL),
};

/** One agent gives chunks of 200 bytes at a steady pace, which does not wait for readers. */
export async function measureStreamedOutput(
  options: ScaleOptions,
  sizes: StreamedOutputSizes,
): Promise<readonly Figure[]> {
  const { streams, perSecond, seconds, leadMs } = sizes;
  const chunks = Math.ceil((perSecond * seconds) / streams);
  const everyMs = (streams * 1_000) / perSecond;
  await using stack = new AsyncDisposableStack();
  const broker = stack.use(await openBroker(options));
  const coordinator = stack.use(await openCoordinator({ ...options, broker }));
  const types = [TYPES.streamed];
  const agent = stack.use(await openAgents({ ...options, coordinators: [coordinator], prefix: "agent", types }));
  const client = stack.use(createClient({ url: coordinator.url }));
  const connections: Connection[] = [];
  for (let i = 0; i < CONNECTIONS; i += 1) connections.push(stack.use(coordinator.connect()));
  const beginMs = wallMs() + leadMs;
  const pids = { coordinator: coordinator.process.pid, broker: broker.pid, agent: agent.pid, readers: process.pid };
  const readers: Promise<Reading>[] = [];
  for (let i = 0; i < streams; i += 1) {
    // Not all at the same moment: handlers do not know of one another.
    const input: StreamedOrder = { startMs: beginMs + (everyMs * i) / streams, everyMs, chunks };
    const { taskId } = await client.submit(TYPES.streamed, input);
    const tasks = connections[i % CONNECTIONS]?.tasks;
    if (tasks !== undefined) readers.push(follow(tasks, taskId, chunks));
  }
  if (wallMs() >= beginMs) throw new BenchError(`${streams} tasks were not submitted within ${leadMs} ms`);
  await sleep(beginMs - wallMs());
  const readings: Reading[] = [];
  const used = await cpuShares(pids, async () => readings.push(...(await Promise.all(readers))));
  const agesMs = readings.flatMap((reading) => reading.agesMs);
  const lastMs = Math.max(...readings.map((reading) => reading.endMs));
  const late = percentile(agesMs, 1);
  const age = (share: number): number => percentile(agesMs, share);
  const asked = `${perSecond} chunks/s of 200 bytes over ${streams} streams for ${seconds} s`;
  const shares = Object.entries(used).map(([name, share]) => `${name} ${share.toFixed(0)} %`);
  return [
    {
      id: "streamed-output.rate",
      title: `chunks delivered, of ${perSecond} a second`,
      value: (chunks * streams * 1_000) / (lastMs - beginMs),
      unit: "chunks/s",
      detail: `${asked}, every chunk once and in order; of one core: ${shares.join(", ")}`,
    },
    {
      id: "streamed-output.p50",
      title: "age of a chunk at its reader, p50",
      value: age(0.5),
      unit: "ms",
      detail: asked,
    },
    {
      id: "streamed-output.p99",
      title: "age of a chunk at its reader, p99",
      value: age(0.99),
      unit: "ms",
      detail: `oldest ${late.toFixed(1)} ms; outputs are gathered for 5 ms before they are sent`,
    },
  ];
}

interface Reading {
  readonly agesMs: readonly number[];
  /** When the last chunk was there, in milliseconds of the wall clock. */
  readonly endMs: number;
}

/** Follows a task to its end. Throws BenchError when a chunk is missing or out of order. */
async function follow(tasks: TasksClient, taskId: string, chunks: number): Promise<Reading> {
  const agesMs: number[] = [];
  let read = 0;
  let endMs = 0;
  for await (const { kind } of tasks.streamResults({ taskId, kinds: [ResultKind.CHUNK] })) {
    const output = kind.case === "output" ? kind.value.output : undefined;
    const payload = output?.kind.case === "chunk" ? output.kind.value.kind : undefined;
    if (output === undefined || payload?.case !== "json" || payload.value.kind.case !== "stringValue") continue;
    read += 1;
    if (Number(output.index) !== read) throw new BenchError(`chunk ${read} of ${taskId} came as ${output.index}`);
    if (read > chunks * WARM_UP_SHARE) agesMs.push(ageMs(payload.value.kind.value));
    endMs = wallMs();
  }
  if (read !== chunks) throw new BenchError(`${read} chunks of ${taskId} arrived, of ${chunks}`);
  return { agesMs, endMs };
}
