// The processor time that processes have used, where the system tells it (Linux).

import { readFile } from "node:fs/promises";
import process from "node:process";

/** Linux counts in hundredths of a second for every program, whatever the kernel's own clock. */
const TICK_MS = 10;

/**
 * Milliseconds of processor time by name, without those that cannot be known. A store may be many processes: what its children use, and
 * what those that have ended used, is its own. This process's children are others' processes and do not count.
 */
export async function cpuTimes(pids: Readonly<Record<string, number>>): Promise<Record<string, number>> {
  const times: Record<string, number> = {};
  for (const [name, pid] of Object.entries(pids)) {
    const own = await timesOf(pid);
    if (own === undefined) continue;
    times[name] = pid === process.pid ? own.selfMs : own.selfMs + own.endedMs + (await livingChildrenMs(pid));
  }
  return times;
}

async function livingChildrenMs(pid: number): Promise<number> {
  const children = await readFile(`/proc/${pid}/task/${pid}/children`, "utf8").catch(() => "");
  const times = await Promise.all(
    children
      .split(" ")
      .filter(Boolean)
      .map((child) => timesOf(Number(child))),
  );
  return times.reduce((sum, child) => sum + (child === undefined ? 0 : child.selfMs + child.endedMs), 0);
}

/** Of a process, and of its children that have ended; undefined if it is gone. */
async function timesOf(pid: number): Promise<{ readonly selfMs: number; readonly endedMs: number } | undefined> {
  const stat = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => undefined);
  // The command, in parentheses, may contain spaces; what follows it does not.
  const fields = stat?.slice(stat.lastIndexOf(")") + 2).split(" ") ?? [];
  const [user = Number.NaN, system = Number.NaN, endedUser = 0, endedSystem = 0] = fields.slice(11, 15).map(Number);
  if (!Number.isFinite(user + system)) return undefined;
  return { selfMs: (user + system) * TICK_MS, endedMs: (endedUser + endedSystem) * TICK_MS };
}

/** What was used between two readings. */
export function cpuUsed(
  before: Readonly<Record<string, number>>,
  after: Readonly<Record<string, number>>,
): Record<string, number> {
  return Object.fromEntries(Object.entries(after).map(([name, ms]) => [name, ms - (before[name] ?? ms)]));
}
