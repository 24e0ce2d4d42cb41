// Webhooks through real processes: an agent's results reach a receiver that verifies them, whatever dies or is changed on the way.
import { create } from "@bufbuild/protobuf";
import { Code, ConnectError, createClient, type Client } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { AgentService } from "../../../gen/mycel/v1/agent_service_pb.ts";
import { PayloadSchema } from "../../../gen/mycel/v1/payload_pb.ts";
import { TaskState } from "../../../gen/mycel/v1/task_pb.ts";
import { WebhookDeliveryState, WebhookDisabledReason, WebhookFailureReason } from "../../../gen/mycel/v1/webhook_pb.ts";
import { WebhookService } from "../../../gen/mycel/v1/webhook_service_pb.ts";
import { readDetails } from "../../../lib/rpc/rich-error.ts";
import { openMesh, type TestMesh } from "../../support/processes.ts";
import { openWebhookReceiver } from "../../support/webhook-receiver.ts";
import { soon } from "../../support/soon.ts";

let mesh: TestMesh;
let agents: Client<typeof AgentService>;
let webhooks: Client<typeof WebhookService>;

/** The calls of one coordinator. */
function callsOf(at: number): void {
  const transport = createGrpcTransport({ baseUrl: mesh.urls.at(at)! });
  agents = createClient(AgentService, transport);
  webhooks = createClient(WebhookService, transport);
}

beforeAll(async () => {
  mesh = await openMesh({ coordinators: 2, env: { MYCEL_OUTBOUND_ALLOW: "127.0.0.1" } });
  await mesh.startAgent("worker", { MYCEL_CONCURRENCY: "16" });
  callsOf(1);
});
afterAll(() => mesh[Symbol.asyncDispose]());

async function submit(taskId: string, type: string, endpointId: string, allStates = false): Promise<void> {
  const text = { kind: { case: "stringValue", value: taskId } } as const;
  const json = { kind: { case: "structValue", value: { fields: { text } } } } as const;
  const input = create(PayloadSchema, { kind: { case: "json", value: json } });
  const retryPolicy = { maximumAttempts: 2, initialInterval: { nanos: 50_000_000 } };
  await agents.submitTask({ taskId, type, input, retryPolicy, webhook: { endpointId, allStates } });
}

async function deliveriesOf(taskId: string) {
  return (await webhooks.listWebhookDeliveries({ taskId })).deliveries;
}

describe("a submission that names an endpoint", () => {
  test("has its result delivered, and says so wherever it is shown", async () => {
    await using receiver = await openWebhookReceiver();
    const { secret } = await webhooks.createWebhookEndpoint({ endpointId: "results", url: receiver.url });
    receiver.secrets = [secret];
    await submit("abc", "reverse", "results");
    await agents.batchSubmitTasks({
      atomic: true,
      tasks: Array.from({ length: 3 }, (_, i) => ({
        taskId: `bulk-${i}`,
        type: "work",
        labels: { n: String(i) },
        webhook: { endpointId: "results" },
      })),
    });
    const received = await receiver.until(4);
    expect(receiver.refused).toEqual([]);
    const byTask = new Map(received.map(({ event }) => [event.data.taskId, event]));
    expect(byTask.get("abc")).toMatchObject({
      type: "task.completed",
      data: { type: "reverse", result: "cba", status: { state: "TASK_STATE_COMPLETED", agentId: "worker" } },
    });
    expect(byTask.get("bulk-2")).toMatchObject({ type: "task.completed", data: { labels: { n: "2" } } });
    const { task } = await agents.getTask({ taskId: "abc" });
    expect(task?.webhook).toMatchObject({ endpointId: "results", allStates: false });
    const listed = async () => (await agents.listTasks({ filter: { types: ["reverse"] } })).tasks[0]?.webhook;
    await soon(listed).toMatchObject({ endpointId: "results" });
    await soon(async () =>
      (await webhooks.listWebhookDeliveries({ endpointId: "results" })).deliveries.map(({ state }) => state),
    ).toEqual(Array.from({ length: 4 }, () => WebhookDeliveryState.DELIVERED));
  });

  test("has each of its states delivered in order, if it asks for them", async () => {
    await using receiver = await openWebhookReceiver();
    const { secret } = await webhooks.createWebhookEndpoint({ endpointId: "states", url: receiver.url });
    receiver.secrets = [secret];
    await submit("failing", "fail", "states", true);
    await soon(async () => (await agents.getTaskStatus({ taskId: "failing" })).status?.state).toBe(TaskState.FAILED);
    await soon(() => receiver.received.at(-1)?.event.type).toBe("task.failed");
    const types = receiver.received.map(({ event }) => event.type);
    // An attempt that ends within milliseconds has no `working` of its own.
    expect(types.filter((type) => type !== "task.working")).toEqual(["task.backing_off", "task.failed"]);
    const revisions = receiver.received.map(({ event }) => Number(event.data.status?.["revision"]));
    expect(revisions).toEqual(revisions.toSorted((a, b) => a - b));
  });

  test("is refused if there is no such endpoint, unless the task was taken before", async () => {
    await using receiver = await openWebhookReceiver();
    await expect(submit("nowhere", "reverse", "no-such-endpoint")).rejects.toMatchObject({ code: Code.NotFound });
    const missing = await agents
      .getTask({ taskId: "nowhere" })
      .catch((error: unknown) => readDetails(ConnectError.from(error)));
    expect(missing).toMatchObject({ reason: "TASK_NOT_FOUND" });
    await webhooks.createWebhookEndpoint({ endpointId: "brief", url: receiver.url });
    await submit("taken", "reverse", "brief");
    await receiver.until(1);
    await webhooks.deleteWebhookEndpoint({ endpointId: "brief" });
    await submit("taken", "reverse", "brief");
    const each = await agents.batchSubmitTasks({
      tasks: [
        { taskId: "item-1", type: "work", webhook: { endpointId: "no-such-endpoint" } },
        { taskId: "item-2", type: "work" },
      ],
    });
    expect(each.results.map(({ result }) => (result.case === "error" ? result.value.reason : result.case))).toEqual([
      "WEBHOOK_ENDPOINT_NOT_FOUND",
      "submitted",
    ]);
  });

  test("keeps its webhook when it is redriven", async () => {
    await using receiver = await openWebhookReceiver();
    const { secret } = await webhooks.createWebhookEndpoint({ endpointId: "redriven", url: receiver.url });
    receiver.secrets = [secret];
    await submit("dead", "fail", "redriven");
    await receiver.until(1);
    const { task } = await agents.retryTask({ taskId: "dead" });
    expect(task?.webhook).toMatchObject({ endpointId: "redriven" });
    const [first, second] = await receiver.until(2);
    expect([first, second].map((each) => each?.event.data.taskId)).toEqual(["dead", task?.taskId]);
  });
});

