// Reads how many bytes each network interface has received and sent. On Linux from the kernel's table: systeminformation answers a
// question that comes within half a second of another one with the old numbers, whoever asked.
import { readFile } from "node:fs/promises";
import process from "node:process";
import si from "systeminformation";

/** The counters of one interface since the host came up. */
export interface InterfaceCounters {
  readonly name: string;
  readonly receivedBytes: number;
  readonly sentBytes: number;
}

/** Reads the counters of every interface. */
export async function readNetworkCounters(): Promise<readonly InterfaceCounters[]> {
  if (process.platform === "linux") return countersOfTable(await readFile("/proc/net/dev", "utf8"));
  const stats = await si.networkStats("*");
  return stats.map(({ iface, rx_bytes, tx_bytes }) => ({ name: iface, receivedBytes: rx_bytes, sentBytes: tx_bytes }));
}

/** The counters in the text of `/proc/net/dev`: two lines of titles, then a name, eight numbers received and eight sent. */
export function countersOfTable(text: string): readonly InterfaceCounters[] {
  return text.split("\n").flatMap((line) => {
    const [, name, numbers] = /^\s*([^\s:]+):\s*([\d\s]+)$/.exec(line) ?? [];
    const [received, , , , , , , , sent] = (numbers ?? "").trim().split(/\s+/).map(Number);
    if (name === undefined || received === undefined || sent === undefined) return [];
    return [{ name, receivedBytes: received, sentBytes: sent }];
  });
}
