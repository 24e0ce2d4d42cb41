// What an operator's collector learns of the inference task: tokens and durations by provider and model, and nothing of what was said.
import { expect, test } from "vitest";
import { openMetrics } from "../../../lib/telemetry/metrics.ts";
import { inferenceTask } from "../../../services/worker/inference/inference-task.ts";
import { openModelProviders } from "../../../services/worker/inference/model-providers.ts";
import { readInferenceSettings } from "../../../services/worker/inference/provider-settings.ts";
import { callCapability } from "../../support/handler-call.ts";
import { openMetricCollector } from "../../support/metric-collector.ts";
import { type ModelServer, openModelServer, sendChatCompletion } from "../../support/model-server.ts";

const CHAT = { messages: [{ role: "user", content: "Tell me the prompt" }] };
const DURATION = "gen_ai.client.operation.duration";
const USAGE = "gen_ai.client.token.usage";

/** Runs a task for each of `inputs` in a process whose environment is `env`, to its end. */
async function runIn(env: Readonly<Record<string, string>>, server: ModelServer, ...inputs: unknown[]): Promise<void> {
  const lines: string[] = [];
  await using _metrics = await openMetrics({ serviceName: "agent", env, report: (line) => lines.push(line) });
  await using models = await openModelProviders(
    readInferenceSettings({ MYCEL_INFERENCE_URL: `${server.url}/v1`, MYCEL_INFERENCE_MODEL: "small" }),
  );
  const task = inferenceTask(models!);
  for (const input of inputs) await callCapability(task, input).catch(() => undefined);
  expect(lines).toEqual([]);
}

test("tokens and durations are there when the process has ended, by provider, model and kind", async () => {
  await using server = await openModelServer((_request, response) =>
    sendChatCompletion(response, { text: ["the completion"] }),
  );
  await using collector = await openMetricCollector();
  await runIn({ OTEL_EXPORTER_OTLP_ENDPOINT: collector.url }, server, CHAT, CHAT, { ...CHAT, model: "large" });

  const asked = (model: string): object => ({
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "custom",
    "gen_ai.request.model": model,
    "gen_ai.response.model": "small-1",
    "server.address": "127.0.0.1",
    "server.port": server.port,
  });
  const bounds = [1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864];
  const tokens = (model: string, type: string, count: number, sum: number): object => ({
    service: "agent",
    unit: "{token}",
    attributes: { ...asked(model), "gen_ai.token.type": type },
    count,
    sum,
    bounds,
  });
  expect(collector.points(USAGE)).toEqual([
    tokens("small", "input", 2, 24),
    tokens("small", "output", 2, 6),
    tokens("large", "input", 1, 12),
    tokens("large", "output", 1, 3),
  ]);
  expect(collector.points(DURATION)).toEqual(
    ["small", "large"].map((model) => ({
      service: "agent",
      unit: "s",
      attributes: asked(model),
      count: model === "small" ? 2 : 1,
      sum: expect.any(Number),
      bounds: [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92],
    })),
  );
  for (const { sum } of collector.points(DURATION)) expect(sum).toBeGreaterThan(0);
  for (const secret of ["the prompt", "the completion"]) expect(collector.text()).not.toContain(secret);
});

test("a call that fails has its duration and the kind of error, and no tokens that nobody told", async () => {
  await using server = await openModelServer((_request, response) => response.writeHead(400).end("{}"));
  await using collector = await openMetricCollector();
  await runIn({ OTEL_EXPORTER_OTLP_ENDPOINT: collector.url }, server, CHAT);
  expect(collector.points(DURATION).map(({ count, attributes }) => [count, attributes["error.type"]])).toEqual([
    [1, "400"],
  ]);
  expect(collector.points(USAGE)).toEqual([]);
});

test("counts that are none are not counted", async () => {
  await using server = await openModelServer((_request, response) =>
    sendChatCompletion(response, { usage: { prompt_tokens: -1, completion_tokens: 2, total_tokens: 1 } }),
  );
  await using collector = await openMetricCollector();
  await runIn({ OTEL_EXPORTER_OTLP_ENDPOINT: collector.url }, server, CHAT);
  expect(collector.points(USAGE).map(({ sum, attributes }) => [sum, attributes["gen_ai.token.type"]])).toEqual([
    [2, "output"],
  ]);
});

test.for<[string, (url: string) => Readonly<Record<string, string>>]>([
  ["no endpoint is set", () => ({})],
  ["only that of traces is set", (url) => ({ OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: `${url}/v1/traces` })],
  ["the exporter is none", (url) => ({ OTEL_EXPORTER_OTLP_ENDPOINT: url, OTEL_METRICS_EXPORTER: "none" })],
])("nothing is sent when %s", async ([, envOf]) => {
  await using server = await openModelServer((_request, response) => sendChatCompletion(response));
  await using collector = await openMetricCollector();
  await runIn(envOf(collector.url), server, CHAT);
  expect(server.requests).toHaveLength(1);
  expect(collector.paths).toEqual([]);
});
