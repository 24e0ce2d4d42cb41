// From a task's events to a receiver that verifies: what is delivered, in which order, and what of it survives.
import { create } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { BytesSchema, PayloadSchema } from "../../../gen/mycel/v1/payload_pb.ts";
import { WebhookDeliveryState } from "../../../gen/mycel/v1/webhook_pb.ts";
import { WEBHOOK_DELIVERIES_STREAM, WEBHOOK_HOOKS_STREAM } from "../../../lib/wire/subjects.ts";
import { msFromTimestamp } from "../../../lib/wire/time-codec.ts";
import { TENANT, text } from "../../support/mesh-log.ts";
import { openWebhookMesh, type WebhookMesh } from "./webhook-mesh.ts";
import { soon } from "../../support/soon.ts";

async function hooksLeft(mesh: WebhookMesh): Promise<number> {
  return (await mesh.log.manager.streams.info(WEBHOOK_HOOKS_STREAM)).state.messages;
}

test("a delivery for which the stream has no room any more is listed no more", async () => {
  await using mesh = await openWebhookMesh();
  const webhooks = await mesh.openCoordinator();
  await mesh.endpoint(webhooks);
  await mesh.submit(webhooks, "t1", { endpointId: "main" }).then((task) => task.event("completed"));
  await soon(() => mesh.deliveries(webhooks)).toMatchObject([{ state: WebhookDeliveryState.DELIVERED }]);
  // As the stream itself takes out the oldest.
  await mesh.log.manager.streams.purge(WEBHOOK_DELIVERIES_STREAM);
  await soon(() => mesh.deliveries(webhooks)).toEqual([]);
});

describe("a task with a webhook", () => {
  test("has its end delivered, once, signed, with its result, and its hook is gone then", async () => {
    await using mesh = await openWebhookMesh();
    const webhooks = await mesh.openCoordinator();
    await mesh.endpoint(webhooks);
    const task = await mesh.submit(webhooks, "t1", { endpointId: "main" });
    await task.event("working");
    const end = await task.event("completed", text("done"));
    const [received] = await mesh.receiver.until(1);
    expect(received).toMatchObject({
      id: `msg_t1_${end}`,
      verifiedBy: [0],
      event: {
        type: "task.completed",
        data: { taskId: "t1", type: "echo", result: "done", status: { taskId: "t1", state: "TASK_STATE_COMPLETED" } },
      },
    });
    expect(received?.headers["content-type"]).toBe("application/json");
    await soon(() => hooksLeft(mesh)).toBe(0);
    await soon(() => mesh.deliveries(webhooks)).toMatchObject([
      { deliveryId: `msg_t1_${end}`, state: WebhookDeliveryState.DELIVERED, attemptCount: 1 },
    ]);
    expect(mesh.receiver.received).toHaveLength(1);
    expect(mesh.receiver.refused).toEqual([]);
  });

  test("has each of its states delivered in their order, if it asked for that", async () => {
    await using mesh = await openWebhookMesh();
    const webhooks = await mesh.openCoordinator();
    await mesh.endpoint(webhooks);
    const task = await mesh.submit(webhooks, "t1", { endpointId: "main", allStates: true });
    const states = ["working", "backing_off", "working", "submitted", "working", "failed"] as const;
    for (const state of states) await task.event(state);
    const received = await mesh.receiver.until(states.length);
    expect(received.map(({ event }) => event.type)).toEqual(states.map((state) => `task.${state}`));
    expect(received.map(({ event }) => event.data.status?.["state"])).toEqual(
      states.map((state) => `TASK_STATE_${state.toUpperCase()}`),
    );
    await soon(() => hooksLeft(mesh)).toBe(0);
  });

  test("is told of without a result that is no JSON, or too large", async () => {
    await using mesh = await openWebhookMesh();
    const webhooks = await mesh.openCoordinator();
    await mesh.endpoint(webhooks);
    const bytes = create(PayloadSchema, {
      kind: { case: "bytes", value: create(BytesSchema, { data: new Uint8Array(3) }) },
    });
    const results = [bytes, text("x".repeat(70_000)), text("x".repeat(60_000)), undefined];
    for (const [i, result] of results.entries()) {
      const task = await mesh.submit(webhooks, `t${i}`, { endpointId: "main" });
      await task.event("completed", result);
      await mesh.receiver.until(i + 1);
    }
    expect(mesh.receiver.received.map(({ event }) => event.data.resultOmitted ?? false)).toEqual([
      true,
      true,
      false,
      false,
    ]);
    expect(mesh.receiver.received.map(({ event }) => event.data.result !== undefined)).toEqual([
      false,
      false,
      true,
      false,
    ]);
  });

  test("is delivered again, byte for byte, until a receiver that was down takes it", async () => {
    await using mesh = await openWebhookMesh();
    const webhooks = await mesh.openCoordinator();
    await mesh.endpoint(webhooks);
    mesh.receiver.answer = () => ({ status: 503, body: "still starting" });
    const task = await mesh.submit(webhooks, "t1", { endpointId: "main" });
    await task.event("completed", text("done"));
    await mesh.receiver.until(1);
    const failing = async () =>
      (await mesh.deliveries(webhooks)).map(({ attemptCount, state }) => ({ attemptCount, state }));
    await soon(failing).toEqual([{ attemptCount: 1, state: WebhookDeliveryState.PENDING }]);
    mesh.receiver.answer = () => ({ status: 200, body: "thanks" });
    mesh.advance(5_000);
    const [first, second] = await mesh.receiver.until(2);
    expect(second).toMatchObject({ id: first?.id, text: first?.text });
    expect(second?.headers["webhook-timestamp"]).not.toBe(first?.headers["webhook-timestamp"]);
    await soon(failing).toEqual([{ attemptCount: 2, state: WebhookDeliveryState.DELIVERED }]);
    const delivery = (await webhooks.deliveries.get(TENANT, first!.id))?.record.delivery;
    expect(delivery?.attempts).toMatchObject([
      { status: 503, responseExcerpt: "still starting", error: "the receiver answered 503" },
      { status: 200, responseExcerpt: "thanks", error: "" },
    ]);
  });
});

