// A large fleet that waits for work: what its heartbeats and pulls cost, and whether one task finds its way through it as fast.

import { performance } from "node:perf_hooks";
import { BenchError } from "../support/bench-error.ts";
import { median } from "../support/statistics.ts";
import { idleCpuShares } from "./cpu-share.ts";
import type { Figure, ScaleOptions, ScaleScenario } from "./figure.ts";
import { rssBytes } from "./measure-memory.ts";
import { openAgents, TYPES } from "./mesh/agents.ts";
import { openBroker } from "./mesh/broker.ts";
import { openCoordinator, submission, type TasksClient } from "./mesh/coordinator.ts";

/** How much to do. */
export interface ManyAgentsSizes {
  readonly agents: number;
  /** How many processes they share: a process for each would measure the machine. */
  readonly processes: number;
  /** How long the idle fleet is watched: several rounds of heartbeats (5 s) if long enough. */
  readonly idleMs: number;
  /** Tasks that are run one after the other. */
  readonly samples: number;
}

const FULL: ManyAgentsSizes = { agents: 1_000, processes: 4, idleMs: 30_000, samples: 200 };
const QUICK: ManyAgentsSizes = { agents: 10, processes: 2, idleMs: 500, samples: 5 };
const KIB = 1_024;

/** The whole measurement. */
export const MANY_AGENTS: ScaleScenario = {
  id: "many-agents",
  title: "A large idle fleet",
  measure: (options) => measureManyAgents(options, options.quick ? QUICK : FULL),
};

/** All agents serve the same queue, with one slot each. */
export async function measureManyAgents(options: ScaleOptions, sizes: ManyAgentsSizes): Promise<readonly Figure[]> {
  const { agents, processes, idleMs, samples } = sizes;
  await using stack = new AsyncDisposableStack();
  const broker = stack.use(await openBroker(options));
  const coordinator = stack.use(await openCoordinator({ ...options, broker }));
  const coordinators = [coordinator];
  const pids: Record<string, number> = { coordinator: coordinator.process.pid, broker: broker.pid };
  const one = stack.use(await openAgents({ ...options, coordinators, prefix: "first", concurrency: 1 }));
  const alone = await runs(coordinator.tasks, "alone", samples);
  const memory = async (): Promise<readonly number[]> => [
    await rssBytes(coordinator.process.pid),
    await rssBytes(broker.pid),
  ];
  const [coordinatorBefore = 0, brokerBefore = 0] = await memory();
  const startMs = performance.now();
  let left = agents - 1;
  for (let i = 0; i < processes; i += 1) {
    const count = Math.ceil(left / (processes - i));
    left -= count;
    const fleet = await openAgents({ ...options, coordinators, prefix: `fleet-${i}`, count, concurrency: 1 });
    stack.use(fleet);
    pids[`agents ${i}`] = fleet.pid;
  }
  const registeredMs = performance.now() - startMs;
  options.onProgress(`many-agents: ${agents} are registered`);
  const [coordinatorAfter = 0, brokerAfter = 0] = await memory();
  const used = await idleCpuShares(pids, idleMs);
  const among = await runs(coordinator.tasks, "among", samples);
  const registered = await countAgents(coordinator.tasks);
  if (registered !== agents) throw new BenchError(`${registered} agents of ${agents} are registered`);
  pids["first"] = one.pid;
  const fleet = Object.entries(used).filter(([name]) => name.startsWith("agents"));
  const fleetShare = fleet.reduce((sum, [, share]) => sum + share, 0);
  const over = `of one core over ${idleMs / 1_000} s`;
  return [
    {
      id: "many-agents.coordinator",
      title: `processor time of the coordinator with ${agents} idle agents`,
      value: used["coordinator"] ?? Number.NaN,
      unit: "%",
      detail: `${over}; resident memory an agent ${kibEach(coordinatorAfter - coordinatorBefore, agents)}`,
    },
    {
      id: "many-agents.broker",
      title: `processor time of the broker with ${agents} idle agents`,
      value: used["broker"] ?? Number.NaN,
      unit: "%",
      detail: `${over}; resident memory an agent ${kibEach(brokerAfter - brokerBefore, agents)}`,
    },
    {
      id: "many-agents.agent",
      title: "processor time of an idle agent",
      value: fleetShare / agents,
      unit: "%",
      detail: `${over}; ${agents} agents in ${processes} processes`,
    },
    {
      id: "many-agents.register",
      title: "registering agents, one after the other as their processes come up",
      value: (agents * 1_000) / registeredMs,
      unit: "agents/s",
      detail: `${agents} agents took ${(registeredMs / 1_000).toFixed(1)} s, the start of ${processes} processes included`,
    },
    {
      id: "many-agents.latency",
      title: `RunTask p50 with ${agents} idle agents / with 1`,
      value: median(among) / median(alone),
      unit: "×",
      detail: `${median(among).toFixed(2)} / ${median(alone).toFixed(2)} ms, ${samples} tasks each`,
    },
  ];
}

/** Milliseconds of tasks run one after the other. */
async function runs(tasks: TasksClient, prefix: string, samples: number): Promise<readonly number[]> {
  const tookMs: number[] = [];
  // The first few find cold code.
  for (let i = -Math.ceil(samples / 4); i < samples; i += 1) {
    const startMs = performance.now();
    const messages = tasks.runTask({ task: submission(`${prefix}-${i}`, TYPES.nothing) });
    for await (const _ of messages);
    if (i >= 0) tookMs.push(performance.now() - startMs);
  }
  return tookMs;
}

async function countAgents(tasks: TasksClient): Promise<number> {
  let count = 0;
  let pageToken = "";
  do {
    const page = await tasks.listAgents({ pageSize: 1_000, pageToken });
    count += page.agents.length;
    pageToken = page.nextPageToken;
  } while (pageToken !== "");
  return count;
}

function kibEach(bytes: number, count: number): string {
  return `${(bytes / count / KIB).toFixed(0)} KiB`;
}
