// The processor time that processes have used, where the system tells it (Linux).

import { readFile } from "node:fs/promises";

/** Linux counts in hundredths of a second for every program, whatever the kernel's own clock. */
const TICK_MS = 10;

/** Milliseconds of processor time by name, without those that cannot be known. */
export async function cpuTimes(pids: Readonly<Record<string, number>>): Promise<Record<string, number>> {
  const times: Record<string, number> = {};
  for (const [name, pid] of Object.entries(pids)) {
    const stat = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => undefined);
    // The command, in parentheses, may contain spaces; what follows it does not.
    const fields = stat?.slice(stat.lastIndexOf(")") + 2).split(" ");
    const [user, system] = [Number(fields?.[11]), Number(fields?.[12])];
    if (Number.isFinite(user + system)) times[name] = (user + system) * TICK_MS;
  }
  return times;
}

/** What was used between two readings. */
export function cpuUsed(
  before: Readonly<Record<string, number>>,
  after: Readonly<Record<string, number>>,
): Record<string, number> {
  return Object.fromEntries(Object.entries(after).map(([name, ms]) => [name, ms - (before[name] ?? ms)]));
}
