import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, readdir, rm } from "node:fs/promises";
import { createServer, request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { context, trace } from "@opentelemetry/api";
import { afterEach, beforeEach, expect, test } from "vitest";
import { MAX_BODY_BYTES } from "../../../cli/traces/export-request.ts";
import { type TraceStore, openTraceStore } from "../../../cli/traces/trace-store.ts";
import { openTracing } from "../../../lib/telemetry/tracing.ts";
import { carrierFromContext, mycelTracer, publishSpan, rpcServerSpan } from "../../../lib/wire/trace-context.ts";

const TRACE_ID = "0af7651916cd43dd8448eb211c80319c";
const JSON_TYPE = { "content-type": "application/json" };
let dir: string;
let store: TraceStore;

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "mycel-traces-"));
  store = await openTraceStore({ dir });
});
afterEach(async () => {
  await store[Symbol.asyncDispose]();
  await rm(dir, { recursive: true });
});

interface SpanInput {
  readonly id: string;
  readonly parent?: string;
  readonly traceId?: string;
  readonly name?: string;
  readonly service?: string;
  readonly startMs?: number;
  readonly attributes?: Record<string, string>;
}

function aBody(...spans: readonly SpanInput[]): string {
  const attribute = ([key, value]: [string, string]) => ({ key, value: { stringValue: value } });
  return JSON.stringify({
    resourceSpans: spans.map(({ id, parent, traceId, name, service, startMs, attributes }) => ({
      resource: { attributes: [attribute(["service.name", service ?? "s"])] },
      scopeSpans: [
        {
          spans: [
            {
              traceId: traceId ?? TRACE_ID,
              spanId: id.padStart(16, "0"),
              ...(parent === undefined ? {} : { parentSpanId: parent.padStart(16, "0") }),
              name: name ?? `span ${id}`,
              kind: 1,
              startTimeUnixNano: `${1_700_000_000_000 + (startMs ?? 0)}000000`,
              endTimeUnixNano: `${1_700_000_000_010 + (startMs ?? 0)}000000`,
              attributes: Object.entries(attributes ?? {}).map(attribute),
            },
          ],
        },
      ],
    })),
  });
}

async function send(body: string | Buffer, headers: Record<string, string> = JSON_TYPE): Promise<Response> {
  return await fetch(`${store.address}/v1/traces`, {
    method: "POST",
    headers,
    body: new Uint8Array(Buffer.from(body)),
  });
}

async function stored(traceId = TRACE_ID): Promise<{
  spans: { name: string; service: string; parentId?: string; spanId: string; links: unknown[] }[];
  complete: boolean;
  spanCount: number;
  droppedSpans: number;
}> {
  return JSON.parse(await (await fetch(`${store.address}/traces/${traceId}.json`)).text());
}

test("spans that real exporters send from two processes make one trace with parents and links", async () => {
  const env = { OTEL_EXPORTER_OTLP_ENDPOINT: store.address, OTEL_BSP_SCHEDULE_DELAY: "600000" };
  const lines: string[] = [];
  await using tracing = await openTracing({ serviceName: "coordinator", env, report: (line) => lines.push(line) });
  const rpc = rpcServerSpan({ system: "grpc", method: "mycel.v1.AgentService/SubmitTask" });
  const root = mycelTracer().startSpan(rpc.name, rpc.options);
  const publish = publishSpan({ template: "task.{tenant}.{task}.q.{queue}.{priority}", taskId: "t-1" });
  const published = mycelTracer().startSpan(publish.name, publish.options, trace.setSpan(context.active(), root));
  const { traceparent } = carrierFromContext(trace.setSpan(context.active(), published));
  published.end();
  root.end();

  const script = fileURLToPath(new URL("span-sender.ts", import.meta.url));
  const childEnv = { ...process.env, OTEL_EXPORTER_OTLP_ENDPOINT: store.address };
  const child = spawn(process.execPath, [script, traceparent!], { env: childEnv, stdio: "inherit" });
  const [code] = await once(child, "exit");
  expect(code).toBe(0);
  // The child's spans are here before their parents: the trace has no root yet.
  const { traceId } = root.spanContext();
  expect((await stored(traceId)).complete).toBe(false);
  await tracing.flush();

  const { spans, complete } = await stored(traceId);
  const byName = new Map(spans.map((span) => [span.name, span]));
  expect(complete).toBe(true);
  expect([...byName.keys()].sort()).toEqual([
    "ack task.{tenant}.{task}.q.{queue}.{priority}",
    "mycel.v1.AgentService/SubmitTask",
    "process echo",
    "publish task.{tenant}.{task}.q.{queue}.{priority}",
  ]);
  expect(byName.get("process echo")).toMatchObject({
    service: "worker",
    role: "consumer",
    parentId: published.spanContext().spanId,
    links: [{ traceId, spanId: published.spanContext().spanId }],
  });
  expect(byName.get(publish.name)).toMatchObject({ service: "coordinator", parentId: root.spanContext().spanId });
  expect(byName.get("ack task.{tenant}.{task}.q.{queue}.{priority}")?.parentId).toBe(
    byName.get("process echo")?.spanId,
  );
  expect(lines).toEqual([]);

  const page = await fetch(store.addressOf(traceId));
  expect(page.headers.get("content-type")).toBe("text/html; charset=utf-8");
  expect(await page.text()).toContain("process echo");
});

