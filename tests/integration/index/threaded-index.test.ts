import { once } from "node:events";
import { mkdtemp, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import type { Worker } from "node:worker_threads";
import { create } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { ListTasksRequestSchema } from "../../../gen/mycel/v1/agent_service_pb.ts";
import type { LogFields, Logger } from "../../../lib/core/logger.ts";
import { type NatsConnection, openNats } from "../../../lib/nats/connection.ts";
import { StreamPublisher } from "../../../lib/nats/stream-publisher.ts";
import { TaskLog } from "../../../lib/nats/task-log.ts";
import { writeRingMemory, WriteRingWriter } from "../../../lib/nats/write-ring.ts";
import { openThreadedIndex, type ThreadedIndex } from "../../../services/coordinator/index/threaded-index.ts";
import { type MeshLog, openMeshLog, TaskWriter, TENANT } from "../../support/mesh-log.ts";

interface Served extends AsyncDisposable {
  readonly index: ThreadedIndex;
  readonly connection: NatsConnection;
  readonly threads: readonly Worker[];
  readonly lines: readonly string[];
  /** The log of tasks, as a coordinator that tells the thread of what it stores writes it. */
  readonly log: MeshLog;
  close(): Promise<void>;
}

async function serve(mesh: MeshLog, { dataDir = "", url = mesh.nats.url } = {}): Promise<Served> {
  const stack = new AsyncDisposableStack();
  const connection = stack.adopt(await openNats({ servers: mesh.nats.url, name: "one" }), (opened) => opened.close());
  const threads: Worker[] = [];
  const noted = (thread: Worker): void => void threads.push(thread);
  process.on("worker", noted);
  stack.defer(() => void process.off("worker", noted));
  const lines: string[] = [];
  const write = (fields: LogFields, message: string): void => {
    const { err } = fields;
    lines.push(err instanceof Error ? `${message}: ${err.message}` : message);
  };
  const logger: Logger = { debug() {}, info: write, warn: write, error: write, child: () => logger };
  const writes = writeRingMemory();
  const ring = new WriteRingWriter(writes, Date.now);
  const publisher = new StreamPublisher(connection, { onStored: (messages, last) => ring.stored(messages, last) });
  const config = {
    natsUrls: [url],
    natsTls: undefined,
    natsTrustDir: "",
    dataDir,
    retentionMs: 7 * 86_400_000,
    leaseMs: 30_000,
    queueDepthLimit: 1_000,
    maxQueues: 10,
  };
  const started = once(process, "worker");
  const index = stack.use(openThreadedIndex({ connection, config, holderId: "one", writes, logger }));
  await started;
  const { manager, reader } = mesh;
  const log = { ...mesh, taskLog: new TaskLog({ connection, manager, publisher, reader }) };
  const close = (): Promise<void> => stack.disposeAsync();
  return { index, connection, threads, lines, log, close, [Symbol.asyncDispose]: close };
}

async function ids({ index }: Pick<Served, "index">): Promise<string[]> {
  const { tasks } = await index.listTasks(TENANT, create(ListTasksRequestSchema, { pageSize: 1_000 }));
  return tasks.map(({ taskId }) => taskId).toSorted();
}

async function shows(served: Pick<Served, "index">, expected: string[]): Promise<void> {
  await expect.poll(() => ids(served).catch(String), { timeout: 25_000, interval: 50 }).toEqual(expected);
}

async function dataFolder(): Promise<AsyncDisposable & { path: string }> {
  const path = await mkdtemp(join(tmpdir(), "mycel-index-"));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}

test("a thread lists what its process stores and what others store", { timeout: 30_000 }, async () => {
  await using mesh = await openMeshLog();
  await new TaskWriter(mesh, "before").submit();
  await using served = await serve(mesh);
  await shows(served, ["before"]);
  await new TaskWriter(served.log, "own").submit();
  await new TaskWriter(mesh, "others").submit();
  await shows(served, ["before", "others", "own"]);
});

test("a thread that is open serves at once", { timeout: 30_000 }, async () => {
  await using mesh = await openMeshLog();
  await new TaskWriter(mesh, "a").submit();
  await using served = await serve(mesh);
  await served.index.opened;
  expect(await ids(served)).toEqual(["a"]);
});

test("until somebody holds the index, a list is refused with a time to come again", async () => {
  await using mesh = await openMeshLog();
  await using served = await serve(mesh);
  await expect(ids(served)).rejects.toMatchObject({ reason: "INDEX_UNAVAILABLE", retryDelayMs: 2_000 });
});

test("a thread that dies is told of in one line and started again, on the same file", { timeout: 60_000 }, async () => {
  await using mesh = await openMeshLog();
  await using folder = await dataFolder();
  await new TaskWriter(mesh, "a").submit();
  await using served = await serve(mesh, { dataDir: folder.path });
  await shows(served, ["a"]);
  const file = join(folder.path, "task-index.sqlite");
  const { ino } = await stat(file);
  await served.threads[0]!.terminate();
  await new TaskWriter(served.log, "b").submit();
  await shows(served, ["a", "b"]);
  expect(served.threads).toHaveLength(2);
  expect(served.lines.filter((line) => line.includes("died"))).toEqual([
    "the index's thread died; it is started again: it ended with code 1",
  ]);
  // It went on with the file: one that is in somebody's hands or damaged is made anew, or done without.
  expect((await stat(file)).ino).toBe(ino);
  await served.close();
  expect((await stat(`${file}-wal`).catch(() => undefined))?.size ?? 0).toBe(0);
});

test("what a thread that cannot start dies of is told, and its process goes on", { timeout: 30_000 }, async () => {
  await using mesh = await openMeshLog();
  await using served = await serve(mesh, { url: "nats://127.0.0.1:1" });
  await expect
    .poll(() => served.lines, { timeout: 20_000, interval: 50 })
    .toContain("the index's thread died; it is started again: no NATS server answers at nats://127.0.0.1:1");
  await expect(ids(served)).rejects.toMatchObject({ reason: "INDEX_UNAVAILABLE" });
});

test("on disposal the role is laid down at once, and the thread is gone", { timeout: 30_000 }, async () => {
  await using mesh = await openMeshLog();
  await new TaskWriter(mesh, "a").submit();
  const first = await serve(mesh);
  await shows(first, ["a"]);
  const ended = once(first.threads[0]!, "exit");
  await using second = await serve(mesh);
  await first.close();
  expect(await ended).toEqual([0]);
  expect(first.lines.slice(-1)).toEqual(["role laid down"]);
  await shows(second, ["a"]);
});

test("one that is disposed of before it has started leaves nothing behind", { timeout: 30_000 }, async () => {
  await using mesh = await openMeshLog();
  const served = await serve(mesh);
  const ended = once(served.threads[0]!, "exit");
  await served.close();
  expect(await ended).toEqual([0]);
  expect(served.lines.filter((line) => line.includes("died"))).toEqual([]);
});
