// What two readings of counters that only grow say about the time between them. Pure.

/** How a core spent its time since the host came up, in milliseconds. */
export interface CoreTimes {
  readonly times: Readonly<Record<"user" | "nice" | "sys" | "idle" | "irq", number>>;
}

/** The share of time, from 0 to 100, in which cores were not idle between two readings: of each, and of all together. */
export function busyPercents(
  before: readonly CoreTimes[],
  after: readonly CoreTimes[],
): { readonly percent: number; readonly corePercents: readonly number[] } {
  const spent = after.map((core, i) => spentSince(before[i], core));
  return { percent: busyShare(sumOf(spent)), corePercents: spent.map(busyShare) };
}

/** How much a counter grew a second; 0 where it was set back or no time went by. */
export function perSecond(before: number | undefined, after: number, elapsedMs: number): number {
  if (before === undefined || after < before || elapsedMs <= 0) return 0;
  return Math.round(((after - before) * 1_000) / elapsedMs);
}

/** `part` of `total` as a percentage with two decimals; 0 of nothing. */
export function percentOf(part: number, total: number): number {
  return total <= 0 ? 0 : Math.min(100, Math.max(0, Math.round((part / total) * 10_000) / 100));
}

interface Spent {
  readonly busy: number;
  readonly all: number;
}

function spentSince(before: CoreTimes | undefined, after: CoreTimes): Spent {
  const was = before?.times ?? { user: 0, nice: 0, sys: 0, idle: 0, irq: 0 };
  const idle = Math.max(0, after.times.idle - was.idle);
  const busy = (["user", "nice", "sys", "irq"] as const).reduce(
    (sum, kind) => sum + Math.max(0, after.times[kind] - was[kind]),
    0,
  );
  return { busy, all: busy + idle };
}

function sumOf(all: readonly Spent[]): Spent {
  return all.reduce((sum, { busy, all }) => ({ busy: sum.busy + busy, all: sum.all + all }), { busy: 0, all: 0 });
}

function busyShare({ busy, all }: Spent): number {
  return percentOf(busy, all);
}
