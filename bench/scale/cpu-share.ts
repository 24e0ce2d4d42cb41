// How much of a processor processes use for a while.

import { setTimeout as sleep } from "node:timers/promises";
import { cpuTimes, cpuUsed } from "../support/cpu-time.ts";

/** Percent of one core by name, over the time that `meanwhile` takes; empty where the system does not say. */
export async function cpuShares(
  pids: Readonly<Record<string, number>>,
  meanwhile: () => Promise<unknown>,
): Promise<Readonly<Record<string, number>>> {
  const before = await cpuTimes(pids);
  const startMs = performance.now();
  await meanwhile();
  const tookMs = performance.now() - startMs;
  const used = cpuUsed(before, await cpuTimes(pids));
  return Object.fromEntries(Object.entries(used).map(([name, ms]) => [name, (ms * 100) / tookMs]));
}

/** The same while nothing is asked. */
export async function idleCpuShares(
  pids: Readonly<Record<string, number>>,
  ms: number,
): Promise<Readonly<Record<string, number>>> {
  return await cpuShares(pids, () => sleep(ms));
}
