import { expect, test } from "vitest";
import type { DirectReader, StoredMessage } from "../../../lib/nats/direct-reader.ts";
import { type LogBatch, LogReplacedError, type LogTailOptions, tailLog } from "../../../lib/nats/log-tail.ts";
import { RecentWrites } from "../../../lib/nats/recent-writes.ts";
import { type StreamMessage, StreamPublisher } from "../../../lib/nats/stream-publisher.ts";
import { ensureTopology } from "../../../lib/nats/topology.ts";
import { TASKS_STREAM, TASKS_SUBJECTS } from "../../../lib/wire/subjects.ts";
import { type MeshLog, openMeshLog, TaskWriter, TENANT } from "../../support/mesh-log.ts";
import { systemClock } from "./system-clock.ts";

interface Tail extends Disposable {
  readonly batches: AsyncGenerator<LogBatch, void, undefined>;
  /** Reads on until a batch says that it has caught up with everything up to a sequence; returns what came on the way. */
  until(sequence: number): Promise<{ sequences: number[]; last: LogBatch }>;
}

function follow(
  log: MeshLog,
  from: Pick<LogTailOptions, "position" | "created"> & Partial<LogTailOptions> = { position: 0, created: "" },
): Tail {
  const stopping = new AbortController();
  const batches = tailLog({
    connection: log.connection,
    reader: log.reader,
    clock: systemClock,
    batchSize: 3,
    pollMs: 10,
    ...from,
    signal: stopping.signal,
    onTrouble: () => undefined,
  });
  return {
    batches,
    async until(sequence) {
      const sequences: number[] = [];
      for (;;) {
        const { value, done } = await batches.next();
        if (done === true) throw new Error("the tail ended");
        sequences.push(...value.messages.map((message) => message.sequence));
        if (value.position >= sequence && value.asOfMs !== undefined) return { sequences, last: value };
      }
    },
    [Symbol.dispose]: () => stopping.abort(),
  };
}

async function submitted(log: MeshLog, ...ids: string[]): Promise<number> {
  let sequence = 0;
  for (const id of ids) sequence = await new TaskWriter(log, id).submit();
  return sequence;
}

test("a tail hands over everything once and in order, then what comes new", async () => {
  await using log = await openMeshLog();
  using tail = follow(log);
  await submitted(log, "a", "b", "c", "d");
  expect((await tail.until(4)).sequences).toEqual([1, 2, 3, 4]);
  await submitted(log, "e");
  expect((await tail.until(5)).sequences).toEqual([5]);
});

test("a tail goes on after a restart of the broker, without a gap or a double", async () => {
  await using log = await openMeshLog();
  using tail = follow(log);
  await submitted(log, "a", "b");
  expect((await tail.until(2)).sequences).toEqual([1, 2]);
  await log.nats.kill();
  const next = tail.until(4);
  await log.nats.restart();
  await expect.poll(async () => await submitted(log, "c", "d").catch(() => 0), { timeout: 20_000 }).toBe(4);
  expect((await next).sequences).toEqual([3, 4]);
});

test("a tail passes over what was purged, at the start, in the middle and at the end", async () => {
  await using log = await openMeshLog();
  await submitted(log, "a", "b", "c", "d", "e", "f");
  for (const id of ["a", "c", "f"]) await log.taskLog.purge(TENANT, id);
  using tail = follow(log);
  const { sequences, last } = await tail.until(6);
  expect(sequences).toEqual([2, 4, 5]);
  expect(last.position).toBe(6);
});

test("a tail resumes exactly where another one stopped", async () => {
  await using log = await openMeshLog();
  await submitted(log, "a", "b", "c", "d", "e");
  using first = follow(log);
  const { value } = await first.batches.next();
  expect(value?.messages.map(({ sequence }) => sequence)).toEqual([1, 2, 3]);
  using second = follow(log, { position: value!.position, created: value!.created });
  expect((await second.until(5)).sequences).toEqual([4, 5]);
});

test("a tail says so when the stream was created anew", async () => {
  await using log = await openMeshLog();
  await submitted(log, "a");
  using tail = follow(log);
  await tail.until(1);
  await log.manager.streams.delete(TASKS_STREAM);
  await ensureTopology(log.connection, { replicas: 1, retentionMs: 600_000, maxBytes: -1, agentTtlMs: 5_000 });
  await submitted(log, "a", "b");
  await expect(tail.until(2)).rejects.toThrow(LogReplacedError);
});

test("a tail takes from this process what it stored itself, and reads the rest, as if it had read all", async () => {
  await using log = await openMeshLog();
  const recent = new RecentWrites(() => Date.now());
  const own = new StreamPublisher(log.connection, { onStored: (messages, last) => recent.stored(messages, last) });
  let read = 0;
  const reader = Object.assign(Object.create(log.reader) as DirectReader, {
    read: async (...query: Parameters<DirectReader["read"]>) => {
      const found = await log.reader.read(...query);
      read += found.length;
      return found;
    },
  });
  using tail = follow(log, { position: 0, created: "", reader, recent, batchSize: 1_000 });
  await tail.until(0);
  const event = (name: string): StreamMessage => ({
    subject: `task.${TENANT}.${name}.e`,
    body: Buffer.from(name),
    expected: 0,
    headers: { traceparent: `00-${"1".repeat(32)}-${"2".repeat(16)}-01`, tracestate: "" },
  });
  const publish = async (publisher: StreamPublisher, prefix: string, count: number): Promise<void> => {
    await Promise.all(Array.from({ length: count }, (_, i) => publisher.publish(event(`${prefix}${i}`))));
  };
  await publish(own, "a", 300);
  const both = Array.from({ length: 20 }, (_, i) => [publish(own, `b${i}-`, 1), publish(log.publisher, `c${i}-`, 1)]);
  await Promise.all(both.flat());
  await publish(own, "d", 300);

  const messages: StoredMessage[] = [];
  for await (const batch of tail.batches) {
    messages.push(...batch.messages);
    if (batch.position >= 640) break;
  }
  const standing = await log.reader.read(TASKS_STREAM, { seq: 1, next_by_subj: TASKS_SUBJECTS, batch: 1_000 });
  // Whoever stored it knows when only about.
  const told = (message: StoredMessage): unknown => ({
    ...message,
    storeMs: 0,
    body: Buffer.from(message.body).toString(),
  });
  expect(messages.map(told)).toEqual(standing.map(told));
  expect(read).toBeLessThanOrEqual(340);
});