test.for([
  ["in seconds", () => "600"],
  ["as a date", (nowMs: number) => new Date(nowMs + 601_000).toUTCString()],
] as const)("a receiver that asks for ten minutes %s gets them", async ([, header]) => {
  await using mesh = await openWebhookMesh();
  const webhooks = await mesh.openCoordinator();
  await mesh.endpoint(webhooks);
  mesh.receiver.answer = () => ({ status: 429, headers: { "retry-after": header(mesh.now()) } });
  await mesh.submit(webhooks, "t1", { endpointId: "main" }).then((task) => task.event("completed"));
  const askedMs = mesh.now() + 590_000;
  await soon(async () => (await mesh.deliveries(webhooks))[0]?.attemptCount).toBe(1);
  const [{ nextAttemptTime } = { nextAttemptTime: undefined }] = await mesh.deliveries(webhooks);
  expect(msFromTimestamp(nextAttemptTime)).toBeGreaterThan(askedMs);
  expect(msFromTimestamp(nextAttemptTime)).toBeLessThan(askedMs + 20_000);
});

describe("an address that may not be reached", () => {
  test("is refused at the connection, whatever its name said when the endpoint was made", async () => {
    const answers = [["127.0.0.1"], ["10.0.0.7"]];
    await using mesh = await openWebhookMesh({
      lookup: async () => answers.shift() ?? ["127.0.0.1", "169.254.169.254"],
    });
    const webhooks = await mesh.openCoordinator();
    const { endpoint } = await mesh.endpoint(webhooks);
    const url = `http://rebinding.test:${mesh.receiver.port}/`;
    await webhooks.desk.update(TENANT, {
      $typeName: "mycel.v1.UpdateWebhookEndpointRequest",
      endpointId: endpoint.endpointId,
      url,
    });
    for (const taskId of ["first", "second", "third"]) {
      const task = await mesh.submit(webhooks, taskId, { endpointId: "main" });
      await task.event("completed");
      await soon(async () => (await mesh.deliveries(webhooks))[0]).toMatchObject({ taskId, attemptCount: 1 });
    }
    expect(mesh.receiver.received.map(({ event }) => event.data.taskId)).toEqual(["first"]);
    const [third, second] = await mesh.deliveries(webhooks);
    for (const refused of [third!, second!]) {
      const stored = await webhooks.deliveries.get(TENANT, refused.deliveryId);
      expect(stored?.record.delivery?.attempts).toMatchObject([
        { status: 0, error: expect.stringContaining("ADDRESS_REFUSED") },
      ]);
    }
  });
});

test("what happens while the broker restarts is delivered when it is back", async () => {
  await using mesh = await openWebhookMesh();
  const webhooks = await mesh.openCoordinator();
  await mesh.endpoint(webhooks);
  const task = await mesh.submit(webhooks, "t1", { endpointId: "main", allStates: true });
  await task.event("working");
  await soon(() => mesh.deliveries(webhooks)).toMatchObject([
    { eventType: "task.working", state: WebhookDeliveryState.DELIVERED },
  ]);
  await mesh.log.nats.restart();
  await soon(() =>
    mesh.log.connection.flush().then(
      () => true,
      () => false,
    ),
  ).toBe(true);
  await task.event("completed");
  await mesh.receiver.until(2);
  expect(mesh.receiver.received.map(({ event }) => event.type)).toEqual(["task.working", "task.completed"]);
});

test("two that both believe to have the duty deliver under one id, and what one of them stored the other does not undo", async () => {
  await using mesh = await openWebhookMesh();
  const first = await mesh.openCoordinator();
  await mesh.endpoint(first);
  await using _second = mesh.openDuty();
  const tasks = await Promise.all(
    Array.from({ length: 20 }, (_, i) => mesh.submit(first, `t${i}`, { endpointId: "main", allStates: true })),
  );
  await Promise.all(
    tasks.map(async (task) => {
      await task.event("working");
      await task.event("completed");
    }),
  );
  await soon(
    async () => (await mesh.deliveries(first)).filter(({ state }) => state === WebhookDeliveryState.DELIVERED),
    {
      timeout: 10_000,
    },
  ).toHaveLength(40);
  expect(new Set(mesh.receiver.received.map(({ id }) => id)).size).toBe(40);
  for (const { id, text: body } of mesh.receiver.received) {
    expect((await first.deliveries.get(TENANT, id))?.record.delivery).toMatchObject({
      state: WebhookDeliveryState.DELIVERED,
      body,
    });
  }
});

