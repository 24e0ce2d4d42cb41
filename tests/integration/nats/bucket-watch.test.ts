// What a watch of a bucket believes: the broker's deliveries to its own consumer, and nothing else that comes to its inbox.

import { type ConsumerConfig, jetstream, jetstreamManager, type JetStreamManager } from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/nats-core";
import { expect, test } from "vitest";
import { type BucketChange, watchBucket } from "../../../lib/nats/bucket-watch.ts";
import { openNats } from "../../../lib/nats/connection.ts";
import { onInterruption } from "../../../lib/nats/interruptions.ts";
import { ensureTopology } from "../../../lib/nats/topology.ts";
import { bucketStream, bucketSubject, QUEUES_BUCKET } from "../../../lib/wire/subjects.ts";
import { FUZZ_SEED, randomFrom } from "../../fuzz/fuzz-run.ts";
import { garbageFor } from "../../fuzz/nats-garbage.ts";
import { openRawNats, type RawNats } from "../../fuzz/raw-nats.ts";
import { announceLeader } from "../../support/advisories.ts";
import { openTestNats } from "../../support/nats.ts";

const STREAM = bucketStream(QUEUES_BUCKET);
const text = (block: string): Uint8Array => Buffer.from(block, "latin1");

test("garbage in its inbox ends no watch, and is taken for no change", async () => {
  await using bucket = await openBucket();
  await using watch = await bucket.watch();
  const { deliver_subject: inbox = "" } = await bucket.consumer();

  await bucket.anybody.publish(...garbageFor(inbox, randomFrom(FUZZ_SEED)));
  for (const delivery of ["$JS.ACK", `$JS.ACK.${STREAM}.other.1.1.1.1.0`, `$JS.ACK.${STREAM}.other.1.x.-1.NaN.0`]) {
    await bucket.anybody.publish({ subject: inbox, reply: delivery, body: text("forged") });
  }
  await bucket.put("a.b", "1");
  await watch.told("put a.b 1");

  expect(watch.changes).toEqual(["put a.b 1"]);
});

test("what only looks like the broker's word of a watch is not believed, and answered nowhere", async () => {
  await using bucket = await openBucket();
  await using watch = await bucket.watch();
  const { deliver_subject: inbox = "" } = await bucket.consumer();
  const answers: string[] = [];
  bucket.connection.subscribe("elsewhere.>", { callback: (_, { subject }) => void answers.push(subject) });
  await bucket.connection.flush();
  const body = new Uint8Array();
  const say = (status: string, reply?: string): Promise<void> =>
    bucket.anybody.publish({ subject: inbox, reply, body, header: text(`NATS/1.0 ${status}\r\n\r\n`) });

  await say("100 FlowControl Request", "elsewhere.asked");
  await say("100 Idle Heartbeat\r\nNats-Last-Consumer: 99\r\nNats-Last-Stream: 99");
  await say("100 Idle Heartbeat\r\nNats-Last-Consumer: 0\r\nNats-Consumer-Stalled: elsewhere.stalled");
  await say("409 Consumer Deleted");
  await say("409 Leadership Change");
  await bucket.put("a.b", "1");
  await watch.told("put a.b 1");

  expect(watch.changes).toEqual(["put a.b 1"]);
  await bucket.connection.flush();
  expect(answers).toEqual([]);
});

test("a value whose headers are none is told like any other", async () => {
  await using bucket = await openBucket();
  await using watch = await bucket.watch();

  const subject = bucketSubject(QUEUES_BUCKET, "a.b");
  await bucket.anybody.publish({ subject, body: text("1"), header: text("NATS/1.0\r\nbad name: x\r\n\r\n") });
  await bucket.put("a.b", "2");
  await watch.told("put a.b 2");

  expect(watch.changes).toEqual(["put a.b 1", "put a.b 2"]);
});

