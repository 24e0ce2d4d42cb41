// A deep queue: what it costs to have it, and whether the mesh works it off as fast as a short one.

import { rmSync } from "node:fs";
import { mkdtemp, readdir, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { cpuTimes, cpuUsed } from "../support/cpu-time.ts";
import { cleanUpOnExit } from "../support/left-behind.ts";
import { median } from "../support/statistics.ts";
import { alternate, medianRatio } from "./alternate.ts";
import { type Figure, type ScaleOptions, type ScaleScenario, TARGET_FIGURES } from "./figure.ts";
import { MemoryProbe, PROBED, rssBytes } from "./measure-memory.ts";
import { TYPES } from "./mesh/agents.ts";
import { type Broker, openBroker } from "./mesh/broker.ts";
import { type Coordinator, openCoordinator } from "./mesh/coordinator.ts";
import { submitBulk } from "./submit-bulk.ts";
import { workOff } from "./work-off.ts";

/** How much to do. */
export interface BacklogSizes {
  readonly deep: number;
  readonly shallow: number;
  /** Tasks that end in each turn of each mesh. */
  readonly tasks: number;
  readonly rounds: number;
}

const FULL: BacklogSizes = { deep: 1_000_000, shallow: 1_000, tasks: 20_000, rounds: 7 };
const QUICK: BacklogSizes = { deep: 2_000, shallow: 200, tasks: 400, rounds: 1 };
/** The submission rate is taken in so many parts, of which the first and the last are compared. */
const PARTS = 10;
/** Submitted before it is measured, to a queue that nobody serves: as many as this, or a part if that is less. */
const MAX_WARM_UP = 10_000;
const MIB = 2 ** 20;

/** The whole measurement. */
export const BACKLOG: ScaleScenario = {
  id: "backlog",
  title: "A deep backlog",
  measure: (options) => measureBacklog(options, options.quick ? QUICK : FULL),
};

/** Two meshes stand side by side, one with a deep queue and one with a shallow one, and are worked off in turn. */
export async function measureBacklog(options: ScaleOptions, sizes: BacklogSizes): Promise<readonly Figure[]> {
  await using stack = new AsyncDisposableStack();
  const { deep, shallow, tasks, rounds } = sizes;
  const deepMesh = await openMesh(options, stack);
  const shallowMesh = await openMesh(options, stack);
  const figures = [...(await fill(options, deepMesh, deep))];
  const prefix = "backlog";
  await submitBulk({ coordinators: [shallowMesh.coordinator], prefix, type: TYPES.nothing, count: shallow });
  const turn = (mesh: Mesh, name: string, depth: number) => async (round: number) => {
    const { coordinator, broker } = mesh;
    const order = { ...options, coordinator, broker, prefix: `${name}-${round}`, tasks };
    const { rate, cpuMs } = await workOff(order);
    if (round > 0) mesh.cpuMs.push(cpuMs);
    options.onProgress(`backlog: ${depth} queued, round ${round} of ${rounds}: ${Math.round(rate)} tasks/s`);
    return rate;
  };
  const sides = [turn(deepMesh, "deep", deep), turn(shallowMesh, "shallow", shallow)];
  const [deepRates = [], shallowRates = []] = await alternate(rounds, sides);
  const microsEach = (role: string): string =>
    [deepMesh, shallowMesh]
      .map(({ cpuMs }) => Math.round((median(cpuMs.map((used) => used[role] ?? Number.NaN)) * 1_000) / tasks))
      .join(" / ");
  const cost = ["coordinator", "broker", "agent"].map((role) => `${role} ${microsEach(role)}`).join(", ");
  figures.unshift({
    id: TARGET_FIGURES.backlog,
    title: `submit → complete with ${deep} queued / with ${shallow} queued`,
    value: medianRatio(deepRates, shallowRates),
    unit: "×",
    detail:
      `${Math.round(median(deepRates))} / ${Math.round(median(shallowRates))} tasks/s, rounds ${rounds}, of ${tasks} tasks each; ` +
      `µs of processor time a task: ${cost}`,
  });
  figures.push(...(await restart(options, deepMesh, deep)));
  return figures;
}

interface Mesh {
  readonly broker: Broker;
  /** The index's folder. */
  readonly dataDir: string;
  readonly startMs: number;
  readonly probe: MemoryProbe;
  /** Processor time of its turns, by process. */
  readonly cpuMs: Readonly<Record<string, number>>[];
  coordinator: Coordinator;
}

async function openMesh(options: ScaleOptions, stack: AsyncDisposableStack): Promise<Mesh> {
  const dataDir = await mkdtemp(join(tmpdir(), "mycel-bench-index-"));
  stack.use(cleanUpOnExit(() => rmSync(dataDir, { recursive: true, force: true })));
  stack.defer(() => rm(dataDir, { recursive: true, force: true }));
  const broker = stack.use(await openBroker(options));
  const startMs = performance.now();
  const probe = new MemoryProbe();
  const { onMessage } = probe;
  const settings = { MYCEL_DATA_DIR: dataDir };
  const coordinator = await openCoordinator({ ...options, broker, settings, nodeArgs: PROBED, onMessage });
  const mesh: Mesh = { broker, dataDir, startMs: performance.now() - startMs, probe, cpuMs: [], coordinator };
  // Not `use`: another coordinator may have taken its place by then.
  stack.defer(() => mesh.coordinator[Symbol.asyncDispose]());
  return mesh;
}

/** Submits the tasks of the deep queue while nobody works. */
async function fill(options: ScaleOptions, mesh: Mesh, deep: number): Promise<readonly Figure[]> {
  const { broker, coordinator, dataDir, probe } = mesh;
  const part = Math.ceil(deep / PARTS);
  const warmUp = Math.min(part, MAX_WARM_UP);
  await submitBulk({ coordinators: [coordinator], prefix: "warm-up", type: TYPES.parked, count: warmUp });
  await coordinator.settle();
  const brokerBefore = await rssBytes(broker.pid);
  const before = await probe.look(coordinator.process);
  const rates: number[] = [];
  const pids = { coordinator: coordinator.process.pid, broker: broker.pid };
  const costs: Readonly<Record<string, number>>[] = [];
  for (let from = 0; from < deep; from += part) {
    const cpuBefore = await cpuTimes(pids);
    const startMs = performance.now();
    const count = Math.min(part, deep - from);
    await submitBulk({ coordinators: [coordinator], prefix: "backlog", type: TYPES.nothing, count, from });
    const rate = (count * 1_000) / (performance.now() - startMs);
    rates.push(rate);
    costs.push(cpuUsed(cpuBefore, await cpuTimes(pids)));
    options.onProgress(`backlog: ${from + count} of ${deep} queued, ${Math.round(rate)} tasks/s`);
  }
  const filledMs = performance.now();
  await coordinator.settle();
  const behindSeconds = (performance.now() - filledMs) / 1_000;
  const { bytes } = await broker.tasksLog();
  const after = await probe.look(coordinator.process);
  const [first = 0, last = 0] = [rates.at(0), rates.at(-1)];
  const microsEach = (role: keyof typeof pids): string =>
    [costs.at(0), costs.at(-1)].map((cost) => Math.round(((cost?.[role] ?? Number.NaN) * 1_000) / part)).join(" → ");
  return [
    {
      id: "backlog.submit-ratio",
      title: "submission rate, last tenth / first tenth of the backlog",
      value: last / first,
      unit: "×",
      detail: `${rates.map((rate) => Math.round(rate)).join(", ")} tasks/s; µs of processor time a task: coordinator ${microsEach("coordinator")}, broker ${microsEach("broker")}`,
    },
    {
      id: "backlog.broker",
      title: `what ${deep} queued tasks add to the broker`,
      value: ((await rssBytes(broker.pid)) - brokerBefore) / MIB,
      unit: "MiB",
      detail: "resident memory, garbage included",
    },
    {
      id: "backlog.coordinator",
      title: `what ${deep} queued tasks add to the coordinator`,
      value: (after.ownBytes - before.ownBytes) / MIB,
      unit: "MiB",
      detail: `heap after garbage collection; resident memory ${((after.rssBytes - before.rssBytes) / MIB).toFixed(0)} MiB`,
    },
    {
      id: "backlog.index",
      title: `the index of ${deep} queued tasks, on disk`,
      value: (await sizeOf(dataDir)) / MIB,
      unit: "MiB",
      detail: `for ${(bytes / MIB).toFixed(0)} MiB of log; complete ${behindSeconds.toFixed(1)} s after the last submission`,
    },
  ];
}

interface Restart {
  readonly readySeconds: number;
  /** From the start until the index shows what is in the log. */
  readonly indexSeconds: number;
  /** What processes used meanwhile. */
  readonly cpu: string;
}

/** Starts the coordinator again, with its index and without. */
async function restart(options: ScaleOptions, mesh: Mesh, deep: number): Promise<readonly Figure[]> {
  const again = async (): Promise<Restart> => {
    const brokerBefore = await cpuTimes({ broker: mesh.broker.pid });
    const startMs = performance.now();
    const settings = { MYCEL_DATA_DIR: mesh.dataDir };
    mesh.coordinator = await openCoordinator({ ...options, broker: mesh.broker, settings });
    const readyMs = performance.now();
    await mesh.coordinator.settle();
    const indexSeconds = (performance.now() - startMs) / 1_000;
    const pids = { coordinator: mesh.coordinator.process.pid, broker: mesh.broker.pid };
    // The coordinator's own counts from its start.
    const used = cpuUsed({ coordinator: 0, ...brokerBefore }, await cpuTimes(pids));
    const cpu = Object.entries(used).map(([role, ms]) => `${role} ${(ms / 1_000).toFixed(1)} s`);
    return { readySeconds: (readyMs - startMs) / 1_000, indexSeconds, cpu: cpu.join(", ") };
  };
  await mesh.coordinator[Symbol.asyncDispose]();
  const kept = await again();
  options.onProgress(`backlog: coordinator ready again after ${kept.readySeconds.toFixed(1)} s`);
  await mesh.coordinator[Symbol.asyncDispose]();
  for (const name of await readdir(mesh.dataDir)) await rm(join(mesh.dataDir, name), { recursive: true });
  const anew = await again();
  options.onProgress(`backlog: index built anew after ${anew.indexSeconds.toFixed(1)} s`);
  const empty = `with an empty log ${(mesh.startMs / 1_000).toFixed(1)} s`;
  return [
    {
      id: "backlog.start",
      title: `coordinator's start with ${deep} queued, until it is ready`,
      value: kept.readySeconds,
      unit: "s",
      detail: `${empty}; its index current after ${kept.indexSeconds.toFixed(1)} s`,
    },
    {
      id: "backlog.rebuild",
      title: `coordinator's start with ${deep} queued and no index, until the index is complete`,
      value: anew.indexSeconds,
      unit: "s",
      detail: `ready, and working, after ${anew.readySeconds.toFixed(1)} s; processor time: ${anew.cpu}`,
    },
  ];
}

async function sizeOf(dir: string): Promise<number> {
  const files = await readdir(dir);
  const sizes = await Promise.all(files.map(async (name) => (await stat(join(dir, name))).size));
  return sizes.reduce((sum, size) => sum + size, 0);
}
