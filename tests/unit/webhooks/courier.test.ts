// What a courier posts when, how many at once, and what it stores of it; with time that only the test moves, and a store in memory.
import { setImmediate } from "node:timers/promises";
import { create } from "@bufbuild/protobuf";
import { afterEach, describe, expect, test } from "vitest";
import { WebhookDeliveryRecordSchema } from "../../../gen/mycel/v1/webhook_log_pb.ts";
import {
  WebhookAttemptSchema,
  type WebhookDelivery,
  WebhookDeliverySchema,
  WebhookDeliveryState,
  WebhookDisabledReason,
  WebhookEndpointSchema,
  WebhookFailureReason,
} from "../../../gen/mycel/v1/webhook_pb.ts";
import type { WebhookOutcome } from "../../../lib/core/webhook-attempt.ts";
import type { PostingLimits } from "../../../lib/core/webhook-delivery.ts";
import type { StoredDelivery } from "../../../lib/nats/webhook-deliveries.ts";
import type { StoredEndpoint } from "../../../lib/nats/webhook-endpoints.ts";
import { timestampFromMs } from "../../../lib/wire/time-codec.ts";
import type { SoundDeliveryRecord } from "../../../lib/wire/webhook-records.ts";
import { Courier } from "../../../services/coordinator/webhooks/courier.ts";
import { DeliveryBook } from "../../../services/coordinator/webhooks/delivery-book.ts";
import { soon } from "../../support/soon.ts";

const TENANT = "default";
const START_MS = 1_000_000;
const POLICY = { delaysMs: [5_000, 30_000], maxRetryAfterMs: 3_600_000 };
const OK: WebhookOutcome = { status: 200, retryAfterMs: undefined };
const DOWN: WebhookOutcome = { status: 0, retryAfterMs: undefined };

/** One posting that waits for its answer. */
interface Open {
  readonly deliveryId: string;
  readonly endpointId: string;
  answer(outcome: WebhookOutcome): void;
}

class Store {
  readonly records = new Map<string, StoredDelivery>();
  readonly endpoints = new Map<string, StoredEndpoint>();
  revision = 0;

  async get(_tenant: string, deliveryId: string): Promise<StoredDelivery | undefined> {
    return this.records.get(deliveryId);
  }

  async write(tenant: string, record: SoundDeliveryRecord, revision: number): Promise<number | undefined> {
    const deliveryId = record.delivery.deliveryId;
    if ((this.records.get(deliveryId)?.revision ?? 0) !== revision) return undefined;
    this.revision += 1;
    this.records.set(deliveryId, { tenant, deliveryId, record, revision: this.revision });
    return this.revision;
  }

  delivery(deliveryId: string): WebhookDelivery {
    return this.records.get(deliveryId)!.record.delivery;
  }
}

/** A book that tells how often the courier has looked into it. */
class WatchedBook extends DeliveryBook {
  looks = 0;

  override waitingReceivers(): readonly string[] {
    this.looks += 1;
    return super.waitingReceivers();
  }
}

const stacks: AsyncDisposableStack[] = [];
afterEach(async () => {
  for (const stack of stacks.splice(0)) await stack.disposeAsync();
});

function setup(limits: PostingLimits = { total: 100, perEndpoint: 3, perFailingEndpoint: 1 }) {
  const stack = new AsyncDisposableStack();
  stacks.push(stack);
  const store = new Store();
  const book = stack.use(new WatchedBook());
  const clock = { ms: START_MS, now: () => clock.ms, monotonicMs: () => performance.now() };
  const open: Open[] = [];
  const troubles: unknown[] = [];
  const courier = stack.use(
    new Courier({
      book,
      deliveries: store,
      endpoints: {
        get: async (_tenant, id) => store.endpoints.get(id),
        write: async (_tenant, endpoint, secrets, revision) => {
          const standing = store.endpoints.get(endpoint.endpointId);
          if (standing?.revision !== revision) return false;
          store.endpoints.set(endpoint.endpointId, { endpoint, secrets, revision: revision + 1 });
          return true;
        },
      },
      post: ({ endpoint }, { deliveryId }, signal) =>
        new Promise((resolve, reject) => {
          signal.addEventListener("abort", () => reject(new Error("cut off")));
          const start = timestampFromMs(clock.ms);
          open.push({
            deliveryId,
            endpointId: endpoint.endpointId,
            answer: (outcome) =>
              resolve({
                outcome,
                attempt: create(WebhookAttemptSchema, { startTime: start, status: outcome.status }),
              }),
          });
        }),
      policy: POLICY,
      limits,
      clock,
      random: () => 0.5,
      onTrouble: (error) => troubles.push(error),
      graceMs: 0,
    }),
  );
  return {
    store,
    book,
    courier,
    open,
    troubles,
    endpoint(endpointId: string): void {
      const endpoint = create(WebhookEndpointSchema, { endpointId, url: "https://receiver.test/" });
      store.endpoints.set(endpointId, { endpoint, secrets: [], revision: 1 });
    },
    async pending(deliveryId: string, endpointId: string, task = deliveryId, sequence = 1): Promise<void> {
      const at = timestampFromMs(clock.ms);
      const delivery = create(WebhookDeliverySchema, {
        deliveryId,
        endpointId,
        taskId: task,
        state: WebhookDeliveryState.PENDING,
        createTime: at,
        updateTime: at,
        nextAttemptTime: at,
        body: "{}",
      });
      const record = { ...create(WebhookDeliveryRecordSchema, { eventSequence: BigInt(sequence) }), delivery };
      const revision = await store.write(TENANT, record, 0);
      book.put({ tenant: TENANT, deliveryId, record, revision: revision! });
    },
    /** Whether the courier has looked for what is due since now, and posts exactly this. */
    async posting(...ids: string[]): Promise<void> {
      const before = book.looks;
      courier.wake();
      await soon(() => book.looks).toBeGreaterThan(before);
      // What it begins to post is read first.
      for (let turns = 0; turns < 5; turns += 1) await setImmediate();
      await soon(() => open.map(({ deliveryId }) => deliveryId)).toEqual(ids);
    },
    /** Answers what is being posted of a delivery. */
    answer(deliveryId: string, outcome: WebhookOutcome): void {
      const at = open.findIndex((each) => each.deliveryId === deliveryId);
      open.splice(at, 1)[0]!.answer(outcome);
    },
    async state(deliveryId: string, state: WebhookDeliveryState): Promise<WebhookDelivery> {
      await soon(() => store.delivery(deliveryId).state).toBe(state);
      return store.delivery(deliveryId);
    },
    advance(ms: number): void {
      clock.ms += ms;
      courier.wake();
    },
  };
}

