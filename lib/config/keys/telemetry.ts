// The settings of OpenTelemetry, by their standard variables. They are judged where they are used (lib/telemetry), which says what it cannot
// use and goes on without: telemetry must not keep a service from starting. One entry a key.
import type { SecretReference } from "../../secrets/secret-reference.ts";
import type { Key } from "../key.ts";
import { secret, text } from "../kinds.ts";

export const endpoint: Key<string | undefined> = standard({
  path: "telemetry.endpoint",
  variable: "OTEL_EXPORTER_OTLP_ENDPOINT",
  fallbackText: "off",
  doc: "Where traces and the stock agent's metrics go: OTLP as JSON over HTTP. `/v1/traces` and `/v1/metrics` are added.",
});

export const headers: Key<SecretReference | undefined> = secret({
  path: "telemetry.headers",
  variable: "OTEL_EXPORTER_OTLP_HEADERS",
  doc: "Headers for both, as `key=value` pairs joined by commas, values percent-encoded.",
});

export const timeout: Key<string | undefined> = standard({
  path: "telemetry.timeout",
  variable: "OTEL_EXPORTER_OTLP_TIMEOUT",
  fallbackText: "10000",
  doc: "The longest time for one export, in milliseconds.",
});

export const protocol: Key<string | undefined> = standard({
  path: "telemetry.protocol",
  variable: "OTEL_EXPORTER_OTLP_PROTOCOL",
  fallbackText: "http/json",
  doc: "Only `http/json` is built in.",
});

export const disabled: Key<string | undefined> = standard({
  path: "telemetry.disabled",
  variable: "OTEL_SDK_DISABLED",
  fallbackText: "false",
  doc: "`true` switches all of it off.",
});

export const serviceName: Key<string | undefined> = standard({
  path: "telemetry.serviceName",
  variable: "OTEL_SERVICE_NAME",
  fallbackText: "by process",
  doc: "What the process is called: `mycel-coordinator` and `mycel-agent` unless it is set.",
});

export const resourceAttributes: Key<string | undefined> = standard({
  path: "telemetry.resourceAttributes",
  variable: "OTEL_RESOURCE_ATTRIBUTES",
  doc: "What else is said of the process, as `key=value` pairs joined by commas, values percent-encoded.",
});

export const tracesExporter: Key<string | undefined> = standard({
  path: "telemetry.traces.exporter",
  variable: "OTEL_TRACES_EXPORTER",
  fallbackText: "otlp",
  doc: "Where traces go: `otlp`, `console` or `none`.",
});

export const tracesEndpoint: Key<string | undefined> = standard({
  path: "telemetry.traces.endpoint",
  variable: "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
  fallbackText: "as telemetry.endpoint",
  doc: "Where traces go, in full.",
});

export const tracesHeaders: Key<SecretReference | undefined> = secret({
  path: "telemetry.traces.headers",
  variable: "OTEL_EXPORTER_OTLP_TRACES_HEADERS",
  doc: "Further headers for traces.",
});

export const tracesTimeout: Key<string | undefined> = standard({
  path: "telemetry.traces.timeout",
  variable: "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT",
  fallbackText: "as telemetry.timeout",
  doc: "The longest time for one export of traces, in milliseconds.",
});

export const tracesProtocol: Key<string | undefined> = standard({
  path: "telemetry.traces.protocol",
  variable: "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
  fallbackText: "as telemetry.protocol",
  doc: "Only `http/json` is built in.",
});

export const sampler: Key<string | undefined> = standard({
  path: "telemetry.traces.sampler",
  variable: "OTEL_TRACES_SAMPLER",
  fallbackText: "parentbased_always_on",
  doc: "`always_on`, `always_off`, `traceidratio`, or one of these after `parentbased_`.",
});

export const samplerArg: Key<string | undefined> = standard({
  path: "telemetry.traces.samplerArg",
  variable: "OTEL_TRACES_SAMPLER_ARG",
  fallbackText: "1",
  doc: "The share that `traceidratio` takes, from 0 to 1.",
});

export const batchDelay: Key<string | undefined> = standard({
  path: "telemetry.traces.batchDelay",
  variable: "OTEL_BSP_SCHEDULE_DELAY",
  fallbackText: "5000",
  doc: "The time between two exports of traces, in milliseconds.",
});

export const batchTimeout: Key<string | undefined> = standard({
  path: "telemetry.traces.batchTimeout",
  variable: "OTEL_BSP_EXPORT_TIMEOUT",
  fallbackText: "30000",
  doc: "The longest time for one batch, in milliseconds.",
});

export const batchQueueSize: Key<string | undefined> = standard({
  path: "telemetry.traces.batchQueueSize",
  variable: "OTEL_BSP_MAX_QUEUE_SIZE",
  fallbackText: "2048",
  doc: "How many spans may wait.",
});

export const batchSize: Key<string | undefined> = standard({
  path: "telemetry.traces.batchSize",
  variable: "OTEL_BSP_MAX_EXPORT_BATCH_SIZE",
  fallbackText: "512",
  doc: "How many spans go out at once.",
});

export const metricsExporter: Key<string | undefined> = standard({
  path: "telemetry.metrics.exporter",
  variable: "OTEL_METRICS_EXPORTER",
  fallbackText: "otlp",
  doc: "Where metrics go: `otlp`, `console` or `none`.",
});

export const metricsEndpoint: Key<string | undefined> = standard({
  path: "telemetry.metrics.endpoint",
  variable: "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
  fallbackText: "as telemetry.endpoint",
  doc: "Where metrics go, in full.",
});

export const metricsHeaders: Key<SecretReference | undefined> = secret({
  path: "telemetry.metrics.headers",
  variable: "OTEL_EXPORTER_OTLP_METRICS_HEADERS",
  doc: "Further headers for metrics.",
});

export const metricsTimeout: Key<string | undefined> = standard({
  path: "telemetry.metrics.timeout",
  variable: "OTEL_EXPORTER_OTLP_METRICS_TIMEOUT",
  fallbackText: "as telemetry.timeout",
  doc: "The longest time for one export of metrics, in milliseconds.",
});

export const metricsProtocol: Key<string | undefined> = standard({
  path: "telemetry.metrics.protocol",
  variable: "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL",
  fallbackText: "as telemetry.protocol",
  doc: "Only `http/json` is built in.",
});

export const metricsInterval: Key<string | undefined> = standard({
  path: "telemetry.metrics.interval",
  variable: "OTEL_METRIC_EXPORT_INTERVAL",
  fallbackText: "60000",
  doc: "The time between two exports of metrics, in milliseconds.",
});

export const metricsExportTimeout: Key<string | undefined> = standard({
  path: "telemetry.metrics.exportTimeout",
  variable: "OTEL_METRIC_EXPORT_TIMEOUT",
  fallbackText: "30000",
  doc: "The longest time for collecting and exporting metrics, in milliseconds; the interval at most.",
});

interface StandardEntry {
  readonly path: string;
  readonly variable: string;
  readonly fallbackText?: string;
  readonly doc: string;
}

function standard(entry: StandardEntry): Key<string | undefined> {
  return text({ ...entry, fallback: undefined });
}
