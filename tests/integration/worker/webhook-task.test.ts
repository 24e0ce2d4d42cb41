// The webhook task against real servers: what is sent, what the result says, and what a response means for the attempt.
import { create, fromBinary } from "@bufbuild/protobuf";
import { anyPack, anyUnpack } from "@bufbuild/protobuf/wkt";
import { expect, test } from "vitest";
import { WebhookInputSchema, WebhookOutputSchema } from "../../../gen/mycel/tasks/v1/webhook_pb.ts";
import { type Payload, PayloadSchema } from "../../../gen/mycel/v1/payload_pb.ts";
import { createOutbound } from "../../../lib/outbound/outbound.ts";
import { webhookTask } from "../../../services/worker/webhook/webhook-task.ts";
import { callCapability, type HandlerCall } from "../../support/handler-call.ts";
import { openWebServer, type WebListener, type WebServer } from "../../support/web-server.ts";

const task = webhookTask(createOutbound({ allowPrivate: ["127.0.0.1"] }));

async function call(server: WebServer, input: object = {}): Promise<HandlerCall> {
  return callCapability(task, { url: server.url, ...input });
}

const mirror: WebListener = async (request, response) => {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(Buffer.from(chunk as Buffer));
  const { method, url, headers } = request;
  response.setHeader("content-type", "application/json");
  response.end(JSON.stringify({ method, url, headers, body: Buffer.concat(chunks).toString("latin1") }));
};

test.for<[string, object, object]>([
  ["nothing", {}, { method: "POST", body: "" }],
  [
    "JSON",
    { json: { a: [1, null] } },
    { method: "POST", body: '{"a":[1,null]}', headers: { "content-type": "application/json" } },
  ],
  ["JSON null", { json: null }, { body: "null" }],
  ["a text", { text: "a" }, { body: "a", headers: { "content-type": "text/plain; charset=utf-8" } }],
  ["bytes", { bytes: "/wA=" }, { body: "\u00ff\0", headers: { "content-type": "application/octet-stream" } }],
  [
    "headers of its own",
    { text: "<a/>", headers: { "Content-Type": "text/xml", "Idempotency-Key": "k" } },
    { headers: { "content-type": "text/xml", "idempotency-key": "k" } },
  ],
  ["a method", { method: "GET" }, { method: "GET" }],
  ["the task's id", {}, { headers: { "idempotency-key": "task", "user-agent": "mycel" } }],
])("a request with %s arrives", async ([, input, seen]) => {
  await using server = await openWebServer(mirror);
  expect((await call(server, input)).result).toMatchObject({ status: 200, json: seen });
});

test("the result tells of the response, of its way and of its time", async () => {
  await using server = await openWebServer((request, response) => {
    if (request.url === "/go") response.writeHead(303, { location: "/there" }).end();
    else response.writeHead(201, { "content-type": "text/plain", "x-two": ["a", "b"] }).end("made");
  });
  const { result } = await call(server, { url: `${server.url}/go`, maxRedirects: 1 });
  expect(result).toMatchObject({
    status: 201,
    headers: { "content-type": "text/plain", "x-two": "a, b" },
    text: "made",
    bodyBytes: 4,
    truncated: false,
    url: `${server.url}/there`,
    redirects: [`${server.url}/go`],
    address: "127.0.0.1",
    timings: {
      dnsMs: expect.any(Number),
      connectMs: expect.any(Number),
      firstByteMs: expect.any(Number),
      totalMs: expect.any(Number),
    },
  });
});

test("an input as Any gives a result as Any", async () => {
  await using server = await openWebServer(mirror);
  const value = anyPack(WebhookInputSchema, create(WebhookInputSchema, { url: server.url }));
  const { result } = await callCapability(task, create(PayloadSchema, { kind: { case: "message", value } }));
  const { kind } = result as Payload;
  const output = kind.case === "message" ? anyUnpack(kind.value, WebhookOutputSchema) : undefined;
  expect(output).toMatchObject({ status: 200, body: { case: "json" } });
});

test("a body that is too large fails the task, or is cut off", async () => {
  await using server = await openWebServer((_request, response) =>
    response.writeHead(200, { "content-type": "text/plain" }).end("x".repeat(100)),
  );
  expect((await call(server, { maxResponseBytes: 99 })).outcome).toMatchObject({
    failure: { reason: "RESPONSE_TOO_LARGE", retryable: false },
  });
  expect((await call(server, { maxResponseBytes: 99, truncate: true })).result).toMatchObject({
    text: "x".repeat(99),
    bodyBytes: 99,
    truncated: true,
  });
});