describe("a delivery", () => {
  test("that is taken is DELIVERED, with its attempt", async () => {
    const mesh = setup();
    mesh.endpoint("e");
    await mesh.pending("d", "e");
    mesh.courier.start();
    await mesh.posting("d");
    mesh.answer("d", OK);
    const delivered = await mesh.state("d", WebhookDeliveryState.DELIVERED);
    expect(delivered).toMatchObject({ attemptCount: 1, attempts: [{ status: 200 }] });
    expect(delivered.nextAttemptTime).toBeUndefined();
  });

  test("is tried again when its time has come and not before, then given up", async () => {
    const mesh = setup();
    mesh.endpoint("e");
    await mesh.pending("d", "e");
    mesh.courier.start();
    for (const delayMs of POLICY.delaysMs) {
      await mesh.posting("d");
      mesh.answer("d", DOWN);
      await soon(() => mesh.book.nextDueMs()).toBeGreaterThan(START_MS);
      mesh.advance(delayMs - 1);
      await mesh.posting();
      mesh.advance(1);
    }
    await mesh.posting("d");
    mesh.answer("d", DOWN);
    const failed = await mesh.state("d", WebhookDeliveryState.FAILED);
    expect(failed).toMatchObject({ attemptCount: 3, failureReason: WebhookFailureReason.ATTEMPTS_SPENT });
  });

  test("waits as long as the receiver asks for", async () => {
    const mesh = setup();
    mesh.endpoint("e");
    await mesh.pending("d", "e");
    mesh.courier.start();
    await mesh.posting("d");
    mesh.answer("d", { status: 429, retryAfterMs: 600_000 });
    await soon(() => mesh.book.nextDueMs()).toBe(START_MS + 600_000);
    mesh.advance(599_999);
    await mesh.posting();
    mesh.advance(1);
    await mesh.posting("d");
    mesh.answer("d", OK);
    await mesh.state("d", WebhookDeliveryState.DELIVERED);
  });

  test("that is answered 410 fails and disables its endpoint, so that later ones fail unposted", async () => {
    const mesh = setup();
    mesh.endpoint("e");
    await mesh.pending("d1", "e");
    mesh.courier.start();
    await mesh.posting("d1");
    mesh.answer("d1", { status: 410, retryAfterMs: undefined });
    expect(await mesh.state("d1", WebhookDeliveryState.FAILED)).toMatchObject({
      failureReason: WebhookFailureReason.ENDPOINT_GONE,
    });
    expect(mesh.store.endpoints.get("e")!.endpoint).toMatchObject({
      disabled: true,
      disabledReason: WebhookDisabledReason.GONE,
    });
    await mesh.pending("d2", "e");
    mesh.courier.wake();
    expect(await mesh.state("d2", WebhookDeliveryState.FAILED)).toMatchObject({
      failureReason: WebhookFailureReason.ENDPOINT_DISABLED,
      attemptCount: 0,
    });
  });

  test("whose endpoint is gone fails unposted", async () => {
    const mesh = setup();
    await mesh.pending("d", "deleted");
    mesh.courier.start();
    expect(await mesh.state("d", WebhookDeliveryState.FAILED)).toMatchObject({
      failureReason: WebhookFailureReason.ENDPOINT_DELETED,
      attemptCount: 0,
    });
  });

  test("that somebody else changed while it was posted stays as they left it", async () => {
    const mesh = setup();
    mesh.endpoint("e");
    await mesh.pending("d", "e");
    mesh.courier.start();
    await mesh.posting("d");
    const { record, revision } = mesh.store.records.get("d")!;
    const theirs = { ...record, delivery: { ...record.delivery, state: WebhookDeliveryState.DELIVERED } };
    await mesh.store.write(TENANT, theirs, revision);
    mesh.answer("d", DOWN);
    await soon(() => mesh.courier.posting).toBe(0);
    expect(mesh.store.delivery("d")).toMatchObject({ state: WebhookDeliveryState.DELIVERED, attemptCount: 0 });
    mesh.advance(3_600_000);
    await mesh.posting();
  });

  test("keeps its last 20 attempts and counts them all", async () => {
    const mesh = setup();
    mesh.endpoint("e");
    await mesh.pending("d", "e");
    const { record, revision } = mesh.store.records.get("d")!;
    record.delivery.attempts = Array.from({ length: 20 }, (_, i) => create(WebhookAttemptSchema, { status: 500 + i }));
    record.delivery.attemptCount = 33;
    mesh.book.put({ tenant: TENANT, deliveryId: "d", record, revision });
    mesh.courier.start();
    await mesh.posting("d");
    mesh.answer("d", OK);
    const { attempts, attemptCount } = await mesh.state("d", WebhookDeliveryState.DELIVERED);
    expect(attempts.map(({ status }) => status)).toEqual([...Array.from({ length: 19 }, (_, i) => 501 + i), 200]);
    expect(attemptCount).toBe(34);
  });
});

