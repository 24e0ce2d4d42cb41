// What tracing costs: two meshes side by side, one without and one that samples 1 % into a collector, measured in turn.

import { inFlight } from "../support/in-flight.ts";
import { cpuTimes, cpuUsed } from "../support/cpu-time.ts";
import { BenchError } from "../support/bench-error.ts";
import { startProcess } from "../support/process.ts";
import { median } from "../support/statistics.ts";
import { alternate, medianRatio, type Turn } from "./alternate.ts";
import { type Figure, type ScaleOptions, type ScaleScenario, TARGET_FIGURES } from "./figure.ts";
import { openAgents, TYPES } from "./mesh/agents.ts";
import { type Broker, openBroker } from "./mesh/broker.ts";
import { type Coordinator, openCoordinator, submission } from "./mesh/coordinator.ts";
import { submitBulk } from "./submit-bulk.ts";

/** How much to do. */
export interface TracingSizes {
  /** Tasks of a turn with a call, and so with a trace, for each of them. */
  readonly calls: number;
  /** Tasks of a turn with few calls. */
  readonly bulk: number;
  readonly rounds: number;
  /** The share of traces that is kept. */
  readonly sampled: number;
}

const FULL: TracingSizes = { calls: 5_000, bulk: 20_000, rounds: 9, sampled: 0.01 };
const QUICK: TracingSizes = { calls: 200, bulk: 400, rounds: 1, sampled: 0.2 };
const CALLS_IN_FLIGHT = 64;
/** Many calls, so that a sampled share of them says something; each is one trace with all of its tasks. */
const BULK_PER_CALL = 100;

/** The whole measurement. */
export const TRACING: ScaleScenario = {
  id: "tracing",
  title: "Tracing",
  measure: (options) => measureTracing(options, options.quick ? QUICK : FULL),
};

/** Two meshes and a collector. The client starts no traces: the coordinator decides which are sampled. */
export async function measureTracing(options: ScaleOptions, sizes: TracingSizes): Promise<readonly Figure[]> {
  const { calls, bulk, rounds, sampled } = sizes;
  await using stack = new AsyncDisposableStack();
  let spans = 0;
  const onMessage = (message: unknown): void => {
    if (typeof message === "object" && message !== null && "spans" in message) spans += Number(message.spans);
  };
  const { environment } = options;
  const sink = stack.use(await startProcess({ entry: "bench/scale/otlp-sink.ts", env: environment, onMessage }));
  const tracing = {
    OTEL_EXPORTER_OTLP_ENDPOINT: String(sink.ready["url"]),
    OTEL_TRACES_SAMPLER: "parentbased_traceidratio",
    OTEL_TRACES_SAMPLER_ARG: String(sampled),
  };
  const traced = await openMesh(options, stack, tracing);
  const untraced = await openMesh(options, stack, {});
  const run = async (kind: Kind, count: number): Promise<Compared> => {
    const costs: number[][] = [[], []];
    const turn = (mesh: Mesh, name: string, side: number): Turn => {
      return async (round) => {
        const before = await cpuTimes(mesh.pids);
        const rate = await kind(mesh, `${name}-${round}`, count);
        const used = Object.values(cpuUsed(before, await cpuTimes(mesh.pids)));
        costs[side]?.push((used.reduce((sum, ms) => sum + ms, 0) * 1_000) / count);
        options.onProgress(`tracing: ${name}, round ${round} of ${rounds}: ${Math.round(rate)} tasks/s`);
        return rate;
      };
    };
    const turns = [turn(traced, `${kind.name}-on`, 0), turn(untraced, `${kind.name}-off`, 1)];
    const [on = [], off = []] = await alternate(rounds, turns);
    const each = [on, off].map((rates) => Math.round(median(rates))).join(" / ");
    const micros = costs.map((cost) => Math.round(median(cost))).join(" / ");
    const detail = `${each} tasks/s, rounds ${rounds}, of ${count} tasks each; µs of coordinator's and agent's processor time a task: ${micros}`;
    return { ratio: medianRatio(on, off), detail };
  };
  const byCall = await run(unary, calls);
  const byBatch = await run(batches, bulk);
  // What is recorded is sent with the end of the processes at the latest.
  await stack.disposeAsync();
  if (spans === 0) throw new BenchError("the collector got no spans: nothing was traced");
  const share = `${sampled * 100} %`;
  return [
    {
      id: TARGET_FIGURES.tracing,
      title: `SubmitTask at concurrency ${CALLS_IN_FLIGHT}, submit → complete, with ${share} traced / without tracing`,
      value: byCall.ratio,
      unit: "×",
      detail: `${byCall.detail}; the collector got ${spans} spans in all`,
    },
    {
      id: "tracing.bulk-ratio",
      title: `BatchSubmitTasks of ${BULK_PER_CALL}, submit → complete, with ${share} traced / without tracing`,
      value: byBatch.ratio,
      unit: "×",
      detail: byBatch.detail,
    },
  ];
}

interface Compared {
  /** On / off. */
  readonly ratio: number;
  readonly detail: string;
}

interface Mesh {
  readonly pids: Readonly<Record<string, number>>;
  readonly broker: Broker;
  readonly coordinator: Coordinator;
}

async function openMesh(
  options: ScaleOptions,
  stack: AsyncDisposableStack,
  settings: Readonly<Record<string, string>>,
): Promise<Mesh> {
  const broker = stack.use(await openBroker(options));
  const coordinator = stack.use(await openCoordinator({ ...options, broker, settings }));
  const agent = stack.use(await openAgents({ ...options, coordinators: [coordinator], prefix: "agent", settings }));
  return { pids: { coordinator: coordinator.process.pid, agent: agent.pid }, broker, coordinator };
}

/** Runs tasks on a mesh to their end and until it is at rest; gives tasks a second. */
type Kind = (mesh: Mesh, prefix: string, count: number) => Promise<number>;

async function unary(mesh: Mesh, prefix: string, count: number): Promise<number> {
  return await timed(mesh, count, () =>
    inFlight(count, CALLS_IN_FLIGHT, (i) =>
      mesh.coordinator.tasks.submitTask(submission(`${prefix}-${i}`, TYPES.nothing)),
    ),
  );
}

async function batches(mesh: Mesh, prefix: string, count: number): Promise<number> {
  const order = { coordinators: [mesh.coordinator], prefix, type: TYPES.nothing, count, perCall: BULK_PER_CALL };
  return await timed(mesh, count, () => submitBulk(order));
}

async function timed({ broker, coordinator }: Mesh, count: number, submit: () => Promise<void>): Promise<number> {
  const { ends } = broker;
  const goal = ends.count + count;
  const startMs = performance.now();
  const [endMs] = await Promise.all([ends.reach(goal), submit()]);
  await coordinator.settle();
  return (count * 1_000) / (endMs - startMs);
}
