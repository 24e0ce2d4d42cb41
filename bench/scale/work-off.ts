// How fast a mesh works off a queue that stays as deep as it is: for every task that ends another is submitted.

import { cpuTimes, cpuUsed } from "../support/cpu-time.ts";
import { openAgents, TYPES } from "./mesh/agents.ts";
import type { ScaleOptions } from "./figure.ts";
import type { Broker } from "./mesh/broker.ts";
import type { Coordinator } from "./mesh/coordinator.ts";
import { submitBulk } from "./submit-bulk.ts";

/** What to work off. */
export interface WorkOffOptions extends ScaleOptions {
  readonly broker: Broker;
  readonly coordinator: Coordinator;
  /** Of the tasks that are submitted meanwhile. */
  readonly prefix: string;
  /** How many tasks end while it is measured. */
  readonly tasks: number;
}

const PER_CALL = 250;
const FEEDERS = 4;
/** So many tasks end before the measurement begins, at most: the agent's code is compiled, its pulls are open. */
const MAX_WARM_UP = 2_000;

/** How it went. */
export interface WorkedOff {
  /** Tasks a second. */
  readonly rate: number;
  /** Milliseconds of processor time, by process. */
  readonly cpuMs: Readonly<Record<string, number>>;
}

/** Runs an agent for as long as it takes. Resolves when the mesh is at rest. */
export async function workOff(options: WorkOffOptions): Promise<WorkedOff> {
  const { broker, coordinator, prefix, tasks } = options;
  const { ends } = broker;
  const before = ends.count;
  const warmUp = Math.min(MAX_WARM_UP, Math.ceil(tasks / 2));
  let submitted = 0;
  let over = false;
  // Each begins another call when as many tasks have ended as it submitted last: what is queued stays what it was.
  const feed = async (): Promise<void> => {
    while (!over) {
      const from = submitted;
      submitted += PER_CALL;
      await submitBulk({ coordinators: [coordinator], prefix, type: TYPES.nothing, from, count: PER_CALL });
      await ends.reach(before + submitted - (FEEDERS - 1) * PER_CALL);
    }
  };
  const agents = await openAgents({ ...options, coordinators: [coordinator], prefix: `agent-${prefix}` });
  const pids = { coordinator: coordinator.process.pid, broker: broker.pid, agent: agents.pid };
  const measure = async (): Promise<WorkedOff> => {
    const startMs = await ends.reach(before + warmUp);
    const cpuBefore = await cpuTimes(pids);
    const endMs = await ends.reach(before + warmUp + tasks);
    over = true;
    return { rate: (tasks * 1_000) / (endMs - startMs), cpuMs: cpuUsed(cpuBefore, await cpuTimes(pids)) };
  };
  let result: WorkedOff;
  try {
    const feeders = Array.from({ length: FEEDERS }, feed);
    [result] = await Promise.all([Promise.race([measure(), agents.failed]), ...feeders]);
  } finally {
    over = true;
    await agents[Symbol.asyncDispose]();
  }
  await coordinator.settle();
  return result;
}
