// The stores of the benchmark: what is said when one is not installed, and that one which does not start leaves nothing.

import { chmod, mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { lackingPostgres } from "../../../bench/stores/postgres.ts";
import { lackingRedis } from "../../../bench/stores/redis.ts";
import { onFreePort, startStore, type Store } from "../../../bench/stores/store-process.ts";

let dir = "";

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "mycel-bench-stores-"));
});

afterEach(async () => {
  vi.unstubAllEnvs();
  await rm(dir, { recursive: true, force: true });
});

async function program(path: string, ...lines: readonly string[]): Promise<string> {
  const file = join(dir, path);
  await mkdir(join(file, ".."), { recursive: true });
  await writeFile(file, ["#!/bin/sh", ...lines, ""].join("\n"));
  await chmod(file, 0o755);
  return file;
}

async function start(binary: string): Promise<Store> {
  const folders = join(dir, "folders");
  await mkdir(folders, { recursive: true });
  vi.stubEnv("TMPDIR", folders);
  const store = { name: "store", binary, args: [], readyWords: "I serve", endSignal: "SIGTERM" } as const;
  return await startStore("1.0", undefined, async () => store);
}

test("a machine without Redis is told what to install", async () => {
  expect(await lackingRedis([dir])).toBe("no redis-server; on Debian: apt-get install redis-server");
});

test("a machine without PostgreSQL is told what to install", async () => {
  const line = "no PostgreSQL server; on Debian: apt-get install postgresql";
  expect(await lackingPostgres(join(dir, "nothing"))).toBe(line);
  await mkdir(join(dir, "15/bin"), { recursive: true });
  expect(await lackingPostgres(dir)).toBe(line);
});

test("a machine with both lacks nothing", async () => {
  await program("redis-server");
  await program("15/bin/postgres");
  expect(await lackingRedis([dir])).toBeUndefined();
  expect(await lackingPostgres(dir)).toBeUndefined();
});

test("a store that ends before it serves is explained by its own words, and leaves nothing behind", async () => {
  const started = start(await program("store", "echo the disk is full >&2", "exit 3"));
  await expect(started).rejects.toThrow("store ended with 3: the disk is full");
  expect(await readdir(join(dir, "folders"))).toEqual([]);
  expect(process.getActiveResourcesInfo()).not.toContain("ProcessWrap");
});

test("a store that cannot be run is one line, and leaves nothing behind", async () => {
  await expect(start(join(dir, "nothing"))).rejects.toThrow(/^store could not be run: .*ENOENT$/);
  expect(await readdir(join(dir, "folders"))).toEqual([]);
});

test("a store that ends unasked is reported, and one that was asked is not", async () => {
  const binary = await program("store", "echo I serve", "exec sleep 60");
  const killed = await start(binary);
  process.kill(killed.pid, "SIGKILL");
  await expect(killed.failed).rejects.toThrow("store ended with SIGKILL: I serve");
  await killed[Symbol.asyncDispose]();

  const asked = await start(binary);
  const failed = vi.fn<() => void>();
  asked.failed.catch(failed);
  await asked[Symbol.asyncDispose]();
  expect(failed).not.toHaveBeenCalled();
  expect(await readdir(join(dir, "folders"))).toEqual([]);
});

test("a port that was taken in the meantime is no reason to give up, any other is", async () => {
  const taken = await program("taken", "echo bind: Address already in use >&2", "exit 1");
  const serving = await program("serving", "echo I serve", "exec sleep 60");
  const binaries = [taken, serving];
  await using store = await onFreePort(() => start(binaries.shift() ?? ""));
  expect(store.version).toBe("1.0");

  const broken = [await program("broken", "exit 1"), serving];
  await expect(onFreePort(() => start(broken.shift() ?? ""))).rejects.toThrow("store ended with 1");
  expect(broken).toHaveLength(1);
});
