// More coordinators and agents on the same broker: meshes of 1, 2 and 4 of each stand side by side and are measured in turn.

import { cpuTimes, cpuUsed } from "../support/cpu-time.ts";
import { median } from "../support/statistics.ts";
import { alternate, medianRatio } from "./alternate.ts";
import type { Figure, ScaleOptions, ScaleScenario } from "./figure.ts";
import { openAgents, TYPES } from "./mesh/agents.ts";
import { type Broker, openBroker } from "./mesh/broker.ts";
import { type Coordinator, openCoordinator } from "./mesh/coordinator.ts";
import { submitBulk } from "./submit-bulk.ts";

/** How much to do. */
export interface ScaleOutSizes {
  /** How many coordinators, and as many agents, each mesh has. The first is what the others are compared with. */
  readonly members: readonly number[];
  readonly tasks: number;
  readonly rounds: number;
}

const FULL: ScaleOutSizes = { members: [1, 2, 4], tasks: 30_000, rounds: 5 };
const QUICK: ScaleOutSizes = { members: [1, 2], tasks: 400, rounds: 1 };

/** The whole measurement. */
export const SCALE_OUT: ScaleScenario = {
  id: "scale-out",
  title: "Several coordinators and agents",
  measure: (options) => measureScaleOut(options, options.quick ? QUICK : FULL),
};

/** Bulk submission to all coordinators at once, each with its own agent beside it, over one broker. */
export async function measureScaleOut(options: ScaleOptions, sizes: ScaleOutSizes): Promise<readonly Figure[]> {
  const { members, tasks, rounds } = sizes;
  await using stack = new AsyncDisposableStack();
  const meshes: Mesh[] = [];
  for (const count of members) meshes.push(await openMesh(options, stack, count));
  const turns = meshes.map((mesh) => async (round: number): Promise<number> => {
    const rate = await run(mesh, `round-${round}`, tasks, round > 0);
    options.onProgress(
      `scale-out: ${mesh.coordinators.length} coordinators, round ${round} of ${rounds}: ${Math.round(rate)} tasks/s`,
    );
    return rate;
  });
  const rates = await alternate(rounds, turns);
  return meshes.flatMap((mesh, at): Figure[] => {
    const { length } = mesh.coordinators;
    const cost = Object.entries(mesh.usedMs).map(([role, ms]) => `${role} ${Math.round((ms * 1_000) / mesh.counted)}`);
    const figure: Figure = {
      id: `scale-out.rate-${length}`,
      title: `${length === 1 ? "1 coordinator and agent" : `${length} coordinators and agents`}, submit → complete`,
      value: median(rates[at] ?? []),
      unit: "tasks/s",
      detail: `${tasks} tasks in batches; µs of processor time a task: ${cost.join(", ")}`,
    };
    if (at === 0) return [figure];
    const ratio: Figure = {
      id: `scale-out.ratio-${length}`,
      title: `${length} coordinators and agents / ${members[0]}`,
      value: medianRatio(rates[at] ?? [], rates[0] ?? []),
      unit: "×",
      detail: `median of ${rounds} rounds, measured in turn`,
    };
    return [figure, ratio];
  });
}

interface Mesh {
  readonly broker: Broker;
  readonly coordinators: readonly Coordinator[];
  /** By role; several processes of a role have numbers. */
  readonly pids: Readonly<Record<string, number>>;
  /** Processor time by role, in all counted rounds. */
  readonly usedMs: Record<string, number>;
  /** Tasks of all counted rounds. */
  counted: number;
}

async function openMesh(options: ScaleOptions, stack: AsyncDisposableStack, count: number): Promise<Mesh> {
  const broker = stack.use(await openBroker(options));
  const pids: Record<string, number> = { broker: broker.pid };
  const coordinators: Coordinator[] = [];
  for (let i = 0; i < count; i += 1) {
    const coordinator = stack.use(await openCoordinator({ ...options, broker }));
    const agent = stack.use(await openAgents({ ...options, coordinators: [coordinator], prefix: `agent-${i}` }));
    coordinators.push(coordinator);
    pids[`coordinator ${i}`] = coordinator.process.pid;
    pids[`agent ${i}`] = agent.pid;
  }
  return { broker, coordinators, pids, usedMs: {}, counted: 0 };
}

async function run(mesh: Mesh, prefix: string, tasks: number, counts: boolean): Promise<number> {
  const { broker, coordinators, pids, usedMs } = mesh;
  const goal = broker.ends.count + tasks;
  const before = await cpuTimes(pids);
  const startMs = performance.now();
  const order = { coordinators, prefix, type: TYPES.nothing, count: tasks };
  const [endMs] = await Promise.all([broker.ends.reach(goal), submitBulk(order)]);
  await Promise.all(coordinators.map((coordinator) => coordinator.settle()));
  if (counts) {
    mesh.counted += tasks;
    for (const [name, ms] of Object.entries(cpuUsed(before, await cpuTimes(pids)))) {
      const role = name.split(" ")[0] ?? name;
      usedMs[role] = (usedMs[role] ?? 0) + ms;
    }
  }
  return (tasks * 1_000) / (endMs - startMs);
}
