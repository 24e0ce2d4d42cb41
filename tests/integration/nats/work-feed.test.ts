// A coordinator's own queues on a real server: what one of them had in hand when it died, another handles soon; what one is slow with,
// no other handles at the same time.
import { jetstream, jetstreamManager, type JetStreamManager } from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/nats-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openNats } from "../../../lib/nats/connection.ts";
import { ensureTimersConsumer } from "../../../lib/nats/topology.ts";
import { WorkFeed } from "../../../lib/nats/work-feed.ts";
import { TIMERS_CONSUMER, TIMERS_STREAM } from "../../../lib/wire/subjects.ts";
import { openRawNats } from "../../fuzz/raw-nats.ts";
import { openTestNats, type TestNats } from "../../support/nats.ts";

const SUBJECT = "timer.fired.default.some-task.dispatch";
let nats: TestNats;
let connection: NatsConnection;
let manager: JetStreamManager;

beforeAll(async () => {
  nats = await openTestNats();
  connection = await openNats({ servers: nats.url, name: "test" });
  manager = await jetstreamManager(connection);
});

afterAll(async () => {
  await connection.close();
  await nats[Symbol.asyncDispose]();
});

test("what a killed coordinator had in hand is handled by another one well before a lease is over", async () => {
  await manager.streams.add({ name: TIMERS_STREAM, subjects: ["timer.>"] });
  await ensureTimersConsumer(manager);
  await jetstream(connection).publish(SUBJECT);
  // It takes the message and is never heard of again.
  const consumer = await jetstream(connection).consumers.get(TIMERS_STREAM, TIMERS_CONSUMER);
  expect((await consumer.next())?.seq).toBe(1);

  const handled = Promise.withResolvers<number>();
  await using _feed = new WorkFeed({
    connection,
    stream: TIMERS_STREAM,
    consumer: TIMERS_CONSUMER,
    ensure: () => ensureTimersConsumer(manager),
    maxInHand: 8,
    handle: async ({ seq }) => {
      handled.resolve(seq);
      return await Promise.resolve({ kind: "ack" });
    },
    onError: handled.reject,
  });

  expect(await handled.promise).toBe(1);
}, 15_000);

test("what takes longer than the broker waits is not handled twice", async () => {
  await manager.streams.add({ name: "SLOW", subjects: ["slow"] });
  const ensure = (): Promise<unknown> =>
    manager.consumers.add("SLOW", { durable_name: "slow", ack_policy: "explicit", ack_wait: 500_000_000 });
  await ensure();
  await jetstream(connection).publish("slow");
  // In-progress acknowledgements, counted as the broker gets them: six of them last twice as long as it would wait.
  const kept = Promise.withResolvers<void>();
  let signs = 0;
  connection.subscribe("$JS.ACK.SLOW.>", {
    callback: (_error, message) => {
      if (message.string() === "+WPI" && (signs += 1) === 6) kept.resolve();
    },
  });
  let calls = 0;
  const feed = new WorkFeed({
    connection,
    stream: "SLOW",
    consumer: "slow",
    ensure,
    maxInHand: 8,
    handle: async () => {
      calls += 1;
      await kept.promise;
      return { kind: "ack" };
    },
    onError: kept.reject,
  });
  await kept.promise;
  await feed[Symbol.asyncDispose]();

  const { num_redelivered: redelivered } = await manager.consumers.info("SLOW", "slow");
  expect([calls, redelivered]).toEqual([1, 0]);
}, 15_000);

test("a refusal is told when the broker repeats it: anybody can say so once", async () => {
  await manager.streams.add({ name: "REFUSED", subjects: ["refused"] });
  const ensure = (): Promise<unknown> =>
    manager.consumers.add("REFUSED", { durable_name: "refused", ack_policy: "explicit" });
  await ensure();
  await using anybody = await openRawNats(nats.url);
  const header = Buffer.from("NATS/1.0 400 Bad Request\r\n\r\n");
  const heard: string[] = [];
  const told = Promise.withResolvers<unknown>();
  // Each pull has an inbox of its own.
  const inboxes = new Set<string>();
  connection.subscribe("$JS.API.CONSUMER.MSG.NEXT.REFUSED.refused", {
    callback: (_, { reply = "" }) => {
      if (inboxes.has(reply) || inboxes.size === 2) return;
      inboxes.add(reply);
      heard.push(`refused ${inboxes.size}`);
      // Its connection may be closed before the broker has taken the last one in.
      anybody.publish({ subject: reply, body: new Uint8Array(), header }).catch(() => undefined);
    },
  });
  await connection.flush();
  await using _feed = new WorkFeed({
    connection,
    stream: "REFUSED",
    consumer: "refused",
    ensure,
    maxInHand: 8,
    handle: () => Promise.resolve({ kind: "ack" }),
    onError: (error) => {
      heard.push("told");
      told.resolve(error);
    },
  });

  expect(await told.promise).toMatchObject({ message: "bad request" });
  expect(heard).toEqual(["refused 1", "refused 2", "told"]);
}, 15_000);