describe("a delivery", () => {
  test("is made again on request, with the same id and body, and listed as what became of it", async () => {
    await using receiver = await openWebhookReceiver();
    const { secret } = await webhooks.createWebhookEndpoint({ endpointId: "again", url: receiver.url });
    receiver.secrets = [secret];
    await submit("once-more", "reverse", "again");
    await receiver.until(1);
    await soon(async () => (await deliveriesOf("once-more"))[0]?.state).toBe(WebhookDeliveryState.DELIVERED);
    const [{ deliveryId } = { deliveryId: "" }] = await deliveriesOf("once-more");
    await webhooks.redeliverWebhook({ deliveryId });
    const [first, second] = await receiver.until(2);
    expect([second?.id, second?.text]).toEqual([first?.id, first?.text]);
    await soon(async () => (await deliveriesOf("once-more"))[0]?.attemptCount).toBe(2);
    const { delivery } = await webhooks.getWebhookDelivery({ deliveryId });
    expect(delivery?.body).toBe(first?.text);
    expect(delivery?.attempts.map(({ status }) => status)).toEqual([204, 204]);
  });

  test("that is answered 410 disables its endpoint; what fails after that goes out once it is enabled and redelivered", async () => {
    await using receiver = await openWebhookReceiver();
    const endpointId = "gone";
    const { secret } = await webhooks.createWebhookEndpoint({ endpointId, url: receiver.url });
    receiver.secrets = [secret];
    receiver.answer = () => ({ status: 410 });
    await submit("gone-1", "reverse", endpointId);
    await soon(async () => (await deliveriesOf("gone-1"))[0]?.failureReason).toBe(WebhookFailureReason.ENDPOINT_GONE);
    expect((await webhooks.getWebhookEndpoint({ endpointId })).endpoint).toMatchObject({
      disabled: true,
      disabledReason: WebhookDisabledReason.GONE,
    });
    await submit("gone-2", "reverse", endpointId);
    await soon(async () => (await deliveriesOf("gone-2"))[0]?.failureReason).toBe(
      WebhookFailureReason.ENDPOINT_DISABLED,
    );
    expect(receiver.received).toHaveLength(1);
    receiver.answer = () => ({ status: 200 });
    await webhooks.updateWebhookEndpoint({ endpointId, disabled: false });
    const [{ deliveryId } = { deliveryId: "" }] = await deliveriesOf("gone-2");
    await webhooks.redeliverWebhook({ deliveryId });
    const received = await receiver.until(2);
    expect(received[1]?.event.data.taskId).toBe("gone-2");
  });
});

test("nothing is lost when the coordinator that delivers is killed while the receiver is down and its secret changes", async () => {
  const endpointId = "outage";
  const down = await openWebhookReceiver();
  const { secret: old } = await webhooks.createWebhookEndpoint({ endpointId, url: down.url });
  const { port } = down;
  await down[Symbol.asyncDispose]();
  const before = Array.from({ length: 5 }, (_, i) => `before-${i}`);
  for (const taskId of before) await submit(taskId, "reverse", endpointId);
  await soon(async () =>
    (await webhooks.listWebhookDeliveries({ endpointId })).deliveries.filter(({ attemptCount }) => attemptCount > 0),
  ).toHaveLength(before.length);

  // Each of the two may have the duty: both go, one after the other, and a third takes it over.
  await mesh.addCoordinator();
  for (const victim of mesh.coordinators.splice(0, 2)) {
    victim.signal("SIGKILL");
    await victim.exited;
  }
  callsOf(-1);
  const during = Array.from({ length: 5 }, (_, i) => `during-${i}`);
  for (const taskId of during) await submit(taskId, "reverse", endpointId);
  const { secret: fresh } = await webhooks.rotateWebhookSecret({ endpointId });
  await using receiver = await openWebhookReceiver({ port });
  receiver.secrets = [old, fresh];
  await soon(() => new Set(receiver.received.map(({ event }) => event.data.taskId)).size, { timeout: 100_000 }).toBe(
    before.length + during.length,
  );
  expect(receiver.refused).toEqual([]);
  expect(new Set(receiver.received.map(({ event }) => event.data.taskId))).toEqual(new Set([...before, ...during]));
  for (const { verifiedBy, id, event } of receiver.received) {
    expect(verifiedBy).toEqual([0, 1]);
    expect(id).toMatch(new RegExp(`^msg_${event.data.taskId}_\\d+$`));
  }
  await soon(async () =>
    (await webhooks.listWebhookDeliveries({ endpointId })).deliveries.map(({ state }) => state),
  ).toEqual(Array.from({ length: 10 }, () => WebhookDeliveryState.DELIVERED));
}, 150_000);
