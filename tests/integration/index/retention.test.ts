import type { DatabaseSync } from "node:sqlite";
import { expect, test } from "vitest";
import { silentLogger } from "../../../lib/core/logger.ts";
import { MeshError, taskNotFound } from "../../../lib/core/mesh-error.ts";
import { parseTaskSubject } from "../../../lib/wire/subjects.ts";
import { openDatabase } from "../../../services/coordinator/index/database.ts";
import { TaskTable } from "../../../services/coordinator/index/task-table.ts";
import { openRetention, type Retention, retentionMarginMs } from "../../../services/coordinator/index/retention.ts";
import { type MeshLog, openMeshLog, TaskWriter, TENANT } from "../../support/mesh-log.ts";
import { MovedClock } from "./system-clock.ts";

const DAY_MS = 86_400_000;
/** When TaskWriter's events happen, plus the default result_ttl. */
const EXPIRE_MS = 2_000 + DAY_MS;

interface Setup extends AsyncDisposable {
  readonly log: MeshLog;
  readonly clock: MovedClock;
  readonly database: DatabaseSync;
  readonly retention: Retention;
  readonly expireCalls: string[];
  /** The tasks whose hooks were asked for. */
  readonly hookCalls: string[];
  /** Brings the rows up to the log. */
  catchUp(): Promise<void>;
  rows(): string[];
  /** The tasks of which anything stands in a stream. */
  logged(stream: "MYCEL_TASKS" | "MYCEL_OUTPUT"): Promise<string[]>;
}

async function setup(
  options: { inherited?: number; hooked?: ReadonlySet<string>; expireTask?: (taskId: string) => Promise<void> } = {},
): Promise<Setup> {
  const log = await openMeshLog();
  const clock = new MovedClock(EXPIRE_MS - 1);
  const database = openDatabase({ dataDir: "" });
  const table = new TaskTable(database);
  const expireCalls: string[] = [];
  const hookCalls: string[] = [];
  const retention = openRetention({
    rows: { database, table, inherited: options.inherited ?? 0 },
    log: log.taskLog,
    isHooked: async (_tenant, taskId) => {
      hookCalls.push(taskId);
      return options.hooked?.has(taskId) === true;
    },
    expireTask: async (_tenant, taskId) => {
      expireCalls.push(taskId);
      await options.expireTask?.(taskId);
    },
    clock,
    logger: silentLogger,
    retentionMs: 7 * DAY_MS,
    intervalMs: 3_600_000,
  });
  await retention.round();
  return {
    log,
    clock,
    database,
    retention,
    expireCalls,
    hookCalls,
    async catchUp() {
      const query = { seq: 1, next_by_subj: "task.>", batch: 1_000 };
      const messages = await log.reader.read("MYCEL_TASKS", query);
      table.apply({ messages, position: messages.at(-1)?.sequence ?? 0, created: "once" });
    },
    rows: () =>
      database
        .prepare("SELECT task_id FROM tasks ORDER BY task_id")
        .all()
        .map((row) => String(row["task_id"])),
    async logged(stream) {
      const filter = stream === "MYCEL_TASKS" ? "task.>" : "out.>";
      const messages = await log.reader.read(stream, { seq: 1, next_by_subj: filter, batch: 1_000 });
      const found = messages.map(({ subject }) => parseTaskSubject(subject)?.taskId ?? subject.split(".")[2] ?? "");
      return [...new Set(found)].toSorted();
    },
    async [Symbol.asyncDispose]() {
      await retention[Symbol.asyncDispose]();
      database.close();
      await log[Symbol.asyncDispose]();
    },
  };
}

test("an ended task with a webhook is kept until its end is taken up for delivery; nobody asks about the others", async () => {
  const hooked = new Set(["hooked"]);
  await using s = await setup({ hooked });
  for (const [taskId, endpoint] of [
    ["hooked", "e"],
    ["delivered", "e"],
    ["plain", undefined],
  ] as const) {
    const task = new TaskWriter(s.log, taskId);
    await task.submit(endpoint);
    await task.begin("a-1", 1);
    await task.complete("a-1", 1, 0);
  }
  await s.catchUp();
  s.clock.ms = EXPIRE_MS;
  expect(await s.retention.round()).toMatchObject({ purged: 2 });
  expect([await s.logged("MYCEL_TASKS"), s.rows()]).toEqual([["hooked"], ["hooked"]]);
  hooked.clear();
  expect(await s.retention.round()).toMatchObject({ purged: 1 });
  expect([await s.logged("MYCEL_TASKS"), s.rows()]).toEqual([[], []]);
  expect(new Set(s.hookCalls)).toEqual(new Set(["hooked", "delivered"]));
});

