// Reads the state of this host. Rates are measured between two readings of one sampler: systeminformation keeps one reading for all who
// ask, so two tasks would spoil each other's rates. It is asked for what it keeps nothing of.
import { readFile } from "node:fs/promises";
import { cpus, hostname, loadavg, uptime } from "node:os";
import process from "node:process";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import si from "systeminformation";
import type { MonitoringSampleSchema } from "../../../gen/mycel/tasks/v1/monitoring_pb.ts";
import { groupUsedBytes, memoryFacts } from "./memory-facts.ts";
import type { MonitoringPart } from "./monitoring-order.ts";
import { type InterfaceCounters, readNetworkCounters } from "./network-counters.ts";
import { busyPercents, type CoreTimes, percentOf, perSecond } from "./rates.ts";

/** One sample, as it is told. */
export type Sample = MessageInitShape<typeof MonitoringSampleSchema>;

const MAX_LISTED = 64;
/** Where a container sees its own control group, by version 2 and 1. */
const GROUP_FILES: readonly (readonly [current: string, stat: string])[] = [
  ["/sys/fs/cgroup/memory.current", "/sys/fs/cgroup/memory.stat"],
  ["/sys/fs/cgroup/memory/memory.usage_in_bytes", "/sys/fs/cgroup/memory/memory.stat"],
];

interface Counters {
  readonly atMs: number;
  readonly cores: readonly CoreTimes[];
  readonly network: readonly InterfaceCounters[];
}

/** Takes samples of what was asked for. */
export class HostSampler {
  readonly #parts: ReadonlySet<MonitoringPart>;
  #before: Counters | undefined;

  constructor(parts: ReadonlySet<MonitoringPart>) {
    this.#parts = parts;
  }

  /** Whether what was asked for needs a reading before the first sample. */
  get needsStart(): boolean {
    return this.#parts.has("cpu") || this.#parts.has("network");
  }

  /** The first reading: rates of the first sample count from here. */
  async start(): Promise<void> {
    this.#before = await this.#count();
  }

  /** Takes the sample numbered `index`; its rates count from the one before. */
  async sample(index: number): Promise<Sample> {
    const parts = this.#parts;
    const [after, memory, disks] = await Promise.all([
      this.#count(),
      parts.has("memory") || parts.has("swap") ? si.mem() : undefined,
      parts.has("disks") ? si.fsSize() : undefined,
    ]);
    const before = this.#before ?? after;
    this.#before = after;
    const [oneMinute = 0, fiveMinutes = 0, fifteenMinutes = 0] = loadavg();
    return {
      index,
      time: timestampFromMs(Date.now()),
      host: hostname(),
      uptimeSeconds: Math.round(uptime()),
      ...(parts.has("cpu") ? { cpu: cpuUsage(before, after) } : {}),
      ...(parts.has("memory") && memory !== undefined ? { memory: await memoryUsage(memory) } : {}),
      ...(parts.has("swap") && memory !== undefined && memory.swaptotal > 0
        ? { swap: { totalBytes: memory.swaptotal, usedBytes: memory.swapused } }
        : {}),
      ...(disks === undefined ? {} : { disks: disks.slice(0, MAX_LISTED).map(diskUsage) }),
      ...(parts.has("load") ? { load: { oneMinute, fiveMinutes, fifteenMinutes } } : {}),
      ...(parts.has("network") ? { network: networkUsage(before, after) } : {}),
    };
  }

  async #count(): Promise<Counters> {
    const network = this.#parts.has("network") ? await readNetworkCounters() : [];
    return { atMs: performance.now(), cores: this.#parts.has("cpu") ? cpus() : [], network };
  }
}

function cpuUsage(before: Counters, after: Counters): NonNullable<Sample["cpu"]> {
  const { percent, corePercents } = busyPercents(before.cores, after.cores);
  return { percent, corePercents: [...corePercents] };
}

async function memoryUsage({ total, available }: si.Systeminformation.MemData): Promise<NonNullable<Sample["memory"]>> {
  const limit = process.constrainedMemory();
  const groupUsed = limit > 0 && limit < total ? await readGroupUsed() : undefined;
  return memoryFacts({ hostTotal: total, hostAvailable: available, limit, groupUsed });
}

async function readGroupUsed(): Promise<number | undefined> {
  for (const [current, stat] of GROUP_FILES) {
    try {
      return groupUsedBytes(await readFile(current, "utf8"), await readFile(stat, "utf8"));
    } catch {
      // Not this version, or no container's view of it.
    }
  }
  return undefined;
}

function diskUsage({
  mount,
  fs,
  type,
  size,
  used,
  available,
}: si.Systeminformation.FsSizeData): NonNullable<Sample["disks"]>[number] {
  const usable = used + available;
  return {
    mount,
    device: fs,
    type,
    totalBytes: size,
    usedBytes: used,
    availableBytes: available,
    usedPercent: percentOf(used, usable),
  };
}

function networkUsage(before: Counters, after: Counters): NonNullable<Sample["network"]> {
  const elapsedMs = after.atMs - before.atMs;
  return after.network.slice(0, MAX_LISTED).map(({ name, receivedBytes, sentBytes }) => {
    const was = before.network.find((one) => one.name === name);
    return {
      name,
      receivedBytes,
      sentBytes,
      receivedBytesPerSecond: perSecond(was?.receivedBytes, receivedBytes, elapsedMs),
      sentBytesPerSecond: perSecond(was?.sentBytes, sentBytes, elapsedMs),
    };
  });
}
