// What memory there is for the agent: the host's, or less where a control group limits it. Pure.
import { percentOf } from "./rates.ts";

/** What the host, the runtime and the control group say, in bytes. */
export interface MemoryReadings {
  readonly hostTotal: number;
  readonly hostAvailable: number;
  /** The limit of the control group; 0 or more than the host has if there is none. */
  readonly limit: number;
  /** What the control group uses, without what can be given back at once; undefined if it does not say. */
  readonly groupUsed: number | undefined;
}

/** Memory as a sample tells it. */
export interface MemoryFacts {
  readonly totalBytes: number;
  readonly usedBytes: number;
  readonly availableBytes: number;
  readonly usedPercent: number;
  readonly limitBytes?: number;
}

/** Puts the readings together. */
export function memoryFacts({ hostTotal, hostAvailable, limit, groupUsed }: MemoryReadings): MemoryFacts {
  if (limit <= 0 || limit >= hostTotal) return factsOf(hostTotal, hostTotal - hostAvailable);
  // A limit promises nothing: the host may have less left than the group may still take.
  const used = groupUsed ?? Math.max(0, limit - hostAvailable);
  const available = Math.min(limit - used, hostAvailable);
  return { ...factsOf(limit, limit - available), limitBytes: limit };
}

/** What a control group uses, from the files `memory.current` and `memory.stat`; undefined if they do not say. */
export function groupUsedBytes(current: string, stat: string): number | undefined {
  const total = Number(current.trim() || Number.NaN);
  const inactive = /^(?:total_)?inactive_file (\d+)$/m.exec(stat)?.[1];
  return Number.isFinite(total) && inactive !== undefined ? Math.max(0, total - Number(inactive)) : undefined;
}

function factsOf(total: number, used: number): MemoryFacts {
  return {
    totalBytes: total,
    usedBytes: used,
    availableBytes: total - used,
    usedPercent: percentOf(used, total),
  };
}