describe("several deliveries", () => {
  test("of one task go out in the order of its events, each after the one before has ended", async () => {
    const mesh = setup();
    mesh.endpoint("e");
    await mesh.pending("third", "e", "task", 30);
    await mesh.pending("first", "e", "task", 10);
    await mesh.pending("second", "e", "task", 20);
    await mesh.pending("another", "e", "other", 15);
    mesh.courier.start();
    await mesh.posting("another", "first");
    mesh.answer("first", DOWN);
    mesh.answer("another", OK);
    await mesh.state("another", WebhookDeliveryState.DELIVERED);
    await mesh.posting();
    mesh.advance(5_000);
    await mesh.posting("first");
    mesh.answer("first", OK);
    await mesh.posting("second");
    mesh.answer("second", OK);
    await mesh.posting("third");
    mesh.answer("third", OK);
    await mesh.state("third", WebhookDeliveryState.DELIVERED);
  });

  test("to a receiver that is down go out one by one and hold up nobody else's", async () => {
    const mesh = setup({ total: 4, perEndpoint: 3, perFailingEndpoint: 1 });
    mesh.endpoint("dead");
    mesh.endpoint("well");
    for (let i = 0; i < 9; i += 1) await mesh.pending(`dead${i}`, "dead");
    mesh.courier.start();
    await mesh.posting("dead0", "dead1", "dead2");
    for (const id of ["dead0", "dead1", "dead2"]) mesh.answer(id, DOWN);
    await mesh.posting("dead3");
    for (let i = 0; i < 3; i += 1) await mesh.pending(`well${i}`, "well");
    await mesh.posting("dead3", "well0", "well1", "well2");
    mesh.answer("dead3", OK);
    await soon(() => mesh.open.filter(({ endpointId }) => endpointId === "dead")).toHaveLength(1);
    mesh.answer("well0", OK);
    await soon(() => mesh.open.filter(({ endpointId }) => endpointId === "dead")).toHaveLength(2);
  });
});

test("where there are fewer slots than takers, each has its turn", async () => {
  const mesh = setup({ total: 1, perEndpoint: 3, perFailingEndpoint: 1 });
  const turns: string[] = [];
  for (const endpoint of ["a", "b", "c"]) {
    mesh.endpoint(endpoint);
    for (let i = 0; i < 2; i += 1) await mesh.pending(`${endpoint}${i}`, endpoint);
  }
  mesh.courier.start();
  for (let i = 0; i < 6; i += 1) {
    await soon(() => mesh.open.length).toBe(1);
    const { deliveryId, endpointId } = mesh.open[0]!;
    turns.push(endpointId);
    mesh.answer(deliveryId, OK);
  }
  expect(turns).toEqual(["a", "b", "c", "a", "b", "c"]);
});

test("a courier that stops cuts off what takes too long and leaves it as it was", async () => {
  const mesh = setup();
  mesh.endpoint("e");
  await mesh.pending("d", "e");
  mesh.courier.start();
  await mesh.posting("d");
  await mesh.courier[Symbol.asyncDispose]();
  expect(mesh.store.delivery("d")).toMatchObject({ state: WebhookDeliveryState.PENDING, attemptCount: 0 });
  expect(mesh.troubles).toEqual([]);
});
