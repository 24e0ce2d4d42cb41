// The webhook and health-check tasks through a whole mesh: coordinator, broker and the stock agent as processes.

import { afterAll, beforeAll, expect, test } from "vitest";
import { createClient, type MycelClient, type TaskEvent } from "../../../sdk/client/index.ts";
import {
  HealthCheckInputSchema,
  HealthCheckOutputSchema,
  packMessage,
  unpackMessage,
  WebhookInputSchema,
  WebhookOutputSchema,
} from "../../../sdk/tasks/index.ts";
import { startProcess } from "../../support/processes.ts";
import { openStockMesh, type StockMesh } from "../../support/stock-mesh.ts";
import { openWebServer } from "../../support/web-server.ts";

let mesh: StockMesh;
let client: MycelClient;

beforeAll(async () => {
  mesh = await openStockMesh({ agentEnv: { MYCEL_OUTBOUND_ALLOW: "127.0.0.1, *.internal" } });
  client = createClient({ url: mesh.url });
});

afterAll(async () => {
  await client[Symbol.asyncDispose]();
  await mesh[Symbol.asyncDispose]();
});

/** Submits a task and returns how it failed, with the number of attempts that it took. */
async function failureOf(type: string, input: unknown): Promise<readonly unknown[]> {
  const { taskId } = await client.submit(type, input);
  const { status, ...outcome } = await client.outcome(taskId);
  const failure = outcome.state === "completed" ? undefined : outcome.failure;
  return [outcome.state, failure?.reason, failure?.message, status.attempt];
}

test("a webhook is sent, and its response is the result", async () => {
  await using server = await openWebServer((request, response) => {
    response.setHeader("content-type", "application/json");
    response.end(JSON.stringify({ method: request.method, key: request.headers["idempotency-key"] }));
  });
  const { taskId } = await client.submit("webhook", { url: `${server.url}/hook`, json: { a: 1 } });
  expect(await client.result(taskId)).toMatchObject({
    status: 200,
    url: `${server.url}/hook`,
    json: { method: "POST", key: taskId },
    timings: { totalMs: expect.any(Number) },
  });
});

test("a webhook as a message has a message as its result", async () => {
  await using server = await openWebServer((_request, response) => response.writeHead(202).end("taken"));
  const input = packMessage(WebhookInputSchema, { url: server.url, body: { case: "text", value: "x" } });
  const result = unpackMessage(WebhookOutputSchema, await client.run("webhook", input).result());
  expect(result).toMatchObject({ status: 202, body: { case: "text", value: "taken" }, address: "127.0.0.1" });
});

test("a receiver that asks for another time gets the next attempt then", async () => {
  const times: number[] = [];
  await using server = await openWebServer((_request, response) => {
    times.push(Date.now());
    if (times.length === 1) response.writeHead(503, { "retry-after": "1" }).end();
    else response.end();
  });
  const { taskId } = await client.submit("webhook", { url: server.url });
  const { state, status } = await client.outcome(taskId);
  expect([state, status.attempt]).toEqual(["completed", 2]);
  expect(times[1]! - times[0]!).toBeGreaterThanOrEqual(900);
});

test("a receiver that refuses ends the task at once", async () => {
  await using server = await openWebServer((_request, response) => response.writeHead(422).end("no"));
  expect(await failureOf("webhook", { url: server.url })).toEqual([
    "failed",
    "UNEXPECTED_STATUS",
    `${server.url} answered 422`,
    1,
  ]);
});

