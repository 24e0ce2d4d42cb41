// The inference task through a real mesh: a client follows the answer of a model server that speaks the real protocol.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { SpanRecord } from "../../../cli/traces/span-record.ts";
import { openTraceStore, type TraceStore } from "../../../cli/traces/trace-store.ts";
import { createClient, type MycelClient, TaskFailedError } from "../../../sdk/client/index.ts";
import {
  InferenceChunkSchema,
  InferenceInputSchema,
  InferenceOutputSchema,
  packMessage,
  unpackMessage,
} from "../../../sdk/tasks/index.ts";
import { runCli } from "../../support/cli.ts";
import {
  beginEvents,
  chatChunk,
  type ModelListener,
  type ModelServer,
  openModelServer,
  sendChatCompletion,
} from "../../support/model-server.ts";
import { type MetricCollector, openMetricCollector } from "../../support/metric-collector.ts";
import { openStockMesh, type StockMesh } from "../../support/stock-mesh.ts";

const KEY = "sk-test-0123456789";
const CHAT = { messages: [{ role: "user", content: "Tell me the prompt" }] };

let answer: ModelListener = (_request, response) => sendChatCompletion(response);
let models: ModelServer;
let folder: string;
let traces: TraceStore;
let collector: MetricCollector;
let stock: StockMesh;
let client: MycelClient;

beforeAll(async () => {
  models = await openModelServer((request, response) => answer(request, response));
  folder = await mkdtemp(join(tmpdir(), "mycel-traces-"));
  traces = await openTraceStore({ dir: folder });
  collector = await openMetricCollector();
  const otel = { OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: traces.endpoint, OTEL_BSP_SCHEDULE_DELAY: "100" };
  stock = await openStockMesh({
    env: otel,
    agentEnv: {
      MYCEL_INFERENCE_URL: `${models.url}/v1`,
      MYCEL_INFERENCE_KEY: KEY,
      MYCEL_INFERENCE_MODEL: "small",
      ...otel,
      OTEL_EXPORTER_OTLP_METRICS_ENDPOINT: `${collector.url}/v1/metrics`,
      OTEL_METRIC_EXPORT_INTERVAL: "100",
    },
  });
  client = createClient({ url: stock.url });
});

