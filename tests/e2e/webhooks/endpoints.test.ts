// The calls about webhook endpoints, over the port of a real coordinator: what they make, refuse and show.
import { Code, ConnectError, createClient, type Client } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { Webhook } from "standardwebhooks";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { WebhookDisabledReason } from "../../../gen/mycel/v1/webhook_pb.ts";
import { WebhookService } from "../../../gen/mycel/v1/webhook_service_pb.ts";
import { readDetails } from "../../../lib/rpc/rich-error.ts";
import { secretOf } from "../../../lib/wire/webhook-signature.ts";
import { openMesh, type TestMesh } from "../../support/processes.ts";
import { openWebhookReceiver } from "../../support/webhook-receiver.ts";
import { soon } from "../../support/soon.ts";

let mesh: TestMesh;
let webhooks: Client<typeof WebhookService>;
beforeAll(async () => {
  mesh = await openMesh({ coordinators: 2, env: { MYCEL_OUTBOUND_ALLOW: "127.0.0.1" } });
  webhooks = createClient(WebhookService, createGrpcTransport({ baseUrl: mesh.urls[1]! }));
});
afterAll(() => mesh[Symbol.asyncDispose]());

async function failure(call: Promise<unknown>) {
  const error = await call.then(
    () => undefined,
    (thrown: unknown) => ConnectError.from(thrown),
  );
  if (error === undefined) throw new Error("the call succeeded");
  return { code: error.code, message: error.rawMessage, ...readDetails(error) };
}

describe("an endpoint", () => {
  test("is made with a secret that is shown once", async () => {
    const url = "https://example.com/hooks";
    const { endpoint, secret } = await webhooks.createWebhookEndpoint({ endpointId: "shown-once", url });
    expect(secret).toMatch(/^whsec_[A-Za-z0-9+/]{43}=$/);
    expect(endpoint).toMatchObject({ endpointId: "shown-once", url, disabled: false });
    const { endpoint: read } = await webhooks.getWebhookEndpoint({ endpointId: "shown-once" });
    expect(read).toEqual(endpoint);
    expect(
      JSON.stringify(read, (_, value: unknown) => (typeof value === "bigint" ? String(value) : value)),
    ).not.toContain(secret.slice(6));
    const { endpoint: other } = await webhooks.createWebhookEndpoint({ url });
    expect(other?.endpointId).toMatch(/^whe_/);
  });

  test("is made once: with the same secret again it is the same, with another it exists already", async () => {
    const url = "https://example.com/hooks";
    const secret = secretOf(new Uint8Array(24).fill(7));
    const request = { endpointId: "twice", url, secret };
    const first = await webhooks.createWebhookEndpoint(request);
    expect(await webhooks.createWebhookEndpoint(request)).toEqual(first);
    expect(await failure(webhooks.createWebhookEndpoint({ ...request, secret: "" }))).toMatchObject({
      code: Code.AlreadyExists,
      reason: "WEBHOOK_ENDPOINT_ALREADY_EXISTS",
    });
  });

  test.for([
    ["http://10.0.0.1/", "not public"],
    ["http://192.168.1.1/hooks", "not public"],
    ["http://169.254.169.254/latest/meta-data", "not public"],
    ["http://[::1]/", "not public"],
    ["http://[::ffff:10.0.0.1]/", "not public"],
    ["http://0x0a000001/", "not public"],
    ["http://167772161/", "not public"],
    ["http://012.0.0.1/", "not public"],
    ["ftp://example.com/", "http or https"],
    ["https://user:password@example.com/", "user name or password"],
    ["https://example.com/#part", "no fragment"],
    ["nonsense", "no URL"],
    ["", "required"],
  ])("at %j is refused in one line", async ([url, text]) => {
    const { code, reason, violations } = await failure(webhooks.createWebhookEndpoint({ url: url! }));
    expect({ code, reason }).toEqual({ code: Code.InvalidArgument, reason: "INVALID_REQUEST" });
    expect(violations).toHaveLength(1);
    expect(violations[0]).toMatchObject({ field: "url", description: expect.stringContaining(text!) });
    expect(violations[0]?.description).not.toContain("\n");
  });

  test("is changed in what is set, disabled and enabled", async () => {
    const endpointId = "changing";
    await webhooks.createWebhookEndpoint({ endpointId, url: "https://example.com/1", description: "one" });
    const changed = await webhooks.updateWebhookEndpoint({ endpointId, description: "", disabled: true });
    expect(changed.endpoint).toMatchObject({
      url: "https://example.com/1",
      description: "",
      disabled: true,
      disabledReason: WebhookDisabledReason.REQUESTED,
    });
    expect(changed.endpoint?.disableTime).toBeDefined();
    const again = await webhooks.updateWebhookEndpoint({ endpointId, url: "https://example.com/2", disabled: false });
    expect(again.endpoint).toMatchObject({
      url: "https://example.com/2",
      disabled: false,
      disabledReason: WebhookDisabledReason.UNSPECIFIED,
    });
    expect(again.endpoint?.disableTime).toBeUndefined();
    expect((await webhooks.getWebhookEndpoint({ endpointId })).endpoint).toEqual(again.endpoint);
  });

  test("is listed by pages in the order of ids, and not after it was deleted", async () => {
    const ids = ["page-a", "page-b", "page-c"];
    for (const endpointId of ids) await webhooks.createWebhookEndpoint({ endpointId, url: "https://example.com/" });
    await webhooks.deleteWebhookEndpoint({ endpointId: "page-b" });
    const found: string[] = [];
    let pageToken = "";
    do {
      const page = await webhooks.listWebhookEndpoints({ pageSize: 2, pageToken });
      expect(page.endpoints.length).toBeLessThanOrEqual(2);
      found.push(...page.endpoints.map(({ endpointId }) => endpointId));
      pageToken = page.nextPageToken;
    } while (pageToken !== "");
    expect(found).toEqual(found.toSorted());
    expect(found.filter((id) => id.startsWith("page-"))).toEqual(["page-a", "page-c"]);
  });

  test.for([
    "getWebhookEndpoint",
    "updateWebhookEndpoint",
    "deleteWebhookEndpoint",
    "rotateWebhookSecret",
    "testWebhookEndpoint",
  ] as const)("that is not there is NOT_FOUND to %s", async (method) => {
    expect(await failure(webhooks[method]({ endpointId: "nobody" }))).toMatchObject({
      code: Code.NotFound,
      reason: "WEBHOOK_ENDPOINT_NOT_FOUND",
    });
  });
});

