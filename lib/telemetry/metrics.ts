// Owns the OpenTelemetry metrics of a process: sets them up from the standard variables and takes them down again.
// Imported by main.ts files only; everything else sees the API. Without a configured target it registers nothing.
import { metrics } from "@opentelemetry/api";
import { OTLPMetricExporter } from "@opentelemetry/exporter-metrics-otlp-http";
import {
  ConsoleMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
  type PushMetricExporter,
} from "@opentelemetry/sdk-metrics";
import { bounded, failureReporter, type Report, reportToStderr, shownTarget } from "./export-failures.ts";
import { readMetricSettings } from "./metric-settings.ts";
import type { Environment } from "./otel-variables.ts";
import { processResource, type ProcessFacts } from "./process-resource.ts";
import type { SignalTarget } from "./signal-target.ts";

/** What {@link openMetrics} needs. */
export interface MetricsOptions extends ProcessFacts {
  /** The process's environment, e.g. `process.env`; OTEL_* variables are read from it. */
  readonly env: Environment;
  /** Takes one line for each unusable variable and, at most once a minute, for failing exports. Default: stderr. */
  readonly report?: Report | undefined;
}

/** The metrics of this process. Disposing flushes and unregisters them, in 3 seconds at most, and never throws. */
export interface Metrics extends AsyncDisposable {
  /** False when no target is configured: the API's no-op stays in place. */
  readonly enabled: boolean;
  /** Where metrics go, for a start-up line: an address, `console`, or undefined. Holds no credentials. */
  readonly target: string | undefined;
  /** Sends what has been recorded so far. Resolves also when the collector refused it; the failure is reported. */
  flush(): Promise<void>;
}

/**
 * Registers metrics for the process when OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_EXPORTER_OTLP_METRICS_ENDPOINT or
 * OTEL_METRICS_EXPORTER=console asks for them. Instruments that were made before record nothing. Unusable values are reported in one line
 * each and replaced by defaults. Throws when another meter provider is registered already.
 */
export async function openMetrics(options: MetricsOptions): Promise<Metrics> {
  const report = options.report ?? reportToStderr;
  const settings = readMetricSettings(options.env);
  for (const problem of settings.problems) report(problem);
  const { target } = settings;
  if (target.kind === "none") return unmeasured;

  const where = shownTarget(target);
  const reportFailure = failureReporter("metrics", where, report);
  const provider = new MeterProvider({
    resource: processResource(options, settings),
    readers: [
      new PeriodicExportingMetricReader({
        exporter: reporting(exporterOf(target), reportFailure),
        exportIntervalMillis: settings.intervalMs,
        exportTimeoutMillis: settings.exportTimeoutMs,
      }),
    ],
  });
  if (!metrics.setGlobalMeterProvider(provider)) {
    await provider.shutdown();
    throw new Error("metrics are already set up in this process");
  }

  let closing: Promise<void> | undefined;
  const close = async (): Promise<void> => {
    await bounded(provider.shutdown(), reportFailure);
    metrics.disable();
  };
  return {
    enabled: true,
    target: where,
    flush: () => bounded(provider.forceFlush(), reportFailure),
    [Symbol.asyncDispose]: () => (closing ??= close()),
  };
}

const unmeasured: Metrics = {
  enabled: false,
  target: undefined,
  async flush() {},
  async [Symbol.asyncDispose]() {},
};

function exporterOf(target: Exclude<SignalTarget, { readonly kind: "none" }>): PushMetricExporter {
  if (target.kind === "console") return new ConsoleMetricExporter();
  // The exporter reads OTEL_EXPORTER_OTLP_COMPRESSION, the certificate variables and the temporality preference itself.
  return new OTLPMetricExporter({
    url: target.url,
    headers: { ...target.headers },
    timeoutMillis: target.timeoutMs,
  });
}

// Failures are told here: the SDK has one handler of errors for the whole process, and tracing's speaks of traces. The SDK of metrics has a
// copy of its own, which says nothing.
function reporting(exporter: PushMetricExporter, reportFailure: (error: unknown) => void): PushMetricExporter {
  return {
    export(batch, done) {
      exporter.export(batch, (result) => {
        if (result.error !== undefined) reportFailure(result.error);
        done(result);
      });
    },
    forceFlush: () => exporter.forceFlush(),
    shutdown: () => exporter.shutdown(),
    ...(exporter.selectAggregation === undefined
      ? {}
      : { selectAggregation: exporter.selectAggregation.bind(exporter) }),
    ...(exporter.selectAggregationTemporality === undefined
      ? {}
      : { selectAggregationTemporality: exporter.selectAggregationTemporality.bind(exporter) }),
  };
}
