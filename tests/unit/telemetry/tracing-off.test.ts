import { context, trace } from "@opentelemetry/api";
import { expect, test } from "vitest";
import { readTraceSettings } from "../../../lib/telemetry/trace-settings.ts";
import { openTracing } from "../../../lib/telemetry/tracing.ts";
import { carrierFromContext, contextFromCarrier, isTracing, mycelTracer } from "../../../lib/wire/trace-context.ts";

const TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

test.for([
  ["nothing is configured", {}],
  ["the SDK is disabled", { OTEL_SDK_DISABLED: "true", OTEL_EXPORTER_OTLP_ENDPOINT: "http://127.0.0.1:9" }],
  ["the exporter is none", { OTEL_TRACES_EXPORTER: "none", OTEL_EXPORTER_OTLP_ENDPOINT: "http://127.0.0.1:9" }],
  ["an empty endpoint is configured", { OTEL_EXPORTER_OTLP_ENDPOINT: "  " }],
] as const)("no provider, context manager or propagator is registered when %s", async ([, env]) => {
  await using tracing = await openTracing({ serviceName: "s", env });
  expect(tracing.enabled).toBe(false);
  expect(isTracing()).toBe(false);
  const span = mycelTracer().startSpan("x");
  expect(span.isRecording()).toBe(false);
  const inside = trace.setSpan(context.active(), span);
  expect(context.with(inside, () => trace.getActiveSpan())).toBeUndefined();
  expect(carrierFromContext(inside)).toEqual({});
  expect(trace.getSpanContext(contextFromCarrier({ traceparent: TRACEPARENT }))).toBeUndefined();
});

test.for([
  ["OTEL_EXPORTER_OTLP_ENDPOINT", "localhost:4318", "none"],
  ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "not a url", "none"],
  ["OTEL_TRACES_EXPORTER", "zipkin", "otlp"],
  ["OTEL_TRACES_SAMPLER", "sometimes", "otlp"],
  ["OTEL_TRACES_SAMPLER", "constructor", "otlp"],
  ["OTEL_SDK_DISABLED", "yes", "otlp"],
  ["OTEL_BSP_MAX_QUEUE_SIZE", "0", "otlp"],
  ["OTEL_BSP_SCHEDULE_DELAY", "soon", "otlp"],
  ["OTEL_RESOURCE_ATTRIBUTES", "no-equals-sign", "otlp"],
  ["OTEL_EXPORTER_OTLP_HEADERS", "a=%zz", "otlp"],
  ["OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", "otlp"],
] as const)("%s=%s is reported in one line and replaced by its default", ([name, value, kind]) => {
  const settings = readTraceSettings({ OTEL_EXPORTER_OTLP_ENDPOINT: "http://127.0.0.1:4318", [name]: value });
  expect(settings.problems).toHaveLength(1);
  expect(settings.problems[0]).toContain(name);
  expect(settings.problems[0]).not.toContain("\n");
  expect(settings.target.kind).toBe(kind);
});

test("an unusable sampler argument falls back to sampling everything", () => {
  const settings = readTraceSettings({ OTEL_TRACES_SAMPLER: "traceidratio", OTEL_TRACES_SAMPLER_ARG: "1.5" });
  expect(settings.problems).toEqual(["OTEL_TRACES_SAMPLER_ARG is not usable: expected a number from 0 to 1; using 1"]);
  expect(settings.sampler.toString()).toBe("TraceIdRatioBased{1}");
});

test("the standard variables reach their settings", () => {
  const settings = readTraceSettings({
    OTEL_EXPORTER_OTLP_ENDPOINT: "https://collector.example/base/",
    OTEL_EXPORTER_OTLP_HEADERS: "x-tenant=acme,authorization=Bearer%20abc",
    OTEL_EXPORTER_OTLP_TRACES_HEADERS: "x-tenant=other",
    OTEL_EXPORTER_OTLP_TIMEOUT: "2500",
    OTEL_TRACES_SAMPLER: "parentbased_traceidratio",
    OTEL_TRACES_SAMPLER_ARG: "0.25",
    OTEL_RESOURCE_ATTRIBUTES: "deployment.environment.name=test,team=core%2Cmesh",
    OTEL_SERVICE_NAME: "named",
    OTEL_BSP_SCHEDULE_DELAY: "100",
    OTEL_BSP_MAX_QUEUE_SIZE: "64",
  });
  expect(settings.problems).toEqual([]);
  expect(settings.target).toEqual({
    kind: "otlp",
    url: "https://collector.example/base/v1/traces",
    headers: { "x-tenant": "other", authorization: "Bearer abc" },
    timeoutMs: 2500,
  });
  expect(settings.sampler.toString()).toContain("TraceIdRatioBased{0.25}");
  expect(settings.resourceAttributes).toEqual({ "deployment.environment.name": "test", team: "core,mesh" });
  expect(settings.serviceName).toBe("named");
  expect(settings.batch).toMatchObject({ scheduledDelayMillis: 100, maxQueueSize: 64, maxExportBatchSize: 64 });
});

test("the traces endpoint is used as it stands", () => {
  const settings = readTraceSettings({
    OTEL_EXPORTER_OTLP_ENDPOINT: "http://shared.example",
    OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: "http://own.example/in",
  });
  expect(settings.target).toMatchObject({ kind: "otlp", url: "http://own.example/in" });
});