describe("a test of an endpoint", () => {
  test("posts a signed event now and tells what came back, also of a disabled one", async () => {
    await using receiver = await openWebhookReceiver();
    const { secret } = await webhooks.createWebhookEndpoint({ endpointId: "tested", url: receiver.url });
    receiver.secrets = [secret];
    receiver.answer = () => ({ status: 418, body: "I am a teapot" });
    await webhooks.updateWebhookEndpoint({ endpointId: "tested", disabled: true });
    const { delivered, deliveryId, attempt } = await webhooks.testWebhookEndpoint({ endpointId: "tested" });
    expect(delivered).toBe(false);
    expect(attempt).toMatchObject({ status: 418, responseExcerpt: "I am a teapot" });
    expect(receiver.received).toMatchObject([
      { id: deliveryId, verifiedBy: [0], event: { type: "webhook.test", data: {} } },
    ]);
    receiver.answer = () => ({ status: 200 });
    expect(await webhooks.testWebhookEndpoint({ endpointId: "tested" })).toMatchObject({ delivered: true });
  });

  test("tells of a receiver that nobody may reach, or that is not there", async () => {
    await webhooks.createWebhookEndpoint({ endpointId: "inner", url: "http://localhost.localdomain.invalid/" });
    expect(await webhooks.testWebhookEndpoint({ endpointId: "inner" })).toMatchObject({
      delivered: false,
      attempt: { status: 0, error: expect.stringMatching(/^(HOST_NOT_FOUND|DNS_FAILED): /) },
    });
    await webhooks.createWebhookEndpoint({ endpointId: "loopback", url: "http://localhost/" });
    const { attempt } = await webhooks.testWebhookEndpoint({ endpointId: "loopback" });
    // The name is no literal: it is refused where it leads, unless it leads to what is allowed and nobody listens there.
    expect(attempt?.error).toMatch(/^(ADDRESS_REFUSED|CONNECT_FAILED): /);
  });
});

test("both secrets verify while a rotation's overlap lasts, and only the new one without an overlap", async () => {
  await using receiver = await openWebhookReceiver();
  const endpointId = "rotated";
  const { secret: first } = await webhooks.createWebhookEndpoint({ endpointId, url: receiver.url });
  const { secret: second, endpoint } = await webhooks.rotateWebhookSecret({ endpointId });
  expect(second).not.toBe(first);
  expect(Number(endpoint?.formerSecretsExpireTime?.seconds) * 1_000 - Date.now()).toBeGreaterThan(86_000_000);
  receiver.secrets = [first, second];
  await webhooks.testWebhookEndpoint({ endpointId });
  expect(receiver.received[0]?.verifiedBy).toEqual([0, 1]);
  const own = secretOf(new Uint8Array(32).fill(9));
  expect(await webhooks.rotateWebhookSecret({ endpointId, secret: own, overlap: { seconds: 0n } })).toMatchObject({
    secret: own,
  });
  receiver.secrets = [first, second, own];
  await webhooks.testWebhookEndpoint({ endpointId });
  expect(receiver.received[1]?.verifiedBy).toEqual([2]);
  expect(() => new Webhook(first).verify(receiver.received[1]!.text, receiver.received[1]!.headers as never)).toThrow();
});

test("a delivery that is not there is NOT_FOUND, and a page token of nothing is refused", async () => {
  for (const call of [
    () => webhooks.getWebhookDelivery({ deliveryId: "msg_none_1" }),
    () => webhooks.redeliverWebhook({ deliveryId: "msg_none_1" }),
  ]) {
    await soon(() => failure(call())).toMatchObject({
      code: Code.NotFound,
      reason: "WEBHOOK_DELIVERY_NOT_FOUND",
      resource: { type: "mycel.v1.WebhookDelivery", name: "msg_none_1" },
    });
  }
  expect(await failure(webhooks.listWebhookDeliveries({ pageToken: "none" }))).toMatchObject({
    code: Code.InvalidArgument,
    violations: [{ field: "page_token" }],
  });
  expect((await webhooks.listWebhookDeliveries({ taskId: "none" })).deliveries).toEqual([]);
});