test.for<[string, string, unknown, string]>([
  [
    "webhook",
    "INVALID_INPUT",
    { url: "ftp://example.org", timeoutMs: 0, header: {} },
    "invalid input: header: unknown field; the fields are url, method, headers, json, text, bytes, timeoutMs, " +
      "maxResponseBytes, truncate, maxRedirects, expectedStatuses; " +
      'url: the URL\'s scheme is "ftp", must be http or https; timeoutMs: must be a whole number from 1 to 600000, is 0',
  ],
  [
    "health-check",
    "INVALID_INPUT",
    { target: "tcp:example.org", checks: -1 },
    "invalid input: checks: must be a whole number from 0 to 100000, is -1; " +
      "target: the port is 0, must be from 1 to 65535",
  ],
  [
    "webhook",
    "ADDRESS_REFUSED",
    { url: "http://2130706434/" },
    "address 127.0.0.2 (loopback) is refused: it is not public; the operator can allow it with MYCEL_OUTBOUND_ALLOW",
  ],
  [
    "health-check",
    "ADDRESS_REFUSED",
    { target: "http://169.254.169.254/" },
    "address 169.254.169.254 (cloud metadata) is refused: it is not public; the operator can allow it with MYCEL_OUTBOUND_ALLOW",
  ],
])("a %s that ends with %s fails for good", async ([type, reason, input, message]) => {
  const [state, ...facts] = await failureOf(type, input);
  expect(state).toBe("failed");
  const sorted = (text: unknown): unknown => String(text).replace("invalid input: ", "").split("; ").toSorted();
  expect([facts[0], sorted(facts[1]), facts[2]]).toEqual([reason, sorted(message), 1]);
});

test.for(["webhook", "health-check"])("a %s that is canceled closes its connection", async (type) => {
  const asked = Promise.withResolvers<void>();
  await using server = await openWebServer(() => asked.resolve());
  const { taskId } = await client.submit(type, type === "webhook" ? { url: server.url } : { target: server.url });
  await asked.promise;
  await client.cancel(taskId);
  await server.closed();
  expect(await client.outcome(taskId)).toMatchObject({ state: "canceled" });
});

test("health checks stream as they are made, good and bad", async () => {
  let requests = 0;
  await using server = await openWebServer((_request, response) => {
    requests += 1;
    response.writeHead(requests === 2 ? 500 : 200).end();
  });
  const run = client.run("health-check", { target: server.url, checks: 3, intervalMs: 100 });
  const events: TaskEvent[] = [];
  for await (const event of run) events.push(event);
  expect(events.flatMap((event) => (event.kind === "chunk" ? [event.value] : []))).toMatchObject([
    { index: 1, available: true, status: 200 },
    { index: 2, available: false, status: 500, reason: "STATUS" },
    { index: 3, available: true, status: 200 },
  ]);
  expect(await run.result()).toMatchObject({ checks: 3, availableChecks: 2, check: { index: 3 } });
});

test("a target that cannot be reached is a result", async () => {
  const server = await openWebServer(() => {});
  await server[Symbol.asyncDispose]();
  const input = packMessage(HealthCheckInputSchema, { target: `tcp:127.0.0.1:${server.port}` });
  const result = unpackMessage(HealthCheckOutputSchema, await client.run("health-check", input).result());
  expect(result).toMatchObject({
    checks: 1,
    availableChecks: 0,
    check: { available: false, reason: "CONNECT_FAILED" },
  });
});

test("checks without an end go on until the task is canceled", async () => {
  await using server = await openWebServer((_request, response) => response.end());
  const run = client.run("health-check", { target: server.url, checks: 0, intervalMs: 100 });
  const { taskId } = await run.submitted;
  let chunks = 0;
  for await (const event of run) {
    if (event.kind === "chunk") chunks += 1;
    if (event.kind === "chunk" && chunks === 3) await client.cancel(taskId);
  }
  expect(await client.outcome(taskId)).toMatchObject({ state: "canceled" });
  expect(chunks).toBeGreaterThanOrEqual(3);
});

test("an agent with an allow-list that cannot be read says so and does not start", async () => {
  const started = startProcess("services/worker/main.ts", { MYCEL_URL: mesh.url, MYCEL_OUTBOUND_ALLOW: "10.0.0.0/33" });
  await expect(started).rejects.toThrow(
    'mycel agent: MYCEL_OUTBOUND_ALLOW (outbound.allow) has "10.0.0.0/33", must be a range in CIDR form, an address, a host name or *.name',
  );
});