test.for<[number, Record<string, string>, number[], object]>([
  [204, {}, [], { kind: "complete" }],
  [404, {}, [404], { kind: "complete" }],
  [302, { location: "/" }, [302], { kind: "complete" }],
  [200, {}, [201], { kind: "fail", failure: { reason: "UNEXPECTED_STATUS", retryable: false } }],
  [302, { location: "/" }, [], { kind: "fail", failure: { retryable: false } }],
  [400, {}, [], { kind: "fail", failure: { reason: "UNEXPECTED_STATUS", retryable: false, details: "why" } }],
  [404, { "retry-after": "1" }, [], { kind: "fail", failure: { retryable: false } }],
  [408, {}, [], { kind: "fail", failure: { retryable: true } }],
  [425, {}, [], { kind: "fail", failure: { retryable: true } }],
  [429, {}, [], { kind: "fail", failure: { reason: "UNEXPECTED_STATUS", retryable: true } }],
  [429, { "retry-after": "7" }, [], { kind: "retry_after", delayMs: 7_000, failure: { retryable: true } }],
  [500, {}, [], { kind: "fail", failure: { reason: "UNEXPECTED_STATUS", retryable: true, details: "why" } }],
  [503, { "retry-after": "0" }, [], { kind: "retry_after", delayMs: 0 }],
  [503, { "retry-after": "Wed, 01 Jan 2025 00:00:00 GMT" }, [], { kind: "retry_after", delayMs: 0 }],
  [503, { "retry-after": "99999999" }, [], { kind: "retry_after", delayMs: 518_400_000 }],
  [503, { "retry-after": "soon" }, [], { kind: "fail", failure: { retryable: true } }],
])("status %i with %j, where %j is expected", async ([status, headers, expectedStatuses, outcome]) => {
  await using server = await openWebServer((_request, response) =>
    response.writeHead(status, { "content-type": "text/plain", ...headers }).end(status === 204 ? undefined : "why"),
  );
  const got = await call(server, { expectedStatuses });
  expect(got.outcome).toMatchObject(outcome);
  if (got.failure !== undefined) expect(got.failure).toBe(`UNEXPECTED_STATUS: ${server.url} answered ${status}`);
});

test.for<[string, object, string, boolean]>([
  [
    "a refused address",
    { url: "http://127.0.0.2:1/" },
    "ADDRESS_REFUSED: address 127.0.0.2 (loopback) is refused",
    false,
  ],
  ["metadata", { url: "http://169.254.169.254/" }, "ADDRESS_REFUSED: address 169.254.169.254 (cloud metadata)", false],
  ["a name that does not exist", { url: "http://a.invalid/" }, "HOST_NOT_FOUND: host a.invalid was not found", true],
  ["nobody who listens", { url: "http://127.0.0.1:1/" }, "CONNECT_FAILED: no connection to 127.0.0.1:1", true],
])("%s fails the attempt", async ([, input, line, retryable]) => {
  const { outcome, failure } = await callCapability(task, input);
  expect(failure).toContain(line);
  expect(outcome).toMatchObject({ failure: { retryable, details: "" } });
});

test("a receiver that is slow is given up after the timeout, and may be tried again", async () => {
  await using server = await openWebServer(() => {});
  expect((await call(server, { timeoutMs: 500 })).outcome).toMatchObject({
    failure: {
      reason: "TIMEOUT",
      message: "the exchange took longer than 500 ms (while waiting for the response)",
      retryable: true,
    },
  });
  await server.closed();
});

test("a task that is canceled closes its socket", async () => {
  const controller = new AbortController();
  await using server = await openWebServer(() => controller.abort(new Error("canceled")));
  const { failure } = await callCapability(task, { url: server.url }, { signal: controller.signal });
  expect(failure).toBe("HANDLER_ERROR: canceled");
  await server.closed();
});

test("a JSON result of bytes holds base64", async () => {
  await using server = await openWebServer((_request, response) =>
    response.writeHead(200, { "content-type": "image/png" }).end(Buffer.from([1, 2])),
  );
  expect((await call(server)).result).toMatchObject({ bytes: "AQI=" });
  const any = create(PayloadSchema, {
    kind: { case: "message", value: anyPack(WebhookInputSchema, create(WebhookInputSchema, { url: server.url })) },
  });
  const { kind } = (await callCapability(task, any)).result as Payload;
  expect(kind.case === "message" && fromBinary(WebhookOutputSchema, kind.value.value).body).toEqual({
    case: "bytes",
    value: Uint8Array.from([1, 2]),
  });
});
