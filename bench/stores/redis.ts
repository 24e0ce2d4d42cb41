// A Redis server of the benchmark's own, as its makers and BullMQ's advise to run it where data must last: append-only file, no eviction.

import { run } from "../../lib/nats/server/run.ts";
import { BenchError } from "../support/bench-error.ts";
import type { Durability } from "../support/contender.ts";
import { firstBinary, onFreePort, startStore, type Store } from "./store-process.ts";

/** Where Debian and hands put programs. */
const FOLDERS: readonly string[] = ["/usr/bin", "/usr/local/bin"];
const VERSION_TIMEOUT_MS = 10_000;

/** Redis's `appendfsync` that loses as little. */
export const APPEND_FSYNC: Readonly<Record<Durability, string>> = { second: "everysec", always: "always" };

/** What the machine lacks for it, as one line with what to install; undefined if nothing. */
export async function lackingRedis(folders: readonly string[] = FOLDERS): Promise<string | undefined> {
  const binary = await findRedis(folders);
  return binary === undefined ? "no redis-server; on Debian: apt-get install redis-server" : undefined;
}

/** Starts a server with nothing in it. Rejects with BenchError; then nothing of it is left. */
export async function openRedis(durability: Durability): Promise<Store> {
  const binary = await findRedis(FOLDERS);
  if (binary === undefined) throw new BenchError((await lackingRedis()) ?? "no redis-server");
  const told = await run(binary, ["--version"], { timeoutMs: VERSION_TIMEOUT_MS });
  const version = /v=(\S+)/.exec(told)?.[1] ?? "unknown";
  return await onFreePort(() =>
    startStore(version, undefined, async (dir, port) => ({
      name: "redis-server",
      binary,
      args: settings(dir, port, durability).flatMap(([name, value]) => [`--${name}`, value]),
      readyWords: "Ready to accept connections",
      endSignal: "SIGKILL",
    })),
  );
}

function settings(dir: string, port: number, durability: Durability): readonly (readonly [string, string])[] {
  return [
    ["bind", "127.0.0.1"],
    ["port", String(port)],
    ["dir", dir],
    ["daemonize", "no"],
    ["appendonly", "yes"],
    ["appendfsync", APPEND_FSYNC[durability]],
    // The log holds everything; snapshots beside it would only cost.
    ["save", ""],
    // "The only setting that guarantees the correct behavior of the queues": https://docs.bullmq.io/guide/going-to-production
    ["maxmemory-policy", "noeviction"],
  ];
}

async function findRedis(folders: readonly string[]): Promise<string | undefined> {
  return await firstBinary(folders.map((folder) => `${folder}/redis-server`));
}