test("a collector that is down costs one line and no exception", async () => {
  const lines: string[] = [];
  const address = store.address;
  await store[Symbol.asyncDispose]();
  const env = { OTEL_EXPORTER_OTLP_ENDPOINT: address, OTEL_EXPORTER_OTLP_TIMEOUT: "200" };
  const tracing = await openTracing({ serviceName: "s", env, report: (line) => lines.push(line) });
  mycelTracer().startSpan("a").end();
  await tracing.flush();
  mycelTracer().startSpan("b").end();
  await tracing[Symbol.asyncDispose]();
  expect(lines).toHaveLength(1);
  expect(lines[0]).toMatch(/^traces could not be sent to http:\/\/127\.0\.0\.1:\d+\/v1\/traces: [^\n]+$/);
});

test("a collector that never answers delays the end of a process by three seconds at most", async () => {
  await using silent = createServer(() => {}).listen(0, "127.0.0.1");
  await once(silent, "listening");
  const address = silent.address();
  if (address === null || typeof address === "string") throw new Error("no TCP address");
  const lines: string[] = [];
  const env = { OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${address.port}` };
  const tracing = await openTracing({ serviceName: "s", env, report: (line) => lines.push(line) });
  mycelTracer().startSpan("a").end();
  await tracing[Symbol.asyncDispose]();
  expect(lines).toEqual([expect.stringContaining("no answer within 3000 ms")]);
  silent.closeAllConnections();
});

test("a compressed export is taken", async () => {
  const response = await send(gzipSync(aBody({ id: "1" })), { ...JSON_TYPE, "content-encoding": "gzip" });
  expect([response.status, await response.json()]).toEqual([200, { partialSuccess: {} }]);
  expect((await stored()).spanCount).toBe(1);
});

test("a body over 8 MiB is refused with 413, and so is one that inflates to more", async () => {
  const large = Buffer.alloc(MAX_BODY_BYTES + 1, " ");
  expect((await send(large)).status).toBe(413);
  expect((await send(gzipSync(large), { ...JSON_TYPE, "content-encoding": "gzip" })).status).toBe(413);
});

test.for([
  ["no JSON", "{", 400],
  ["a list", "[]", 400],
  ["spans that are no list", '{"resourceSpans":[{"scopeSpans":[{"spans":{}}]}]}', 400],
  ["a short trace id", aBody({ id: "1", traceId: "abc" }), 400],
  ["no start time", aBody({ id: "1" }).replace("startTimeUnixNano", "x"), 400],
  ["half a gzip", gzipSync(aBody({ id: "1" })).subarray(0, 40), 400, { "content-encoding": "gzip" }],
  ["Protobuf", "\u0000", 415, { "content-type": "application/x-protobuf" }],
  ["a form of a foreign page", aBody({ id: "1" }), 415, { "content-type": "text/plain" }],
  ["an unknown compression", aBody({ id: "1" }), 415, { "content-encoding": "br" }],
] as const)("a body with %s is refused in one line and stores nothing", async ([, body, status, headers]) => {
  const response = await send(body, { ...JSON_TYPE, ...headers });
  expect(response.status).toBe(status);
  expect(await response.json()).toEqual({ code: 3, message: expect.stringMatching(/^[^\n]+$/) });
  expect(await (await fetch(store.address)).text()).toContain("No traces yet");
});

test("hostile names and values are shown as text, on pages that may run no script", async () => {
  const hostile = `<script>alert(1)</script>"' onload="x" <img src=x> &amp;`;
  await send(aBody({ id: "1", name: hostile, service: hostile, attributes: { [hostile]: hostile } }));
  for (const address of [store.address, store.addressOf(TRACE_ID)]) {
    const response = await fetch(address);
    const page = await response.text();
    expect(page).not.toMatch(/<script|<img|" onload/);
    expect(page).toContain("&lt;script&gt;");
    expect(response.headers.get("content-security-policy")).toMatch(/^default-src 'none'; style-src 'sha256-[^']+';/);
    expect(response.headers.get("x-content-type-options")).toBe("nosniff");
  }
});

test("direction overrides in a name cannot reorder the page", async () => {
  await send(aBody({ id: "1", name: "safe\u202Eevil" }));
  expect(await (await fetch(store.addressOf(TRACE_ID))).text()).toContain("safe\u25A1evil");
});

test("a span sent twice is stored once", async () => {
  await send(aBody({ id: "1" }));
  await send(aBody({ id: "1" }, { id: "2", parent: "1" }));
  expect((await stored()).spanCount).toBe(2);
});

test("a trace takes 5,000 spans and says how many it refused", async () => {
  const spans = Array.from({ length: 5003 }, (_, index) => ({ id: (index + 1).toString(16) }));
  const response = await send(aBody(...spans));
  expect(await response.json()).toEqual({ partialSuccess: { rejectedSpans: "3", errorMessage: "trace is full" } });
  expect(await stored()).toMatchObject({ spanCount: 5000, droppedSpans: 3, complete: false });
});

test("spans whose parents form a cycle are still shown", async () => {
  await send(aBody({ id: "a1", parent: "b2", name: "first" }, { id: "b2", parent: "a1", name: "second" }));
  const page = await (await fetch(store.addressOf(TRACE_ID))).text();
  expect(page).toContain("first");
  expect(page).toContain("second");
});

test("the newest traces are kept and the list starts with the latest", async () => {
  await using small = await openTraceStore({ dir: join(dir, "small"), keep: 2 });
  const ids = ["a", "b", "c"].map((digit) => digit.repeat(32));
  for (const [index, traceId] of ids.entries()) {
    const body = aBody({ id: "1", traceId, startMs: index * 1000 });
    await fetch(`${small.address}/v1/traces`, { method: "POST", headers: JSON_TYPE, body });
  }
  const page = await (await fetch(small.address)).text();
  const listed = [...page.matchAll(/\/traces\/([0-9a-f]{32})/g)].map(([, traceId]) => traceId);
  expect(listed).toEqual([ids[2], ids[1]]);
  expect((await fetch(small.addressOf(ids[0]!))).status).toBe(404);
});

test("traces survive a restart, a cut last line included", async () => {
  await send(aBody({ id: "1", name: "kept" }));
  await store[Symbol.asyncDispose]();
  expect(await readdir(dir)).toEqual(["traces.jsonl"]);
  const { appendFile } = await import("node:fs/promises");
  await appendFile(join(dir, "traces.jsonl"), '{"traceId":"0af7');
  store = await openTraceStore({ dir });
  expect((await stored()).spans.map((span) => span.name)).toEqual(["kept"]);
  await send(aBody({ id: "2", parent: "1" }));
  await store[Symbol.asyncDispose]();
  store = await openTraceStore({ dir });
  expect((await stored()).spanCount).toBe(2);
  expect(await readFile(join(dir, "traces.jsonl"), "utf8")).toContain('"kept"');
});

test("a request under a foreign host name is refused on the loopback interface", async () => {
  const { port } = new URL(store.address);
  const call = request({ host: "127.0.0.1", port, path: "/", headers: { host: "attacker.example" } }).end();
  const [response] = await once(call, "response");
  response.resume();
  expect(response.statusCode).toBe(403);
});

test.for([
  ["GET", "/v1/traces", 405],
  ["DELETE", "/", 405],
  ["GET", "/nothing", 404],
  ["GET", "/traces/xyz", 404],
  ["HEAD", "/", 200],
] as const)("%s %s answers %i", async ([method, path, status]) => {
  expect((await fetch(`${store.address}${path}`, { method })).status).toBe(status);
});

test.for([
  [{ keep: 0 }, "keep must be a whole number from 1 to 10000, not 0"],
  [{ port: 70_000 }, "port must be a whole number from 0 to 65535, not 70000"],
] as const)("the options %j are refused", async ([options, message]) => {
  await expect(openTraceStore({ dir, ...options })).rejects.toThrow(message);
});