describe("a hook", () => {
  test("of a task that was never stored is dropped after a minute, and not before", async () => {
    await using mesh = await openWebhookMesh();
    const webhooks = await mesh.openCoordinator();
    await mesh.endpoint(webhooks);
    await webhooks.hook(TENANT, "ghost", { $typeName: "mycel.v1.TaskWebhook", endpointId: "main", allStates: false });
    await mesh.submit(webhooks, "real", { endpointId: "main" }).then((task) => task.event("canceled"));
    await mesh.receiver.until(1);
    await soon(() => hooksLeft(mesh)).toBe(1);
    mesh.advance(61_000);
    // Written again, as a repeated submission does it: looked at at once.
    const later = await mesh.openCoordinator();
    await webhooks[Symbol.asyncDispose]();
    await soon(() => hooksLeft(mesh)).toBe(0);
    expect((await mesh.deliveries(later)).map(({ taskId }) => taskId)).toEqual(["real"]);
  });

  test("that a refused submission left behind delivers nothing of the task that has the name", async () => {
    await using mesh = await openWebhookMesh();
    const webhooks = await mesh.openCoordinator();
    await mesh.endpoint(webhooks);
    const task = await mesh.store("taken", undefined);
    await webhooks.hook(TENANT, "taken", { $typeName: "mycel.v1.TaskWebhook", endpointId: "main", allStates: true });
    await task.event("working");
    await task.event("completed", text("a secret of others"));
    await mesh.submit(webhooks, "after", { endpointId: "main" }).then((after) => after.event("failed"));
    await mesh.receiver.until(1);
    expect(mesh.receiver.received.map(({ event }) => event.data.taskId)).toEqual(["after"]);
    expect((await mesh.deliveries(webhooks)).map(({ taskId }) => taskId)).toEqual(["after"]);
  });

  test("that a repeated submission wrote again delivers nothing twice", async () => {
    await using mesh = await openWebhookMesh();
    const webhooks = await mesh.openCoordinator();
    await mesh.endpoint(webhooks);
    const task = await mesh.submit(webhooks, "t1", { endpointId: "main" });
    await task.event("completed");
    await mesh.receiver.until(1);
    await soon(() => hooksLeft(mesh)).toBe(0);
    await webhooks.hook(TENANT, "t1", { $typeName: "mycel.v1.TaskWebhook", endpointId: "main", allStates: false });
    await soon(() => hooksLeft(mesh)).toBe(0);
    await mesh.submit(webhooks, "t2", { endpointId: "main" }).then((other) => other.event("completed"));
    await mesh.receiver.until(2);
    expect(mesh.receiver.received.map(({ event }) => event.data.taskId)).toEqual(["t1", "t2"]);
  });
});

describe("another coordinator that takes the duty over", () => {
  test("delivers what happened while nobody had it, and what was not taken", async () => {
    await using mesh = await openWebhookMesh();
    const first = await mesh.openCoordinator();
    await mesh.endpoint(first);
    mesh.receiver.answer = () => ({ status: 500 });
    const failing = await mesh.submit(first, "failing", { endpointId: "main" });
    await failing.event("failed");
    await mesh.receiver.until(1);
    await soon(async () => (await mesh.deliveries(first))[0]?.attemptCount).toBe(1);
    const open = await mesh.submit(first, "open", { endpointId: "main", allStates: true });
    await open.event("working");
    await mesh.receiver.until(2);
    await soon(async () => (await mesh.deliveries(first))[0]?.attemptCount).toBe(1);
    await first[Symbol.asyncDispose]();

    await open.event("backing_off");
    await open.event("completed");
    const unseen = await mesh.submit(first, "unseen", { endpointId: "main" });
    await unseen.event("timed_out");
    mesh.receiver.answer = () => ({ status: 200 });
    mesh.advance(6_000);
    const second = await mesh.openCoordinator();
    await mesh.receiver.until(7);
    const types = mesh.receiver.received.slice(2).map(({ event }) => `${event.data.taskId} ${event.type}`);
    expect(types.filter((type) => type.startsWith("open"))).toEqual([
      "open task.working",
      "open task.backing_off",
      "open task.completed",
    ]);
    expect(types).toContain("failing task.failed");
    expect(types).toContain("unseen task.timed_out");
    await soon(async () => (await mesh.deliveries(second)).map(({ state }) => state)).toEqual(
      Array.from({ length: 5 }, () => WebhookDeliveryState.DELIVERED),
    );
    await soon(() => hooksLeft(mesh)).toBe(0);
  });
});
