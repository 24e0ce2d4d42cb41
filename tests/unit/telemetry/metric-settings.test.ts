import { metrics } from "@opentelemetry/api";
import { expect, test } from "vitest";
import { sendingTraces } from "../../../cli/up/local-mesh.ts";
import { readMetricSettings } from "../../../lib/telemetry/metric-settings.ts";
import { openMetrics } from "../../../lib/telemetry/metrics.ts";
import { readTraceSettings } from "../../../lib/telemetry/trace-settings.ts";

const ENDPOINT = "http://127.0.0.1:4318";

test.for([
  ["nothing is configured", {}],
  ["the SDK is disabled", { OTEL_SDK_DISABLED: "true", OTEL_EXPORTER_OTLP_ENDPOINT: ENDPOINT }],
  ["the exporter is none", { OTEL_METRICS_EXPORTER: "none", OTEL_EXPORTER_OTLP_ENDPOINT: ENDPOINT }],
  ["an empty endpoint is configured", { OTEL_EXPORTER_OTLP_ENDPOINT: "  " }],
  ["only traces have an endpoint", { OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: ENDPOINT }],
] as const)("no meter provider is registered when %s", async ([, env]) => {
  const before = metrics.getMeter("x");
  await using measured = await openMetrics({ serviceName: "s", env });
  expect(measured.enabled).toBe(false);
  expect(measured.target).toBeUndefined();
  expect(metrics.getMeter("x")).toBe(before);
});

test.for([
  ["OTEL_EXPORTER_OTLP_ENDPOINT", "localhost:4318", "none"],
  ["OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "not a url", "none"],
  ["OTEL_METRICS_EXPORTER", "prometheus", "otlp"],
  ["OTEL_METRIC_EXPORT_INTERVAL", "0", "otlp"],
  ["OTEL_METRIC_EXPORT_TIMEOUT", "soon", "otlp"],
  ["OTEL_EXPORTER_OTLP_METRICS_HEADERS", "a=%zz", "otlp"],
  ["OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "grpc", "otlp"],
] as const)("%s=%s is reported in one line and replaced by its default", ([name, value, kind]) => {
  const settings = readMetricSettings({ OTEL_EXPORTER_OTLP_ENDPOINT: ENDPOINT, [name]: value });
  expect(settings.problems).toEqual([expect.stringMatching(new RegExp(`^${name} is not usable: [^\\n]+$`))]);
  expect(settings).toMatchObject({ target: { kind }, intervalMs: 60_000, exportTimeoutMs: 30_000 });
});

test("metrics have variables of their own beside the shared ones", () => {
  const settings = readMetricSettings({
    OTEL_EXPORTER_OTLP_ENDPOINT: "https://collector.example/base/",
    OTEL_EXPORTER_OTLP_HEADERS: "x-tenant=acme,authorization=Bearer%20abc",
    OTEL_EXPORTER_OTLP_METRICS_HEADERS: "x-tenant=other",
    OTEL_EXPORTER_OTLP_TIMEOUT: "2500",
    OTEL_EXPORTER_OTLP_TRACES_TIMEOUT: "1",
    OTEL_METRIC_EXPORT_INTERVAL: "15000",
    OTEL_TRACES_EXPORTER: "none",
    OTEL_SERVICE_NAME: "named",
  });
  expect(settings).toEqual({
    target: {
      kind: "otlp",
      url: "https://collector.example/base/v1/metrics",
      headers: { "x-tenant": "other", authorization: "Bearer abc" },
      timeoutMs: 2500,
    },
    intervalMs: 15_000,
    exportTimeoutMs: 15_000,
    serviceName: "named",
    resourceAttributes: {},
    problems: [],
  });
});

test("the metrics endpoint is used as it stands", () => {
  const settings = readMetricSettings({
    OTEL_EXPORTER_OTLP_ENDPOINT: "http://shared.example",
    OTEL_EXPORTER_OTLP_METRICS_ENDPOINT: "http://own.example/in",
  });
  expect(settings.target).toMatchObject({ kind: "otlp", url: "http://own.example/in" });
});

test("what mycel up starts sends its traces to the viewer, and metrics only where the user says", () => {
  const viewer = `${ENDPOINT}/v1/traces`;
  const env = sendingTraces({}, viewer);
  expect(readTraceSettings(env).target).toMatchObject({ kind: "otlp", url: viewer });
  expect(readMetricSettings(env).target).toEqual({ kind: "none" });
  const own = "http://own.example/in";
  const both = sendingTraces({ OTEL_EXPORTER_OTLP_METRICS_ENDPOINT: own }, viewer);
  expect(readTraceSettings(both).target).toMatchObject({ url: viewer });
  expect(readMetricSettings(both).target).toMatchObject({ url: own });
});
