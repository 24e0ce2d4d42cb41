// The queues of others do in the benchmark what ours does, on real stores. How fast is no test's business.

import { chmod, mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { afterEach, beforeEach, describe, expect, type TestContext, test, vi } from "vitest";
import { BULLMQ } from "../../../bench/contenders/bullmq/bullmq.ts";
import { GRAPHILE_WORKER } from "../../../bench/contenders/graphile-worker/graphile-worker.ts";
import { PG_BOSS } from "../../../bench/contenders/pg-boss/pg-boss.ts";
import type { Contender, ContenderKind, Durability } from "../../../bench/support/contender.ts";

const KINDS = [BULLMQ, GRAPHILE_WORKER, PG_BOSS] as const;
const WITH_WAITING = [BULLMQ, PG_BOSS] as const;
const TASKS = 50;
const INPUT_BYTES = 200;

let dir = "";

/** All folders of the stores are made in one that the test can look into. */
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "mycel-bench-peers-"));
  // PostgreSQL runs as another user when this is root, and must get through to its own folder.
  await chmod(dir, 0o755);
  vi.stubEnv("TMPDIR", dir);
});

afterEach(async () => {
  vi.unstubAllEnvs();
  await rm(dir, { recursive: true, force: true });
});

async function installed(kind: ContenderKind, context: TestContext): Promise<void> {
  const lacks = await kind.lacking();
  if (lacks !== undefined) context.skip(`${kind.id} left out: ${lacks}`);
}

async function open(kind: ContenderKind, durability: Durability = "second"): Promise<Contender> {
  return await kind.open({ environment: { ...process.env, TMPDIR: dir }, durability });
}

function idsOf(prefix: string): readonly string[] {
  return Array.from({ length: TASKS }, (_, i) => `${prefix}-${i}`);
}

async function* stream(ids: readonly string[]): AsyncGenerator<string> {
  yield* ids;
}

describe.for(KINDS)("$id", (kind) => {
  test("works off what is submitted in bulk, as a stream and one by one", async (context) => {
    await installed(kind, context);
    await using contender = await open(kind);
    const ways: Readonly<Record<string, (ids: readonly string[]) => Promise<unknown> | undefined>> = {
      bulk: (ids) => contender.submitBulk?.(ids, INPUT_BYTES),
      stream: (ids) => contender.submitStream?.(stream(ids), INPUT_BYTES),
      single: (ids) => Promise.all(ids.map(async (id) => contender.submitOne?.(id, "served", INPUT_BYTES))),
    };
    for (const [prefix, submit] of Object.entries(ways)) {
      const tasks = contender.track(prefix);
      await submit(idsOf(prefix));
      expect(await tasks.reach(TASKS)).toBeGreaterThan(0);
      await contender.settle();
    }
  });

  test("leaves alone what is parked", async (context) => {
    await installed(kind, context);
    await using contender = await open(kind);
    // Were they worked off, their ids would end twice before the last task has ended once.
    const tasks = contender.track("task");
    for (const id of idsOf("task")) await contender.submitOne?.(id, "parked", INPUT_BYTES);
    await contender.submitBulk?.(idsOf("task"), INPUT_BYTES);
    await contender.submitOne?.(`task-${TASKS}`, "served", INPUT_BYTES);
    expect(await tasks.reach(TASKS + 1)).toBeGreaterThan(0);
  });

  test("runs at full durability too, and says so", async (context) => {
    await installed(kind, context);
    await using contender = await open(kind, "always");
    expect(contender.title).toMatch(
      /^\S+ \d+\.\d+\.\d+ on (Redis|PostgreSQL) [\d.]+, (appendfsync always|synchronous_commit on)$/,
    );
    const tasks = contender.track("task");
    await contender.submitBulk?.(idsOf("task"), INPUT_BYTES);
    await tasks.reach(TASKS);
  });

  test("tells when a process of its own is killed, and leaves nothing behind", async (context) => {
    await installed(kind, context);
    const contender = await open(kind);
    const { client, ...others } = contender.pids;
    expect(client).toBe(process.pid);
    expect(Object.keys(others)).toEqual(["worker", "store"]);
    process.kill(others["worker"] ?? 0, "SIGKILL");
    await expect(contender.failed).rejects.toThrow(/worker\.ts ended with SIGKILL/);
    await contender[Symbol.asyncDispose]();
    for (const pid of Object.values(others)) expect(() => process.kill(pid, 0)).toThrow("ESRCH");
    expect(await readdir(dir)).toEqual([]);
  });

  test("leaves nothing behind when its worker does not start", async (context) => {
    await installed(kind, context);
    const environment = { ...process.env, NODE_OPTIONS: "--no-such-option" };
    const opened = kind.open({ environment, durability: "second" });
    await expect(opened).rejects.toThrow(/worker\.ts ended before it was ready: .*--no-such-option/);
    expect(await readdir(dir)).toEqual([]);
    expect(process.getActiveResourcesInfo()).not.toContain("ProcessWrap");
  });
});

test.for(WITH_WAITING)("$id tells a submitter when its task has ended", async (kind, context) => {
  await installed(kind, context);
  await using contender = await open(kind);
  for (const id of ["first-0", "second-0"]) {
    const tasks = contender.track(id.slice(0, -2));
    expect(await contender.runOne?.(id, INPUT_BYTES)).toBeGreaterThan(0);
    await tasks.reach(1);
    await contender.settle();
  }
});
