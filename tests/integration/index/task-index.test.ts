import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import {
  CountTasksRequestSchema,
  ListDeadLettersRequestSchema,
  ListTasksRequestSchema,
} from "../../../gen/mycel/v1/agent_service_pb.ts";
import { GetMetricsRequestSchema } from "../../../gen/mycel/v1/metrics_service_pb.ts";
import type { TaskState } from "../../../gen/mycel/v1/task_pb.ts";
import { silentLogger } from "../../../lib/core/logger.ts";
import { openNats } from "../../../lib/nats/connection.ts";
import { DirectReader } from "../../../lib/nats/direct-reader.ts";
import { Timers } from "../../../lib/nats/timers.ts";
import { ensureTopology } from "../../../lib/nats/topology.ts";
import { TASKS_STREAM } from "../../../lib/wire/subjects.ts";
import { encodeDispatch } from "../../../lib/wire/task-codec.ts";
import { timestampFromMs } from "../../../lib/wire/time-codec.ts";
import { openTaskIndex, type TaskIndex } from "../../../services/coordinator/index/task-index.ts";
import { type MeshLog, openMeshLog, TaskWriter, TENANT } from "../../support/mesh-log.ts";
import { systemClock } from "./system-clock.ts";

interface Server extends AsyncDisposable {
  readonly index: TaskIndex;
  crash(): Promise<void>;
}

async function serve(log: MeshLog, holderId: string, dataDir = ""): Promise<Server> {
  const connection = await openNats({ servers: log.nats.url, name: holderId });
  const reader = new DirectReader(connection);
  const index = await openTaskIndex({
    connection,
    reader,
    log: log.taskLog,
    timers: new Timers(log.publisher),
    clock: systemClock,
    logger: silentLogger,
    dataDir,
    holderId,
    retentionMs: 7 * 86_400_000,
    isHooked: async () => false,
    expireTask: async () => undefined,
  });
  return {
    index,
    crash: () => connection.close(),
    async [Symbol.asyncDispose]() {
      await index[Symbol.asyncDispose]();
      reader[Symbol.dispose]();
      await connection.close();
    },
  };
}

async function ids(
  { index }: Server,
  request: MessageInitShape<typeof ListTasksRequestSchema> = {},
): Promise<string[]> {
  const { tasks } = await index.listTasks(TENANT, create(ListTasksRequestSchema, { pageSize: 1_000, ...request }));
  return tasks.map(({ taskId }) => taskId).toSorted();
}

/** Waits until an index shows what is expected; it may lag by a moment and says so. */
async function shows(server: Server, expected: string[]): Promise<void> {
  await expect.poll(() => ids(server).catch(() => undefined), { timeout: 25_000, interval: 50 }).toEqual(expected);
}

async function dataFolder(): Promise<AsyncDisposable & { path: string }> {
  const path = await mkdtemp(join(tmpdir(), "mycel-index-"));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}

/** Submits tasks as fast as the broker takes them. */
async function submitMany(log: MeshLog, from: number, count: number): Promise<void> {
  const width = 250;
  for (let i = from; i < from + count; i += width) {
    const some = Array.from({ length: Math.min(width, from + count - i) }, (_, k) => `t${i + k}`);
    await Promise.all(
      some.map((taskId) =>
        log.taskLog.dispatch(
          {
            tenant: TENANT,
            taskId,
            queue: "echo",
            priority: 5,
            body: encodeDispatch({
              task: { taskId, type: "echo", queue: "echo", createTime: timestampFromMs(Date.now()) },
              attempt: 1,
            }),
            trace: { traceparent: "", tracestate: "" },
          },
          0,
        ),
      ),
    );
  }
}

test("20,000 tasks are listed in pages without holes or doubles while more are added", async () => {
  await using log = await openMeshLog();
  await submitMany(log, 0, 20_000);
  await using server = await serve(log, "one");
  const count = async (): Promise<number> => {
    const { totalCount } = await server.index.countTasks(TENANT, create(CountTasksRequestSchema));
    return Number(totalCount);
  };
  await expect.poll(() => count().catch(() => 0), { timeout: 30_000, interval: 50 }).toBe(20_000);
  const adding = submitMany(log, 20_000, 3_000);
  const seen: string[] = [];
  let pageToken = "";
  do {
    const request = create(ListTasksRequestSchema, { pageSize: 700, pageToken });
    const page = await server.index.listTasks(TENANT, request);
    seen.push(...page.tasks.map(({ taskId }) => taskId));
    pageToken = page.nextPageToken;
  } while (pageToken !== "");
  await adding;
  expect(new Set(seen).size).toBe(seen.length);
  const old = seen.filter((id) => Number(id.slice(1)) < 20_000);
  expect(old).toHaveLength(20_000);
  await expect.poll(count, { timeout: 30_000, interval: 50 }).toBe(23_000);
});