test("a bucket that holds more than the broker sends at once is told whole", async () => {
  await using bucket = await openBucket();
  const keys = Array.from({ length: 160 }, (_, at) => `t.${at}`);
  for (const key of keys) await bucket.put(key, "x".repeat(65_536));
  const allowed: string[] = [];
  bucket.connection.subscribe("$JS.FC.>", { callback: (_, { subject }) => void allowed.push(subject) });
  await bucket.connection.flush();

  await using watch = await bucket.watch();

  expect(watch.changes.length).toBe(keys.length);
  const { name } = await bucket.consumer();
  // It asked whether it may go on, and was told so by the watch.
  expect(allowed).toEqual(expect.arrayContaining([expect.stringContaining(`.${STREAM}.${name}.`)]));
});

test("a watch that the broker has forgotten ends within seconds", async () => {
  await using bucket = await openBucket();
  await using watch = await bucket.watch();

  const { name = "" } = await bucket.consumer();
  await bucket.manager.consumers.delete(STREAM, name);

  await expect(watch.ended).rejects.toThrow("the consumer is gone");
});

test("whatever is published where elections are told is none", async () => {
  await using bucket = await openBucket();
  let interruptions = 0;
  using _ = onInterruption(bucket.connection, () => (interruptions += 1));
  await using watch = await bucket.watch();

  await bucket.anybody.publish(
    ...garbageFor("$JS.EVENT.ADVISORY.STREAM.LEADER_ELECTED.*", randomFrom(FUZZ_SEED)),
    { subject: "$JS.EVENT.ADVISORY.STREAM.LEADER_ELECTED.A", body: text("null") },
    { subject: "$JS.EVENT.ADVISORY.STREAM.LEADER_ELECTED.A", body: text('{"stream":"A"}') },
  );
  await bucket.put("a.b", "1");
  await watch.told("put a.b 1");
  expect(interruptions).toBe(0);

  announceLeader(bucket.connection, STREAM);
  await expect(watch.ended).rejects.toThrow("a leader was replaced");
  expect(interruptions).toBe(1);
});

interface Watch extends AsyncDisposable {
  /** What it has told, as in `put key value`. */
  readonly changes: readonly string[];
  /** Resolves when it has told that; rejects when it broke. */
  told(change: string): Promise<void>;
  /** What became of it. */
  readonly ended: Promise<void>;
}

interface Bucket extends AsyncDisposable {
  readonly connection: NatsConnection;
  readonly manager: JetStreamManager;
  /** Somebody else in the same account. */
  readonly anybody: RawNats;
  put(key: string, value: string): Promise<void>;
  /** Begins a watch; resolves when it has told what stood. */
  watch(): Promise<Watch>;
  /** How the broker keeps the watch. */
  consumer(): Promise<ConsumerConfig>;
}

async function openBucket(): Promise<Bucket> {
  const stack = new AsyncDisposableStack();
  const nats = stack.use(await openTestNats());
  const connection = stack.adopt(await openNats({ servers: nats.url, name: "test" }), (opened) => opened.close());
  await ensureTopology(connection, { replicas: 1, retentionMs: 86_400_000, maxBytes: -1, agentTtlMs: 60_000 });
  const manager = await jetstreamManager(connection);
  return {
    connection,
    manager,
    anybody: stack.use(await openRawNats(nats.url)),
    put: async (key, value) => void (await jetstream(connection).publish(bucketSubject(QUEUES_BUCKET, key), value)),
    watch: () => openWatch(connection),
    consumer: async () => {
      const [info] = await manager.consumers.list(STREAM).next();
      return info!.config;
    },
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}

async function openWatch(connection: NatsConnection): Promise<Watch> {
  const changes: string[] = [];
  const stopping = new AbortController();
  const synced = Promise.withResolvers<void>();
  let heard = (): void => undefined;
  const ended = watchBucket({
    connection,
    bucket: QUEUES_BUCKET,
    signal: stopping.signal,
    onChange: ({ kind, key, value }: BucketChange) => {
      changes.push(`${kind} ${key} ${new TextDecoder().decode(value)}`);
      heard();
    },
    onSynced: synced.resolve,
  });
  await Promise.race([synced.promise, ended]);
  return {
    changes,
    ended,
    told: async (change) => {
      while (!changes.includes(change)) {
        await Promise.race([new Promise<void>((resolve) => (heard = resolve)), ended]);
      }
    },
    [Symbol.asyncDispose]: async () => {
      stopping.abort();
      await ended.catch(() => undefined);
    },
  };
}