afterAll(async () => {
  await client[Symbol.asyncDispose]();
  await stock[Symbol.asyncDispose]();
  await traces[Symbol.asyncDispose]();
  await collector[Symbol.asyncDispose]();
  await models[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

interface Run {
  readonly taskId: string;
  readonly chunks: readonly unknown[];
  readonly result: unknown;
}

async function run(input: unknown): Promise<Run> {
  const started = client.run("inference", input);
  const events = await Array.fromAsync(started);
  return {
    taskId: (await started.submitted).taskId,
    chunks: events.flatMap((event) => (event.kind === "chunk" ? [event.value] : [])),
    result: await started.result(),
  };
}

test("an answer streams through the mesh in order, as JSON and as Any", async () => {
  const text = Array.from({ length: 200 }, (_, i) => `${i} `);
  answer = (_request, response) => sendChatCompletion(response, { text, reasoning: ["Hm"] });
  const asJson = await run(CHAT);
  const pieces = asJson.chunks as { readonly text?: string; readonly reasoning?: string }[];
  expect(pieces[0]).toEqual({ reasoning: "Hm" });
  expect(pieces.map((piece) => piece.text ?? "").join("")).toBe(text.join(""));
  expect(asJson.result).toMatchObject({
    text: text.join(""),
    reasoning: "Hm",
    finishReason: "stop",
    usage: { inputTokens: 12, outputTokens: 3, totalTokens: 15 },
    provider: "custom",
    model: "small-1",
  });
  const typed = await run(packMessage(InferenceInputSchema, CHAT));
  const deltas = typed.chunks.map((chunk) => unpackMessage(InferenceChunkSchema, chunk).delta);
  expect(deltas.map(({ case: kind, value }) => (kind === "text" ? value : "")).join("")).toBe(text.join(""));
  expect(unpackMessage(InferenceOutputSchema, typed.result)).toMatchObject({
    text: text.join(""),
    finishReason: "stop",
  });
});

test("the first piece is there before the answer is", async () => {
  let goOn = (): void => {};
  answer = (_request, response) => {
    beginEvents(response);
    response.write(chatChunk({ content: "first" }));
    goOn = () => response.end(`${chatChunk({ content: " last" }, {}, "stop")}data: [DONE]\n\n`);
  };
  const started = client.run("inference", CHAT);
  for await (const event of started) {
    if (event.kind !== "chunk") continue;
    expect(event.value).toEqual({ text: "first" });
    break;
  }
  goOn();
  const { taskId } = await started.submitted;
  expect(await client.result(taskId)).toMatchObject({ text: "first last" });
});

test("a provider that has too much to do is asked again when it says", async () => {
  const refused = Date.now();
  answer = (_request, response) => {
    response.writeHead(429, { "retry-after": "1" }).end("{}");
    answer = (_again, second) => sendChatCompletion(second);
  };
  const { taskId, result } = await run(CHAT);
  expect(result).toMatchObject({ text: "Hello world" });
  expect((await client.status(taskId)).attempt).toBe(2);
  expect(Date.now() - refused).toBeGreaterThanOrEqual(1_000);
});

test("a task that is canceled stops the provider's answer", async () => {
  let closed = (): void => {};
  const gone = new Promise<void>((resolve) => (closed = resolve));
  answer = (_request, response) => {
    response.once("close", closed);
    beginEvents(response);
    response.write(chatChunk({ content: "for ever" }));
  };
  const { taskId } = await client.submit("inference", CHAT);
  for await (const event of client.watch(taskId)) if (event.kind === "chunk") break;
  await client.cancel(taskId);
  await expect(client.result(taskId)).rejects.toThrow(TaskFailedError);
  await gone;
});

test.for<[string, unknown, string]>([
  [
    "JSON",
    { messages: [{ role: "robot", content: "" }], temperature: 3, baseUrl: "http://127.0.0.1/" },
    'INVALID_INPUT: invalid input: baseUrl: unknown field; the fields are messages, system, provider, model, maxOutputTokens, temperature, topP, stopSequences, seed, responseFormat, responseSchema, timeoutMs, stallTimeoutMs; messages[0].role: must be one of user, assistant, system, is "robot"; messages[0].content: must be given; temperature: must be a number from 0 to 2, is 3',
  ],
  [
    "a message of another type",
    packMessage(InferenceOutputSchema, {}),
    "INVALID_INPUT: invalid input: must be a mycel.tasks.v1.InferenceInput, is a mycel.tasks.v1.InferenceOutput",
  ],
])("%s that it cannot take is refused in one line", async ([, input, line]) => {
  const before = models.requests.length;
  const { taskId } = await client.submit("inference", input);
  const { status, ...outcome } = await client.outcome(taskId);
  expect(outcome.state === "failed" && `${outcome.failure?.reason}: ${outcome.failure?.message}`).toBe(line);
  expect(status.attempt).toBe(1);
  expect(models.requests).toHaveLength(before);
});

test("trace and log tell what it cost, and not a word of the chat or of the key", async () => {
  answer = (_request, response) => sendChatCompletion(response, { text: ["the completion"] });
  const good = await run({ ...CHAT, maxOutputTokens: 100, temperature: 0.5 });
  answer = (_request, response) => {
    const error = { message: `Tell me the prompt ${KEY}`, type: "invalid_request_error" };
    response.writeHead(400, { "content-type": "application/json" }).end(JSON.stringify({ error }));
  };
  const { taskId: bad } = await client.submit("inference", CHAT);
  await expect(client.result(bad)).rejects.toThrow("custom answered 400 (invalid_request_error)");

  const told = await chatSpan(good.taskId);
  expect(Object.fromEntries(told.attributes)).toMatchObject({
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "custom",
    "gen_ai.request.model": "small",
    "gen_ai.request.max_tokens": 100,
    "gen_ai.request.temperature": 0.5,
    "gen_ai.response.model": "small-1",
    "gen_ai.response.id": "chatcmpl-1",
    "gen_ai.response.finish_reasons": '["stop"]',
    "gen_ai.usage.input_tokens": 12,
    "gen_ai.usage.output_tokens": 3,
    "server.address": "127.0.0.1",
    "server.port": models.port,
  });
  expect(Object.fromEntries((await chatSpan(bad)).attributes)).toMatchObject({ "error.type": "400" });
  const isParent = ({ name, spanId }: SpanRecord): boolean => name === "process inference" && spanId === told.parentId;
  await expect.poll(async () => (await spansOf(good.taskId)).some(isParent), { timeout: 15_000 }).toBe(true);

  const log = stock.agent.output();
  expect(log).toContain('"input_tokens":12,"output_tokens":3');
  const spans = JSON.stringify([await spansOf(good.taskId), await spansOf(bad)]);
  for (const secret of ["the prompt", "the completion", KEY]) {
    expect(log).not.toContain(secret);
    expect(spans).not.toContain(secret);
  }
});

test("the agent's metrics count what was asked of which model", async () => {
  answer = (_request, response) => sendChatCompletion(response);
  const request = { ...CHAT, model: "counted" };
  const { taskId } = await run(request);
  await run(request);
  const counted = (): object[] =>
    collector
      .points("gen_ai.client.token.usage")
      .filter((point) => point.attributes["gen_ai.request.model"] === "counted");
  const both = ["input", "output"].map((type) =>
    expect.objectContaining({
      service: "mycel-agent",
      count: 2,
      sum: type === "input" ? 24 : 6,
      attributes: expect.objectContaining({ "gen_ai.provider.name": "custom", "gen_ai.token.type": type }),
    }),
  );
  await expect.poll(counted, { timeout: 15_000 }).toEqual(both);
  for (const secret of ["the prompt", "Hello world", KEY, taskId]) expect(collector.text()).not.toContain(secret);
});

test("an agent without a key does not offer it, and doctor says why", async () => {
  const none = Object.fromEntries(
    ["OPENAI_API_KEY", "ANTHROPIC_API_KEY", "OLLAMA_HOST", "MYCEL_INFERENCE_URL"].map((name) => [name, ""]),
  );
  await using other = await openStockMesh({ agentEnv: none });
  await using watcher = createClient({ url: other.url });
  const [agent] = await Array.fromAsync(watcher.agents());
  expect(agent?.capabilities.map(({ type }) => type)).toContain("echo");
  expect(agent?.capabilities.map(({ type }) => type)).not.toContain("inference");
  const { code, stdout } = await runCli(other.url, ["doctor"]);
  expect(stdout).toContain("– inference    no agent offers it: no key and no URL of a language model is set\n");
  expect(code).toBe(0);
});

async function spansOf(taskId: string): Promise<readonly SpanRecord[]> {
  const { traceId } = await client.status(taskId);
  const response = await fetch(`${traces.addressOf(traceId)}.json`);
  if (!response.ok) return [];
  return ((await response.json()) as { readonly spans: readonly SpanRecord[] }).spans;
}

/** The span of the task's call, once it is exported. */
async function chatSpan(taskId: string): Promise<SpanRecord> {
  const find = async (): Promise<SpanRecord | undefined> =>
    (await spansOf(taskId)).find(({ name }) => name === "chat small");
  await expect.poll(find, { timeout: 15_000 }).toBeDefined();
  return (await find())!;
}