test("what was counted last is counted still after a restart, once", async () => {
  await using log = await openMeshLog();
  await using folder = await dataFolder();
  const submitted = async ({ index }: Server): Promise<number> => {
    const { metrics } = await index.getMetrics(TENANT, create(GetMetricsRequestSchema));
    return Number(metrics?.total?.submittedCount);
  };
  for (const before of [0, 3]) {
    await using server = await serve(log, "one", folder.path);
    await expect.poll(() => submitted(server).catch(() => -1), { timeout: 25_000, interval: 5 }).toBe(before);
    for (let n = before; n < before + 3; n += 1) {
      await submitMany(log, n, 1);
      await expect.poll(() => submitted(server), { timeout: 25_000, interval: 5 }).toBe(n + 1);
    }
  }
  await using server = await serve(log, "one", folder.path);
  await expect.poll(() => submitted(server).catch(() => -1), { timeout: 25_000, interval: 5 }).toBe(6);
});

test("an index whose file is deleted, torn or of another stream is built anew from the log", async () => {
  await using log = await openMeshLog();
  await using folder = await dataFolder();
  const file = join(folder.path, "task-index.sqlite");
  for (const id of ["a", "b"]) await new TaskWriter(log, id).submit();
  {
    await using server = await serve(log, "one", folder.path);
    await shows(server, ["a", "b"]);
  }
  await rm(file);
  {
    await using server = await serve(log, "one", folder.path);
    await shows(server, ["a", "b"]);
  }
  await writeFile(file, Buffer.alloc(8_192, "no database"));
  {
    await using server = await serve(log, "one", folder.path);
    await shows(server, ["a", "b"]);
  }
  await log.manager.streams.delete(TASKS_STREAM);
  await ensureTopology(log.connection, { replicas: 1, retentionMs: 600_000, maxBytes: -1, agentTtlMs: 5_000 });
  for (const id of ["c", "d", "e"]) await new TaskWriter(log, id).submit();
  {
    await using server = await serve(log, "one", folder.path);
    await shows(server, ["c", "d", "e"]);
  }
});

test("an index whose stream is created anew under it is built anew", async () => {
  await using log = await openMeshLog();
  await using server = await serve(log, "one");
  for (const id of ["a", "b"]) await new TaskWriter(log, id).submit();
  await shows(server, ["a", "b"]);
  await log.manager.streams.delete(TASKS_STREAM);
  await ensureTopology(log.connection, { replicas: 1, retentionMs: 600_000, maxBytes: -1, agentTtlMs: 5_000 });
  await new TaskWriter(log, "c").submit();
  await shows(server, ["c"]);
});

test("a kept file is read on from where it stood, and tasks that were purged meanwhile leave it", async () => {
  await using log = await openMeshLog();
  await using folder = await dataFolder();
  for (const id of ["a", "b"]) await new TaskWriter(log, id).submit();
  {
    await using server = await serve(log, "one", folder.path);
    await shows(server, ["a", "b"]);
  }
  await log.taskLog.purge(TENANT, "a");
  await new TaskWriter(log, "c").submit();
  await using server = await serve(log, "one", folder.path);
  await shows(server, ["b", "c"]);
});

test("a coordinator that does not hold the index asks the one that does, and is told its errors", async () => {
  await using log = await openMeshLog();
  await using holder = await serve(log, "one");
  const writer = new TaskWriter(log, "a");
  await writer.submit();
  await shows(holder, ["a"]);
  await using other = await serve(log, "two");
  expect([holder.index.held, other.index.held]).toEqual([true, false]);
  expect(await ids(other)).toEqual(["a"]);
  await writer.event({ state: "failed", agentId: "a-1" });
  const dead = async (server: Server): Promise<(string | undefined)[]> => {
    const { deadLetters } = await server.index.listDeadLetters(TENANT, create(ListDeadLettersRequestSchema));
    return deadLetters.map(({ task }) => task?.taskId);
  };
  await expect.poll(() => dead(other)).toEqual(["a"]);
  await expect(
    other.index.listTasks(TENANT, create(ListTasksRequestSchema, { pageToken: "é\n" })),
  ).rejects.toMatchObject({
    name: "MeshError",
    reason: "INVALID_REQUEST",
    violations: [{ field: "page_token" }],
  });
  const unknown = create(CountTasksRequestSchema, { filter: { states: [99 as TaskState] } });
  await expect(other.index.countTasks(TENANT, unknown)).rejects.toMatchObject({ reason: "INVALID_REQUEST" });
});

test("another coordinator serves the index after its holder has vanished, and says until when that it can't", async () => {
  await using log = await openMeshLog();
  await new TaskWriter(log, "a").submit();
  await using first = await serve(log, "one");
  await shows(first, ["a"]);
  await using second = await serve(log, "two");
  await first.crash();
  await expect(second.index.listTasks(TENANT, create(ListTasksRequestSchema))).rejects.toMatchObject({
    reason: "INDEX_UNAVAILABLE",
    retryDelayMs: 2_000,
  });
  await shows(second, ["a"]);
  expect(second.index.held).toBe(true);
});

test("the index goes on after a restart of the broker", async () => {
  await using log = await openMeshLog();
  await using server = await serve(log, "one");
  await new TaskWriter(log, "a").submit();
  await shows(server, ["a"]);
  await log.nats.kill();
  await log.nats.restart();
  await expect.poll(() => new TaskWriter(log, "b").submit().catch(() => 0), { timeout: 20_000 }).toBeGreaterThan(0);
  await shows(server, ["a", "b"]);
});