test("an ended task is purged with its outputs when its time is over, and not a millisecond before", async () => {
  await using s = await setup();
  const done = new TaskWriter(s.log, "done");
  await done.submit();
  await done.begin("a-1", 1);
  await done.complete("a-1", 1, await done.output("a-1", 1, "x", "y"));
  const open = new TaskWriter(s.log, "open");
  await open.submit();
  await open.begin("a-1", 1);
  await open.output("a-1", 1, "z");
  await s.catchUp();

  expect(await s.retention.round()).toEqual({ purged: 0, expired: 0, forgotten: 0 });
  expect(await s.logged("MYCEL_TASKS")).toEqual(["done", "open"]);

  s.clock.ms = EXPIRE_MS;
  expect(await s.retention.round()).toEqual({ purged: 1, expired: 0, forgotten: 0 });
  expect(await s.logged("MYCEL_TASKS")).toEqual(["open"]);
  expect(await s.logged("MYCEL_OUTPUT")).toEqual(["open"]);
  expect(s.rows()).toEqual(["open"]);
});

test("the log decides, not the row: a row that wrongly says expired harms nothing", async () => {
  await using s = await setup();
  await new TaskWriter(s.log, "open").submit();
  const done = new TaskWriter(s.log, "done");
  await done.submit();
  await done.complete("a-1", 1, 0);
  await s.catchUp();
  s.clock.ms = EXPIRE_MS - 1;
  forge(s, "open", 1);
  forge(s, "done", 1);
  expect(await s.retention.round()).toEqual({ purged: 0, expired: 0, forgotten: 0 });
  expect(await s.logged("MYCEL_TASKS")).toEqual(["done", "open"]);
});

test("the row of a task that somebody else purged is forgotten", async () => {
  await using s = await setup();
  const done = new TaskWriter(s.log, "done");
  await done.submit();
  await done.complete("a-1", 1, 0);
  await s.catchUp();
  await s.log.taskLog.purge(TENANT, "done");
  s.clock.ms = EXPIRE_MS;
  expect(await s.retention.round()).toEqual({ purged: 0, expired: 0, forgotten: 1 });
  expect(s.rows()).toEqual([]);
});

test("more tasks than one batch are purged in one round", async () => {
  await using s = await setup();
  for (let i = 0; i < 450; i += 1) {
    const writer = new TaskWriter(s.log, `t${i}`);
    await writer.submit();
    await writer.complete("a-1", 1, 0);
  }
  await s.catchUp();
  s.clock.ms = EXPIRE_MS;
  expect(await s.retention.round()).toEqual({ purged: 450, expired: 0, forgotten: 0 });
  expect(await s.logged("MYCEL_TASKS")).toEqual([]);
});

test("an open task is ended when its log is about to expire, and not before", async () => {
  await using s = await setup({
    expireTask: async (taskId) => {
      if (taskId === "gone") throw taskNotFound(taskId);
    },
  });
  await new TaskWriter(s.log, "open").submit();
  await new TaskWriter(s.log, "gone").submit();
  const done = new TaskWriter(s.log, "done");
  await done.submit();
  await done.complete("a-1", 1, 0);
  await s.catchUp();
  await s.log.taskLog.purge(TENANT, "gone");
  // TaskWriter's tasks are created at 1,000 ms.
  const dueMs = 1_000 + 7 * DAY_MS - retentionMarginMs(7 * DAY_MS);
  s.clock.ms = dueMs - 1;
  await s.retention.round();
  expect(s.expireCalls).toEqual([]);
  s.clock.ms = dueMs;
  expect(await s.retention.round()).toMatchObject({ expired: 1, forgotten: 1 });
  expect(s.expireCalls.toSorted()).toEqual(["gone", "open"]);
  expect(s.rows()).toEqual(["open"]);
});

test("a broker that does not answer fails the round, and the next one goes on", async () => {
  let answers = false;
  await using s = await setup({
    expireTask: async () => {
      if (!answers) throw new MeshError("BROKER_UNAVAILABLE", "no answer");
    },
  });
  await new TaskWriter(s.log, "open").submit();
  await s.catchUp();
  s.clock.ms = 8 * DAY_MS;
  await expect(s.retention.round()).rejects.toMatchObject({ reason: "BROKER_UNAVAILABLE" });
  answers = true;
  expect(await s.retention.round()).toMatchObject({ expired: 1 });
});

/** Makes a row say what is not true. */
function forge(s: Setup, taskId: string, expireMs: number): void {
  s.database.prepare("UPDATE tasks SET expire_ms = ? WHERE task_id = ?").run(expireMs, taskId);
}
