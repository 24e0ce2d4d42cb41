// Owns the OpenTelemetry SDK of a process: sets it up from the standard variables and takes it down again.
// Imported by main.ts files only; everything else sees the API. Without a configured target it registers nothing.
import { context, propagation, trace } from "@opentelemetry/api";
import { AsyncLocalStorageContextManager } from "@opentelemetry/context-async-hooks";
import { W3CTraceContextPropagator, setGlobalErrorHandler } from "@opentelemetry/core";
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-http";
import {
  BatchSpanProcessor,
  ConsoleSpanExporter,
  SimpleSpanProcessor,
  type SpanProcessor,
  TracerProvider,
} from "@opentelemetry/sdk-trace";
import { declareParentBased } from "../wire/trace-context.ts";
import {
  bounded,
  CLOSE_LIMIT_MS,
  failureReporter,
  type Report,
  reportToStderr,
  shownTarget,
} from "./export-failures.ts";
import type { Environment } from "./otel-variables.ts";
import { processResource, type ProcessFacts } from "./process-resource.ts";
import { TraceIds } from "./trace-ids.ts";
import { type TraceSettings, readTraceSettings } from "./trace-settings.ts";

// Attributes are for reading, not for payloads; the count limits are the SDK's own defaults (128).
const ATTRIBUTE_LENGTH_LIMIT = 4096;

/** What {@link openTracing} needs. */
export interface TracingOptions extends ProcessFacts {
  /** The process's environment, e.g. `process.env`; OTEL_* variables are read from it. */
  readonly env: Environment;
  /** Takes one line for each unusable variable and, at most once a minute, for failing exports. Default: stderr. */
  readonly report?: Report | undefined;
}

/** The tracing of this process. Disposing flushes and unregisters it, in 3 seconds at most, and never throws. */
export interface Tracing extends AsyncDisposable {
  /** False when no target is configured: the API's no-op stays in place. */
  readonly enabled: boolean;
  /** Where spans go, for a start-up line: an address, `console`, or undefined. Holds no credentials. */
  readonly target: string | undefined;
  /** Sends what has been recorded so far. Resolves also when the collector refused it; the failure is reported. */
  flush(): Promise<void>;
}

/**
 * Registers tracing for the process when OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_EXPORTER_OTLP_TRACES_ENDPOINT or
 * OTEL_TRACES_EXPORTER=console asks for it. Unusable values are reported in one line each and replaced by defaults.
 * Throws when another tracer provider is registered already: two set-ups in one process are a programming error.
 */
export async function openTracing(options: TracingOptions): Promise<Tracing> {
  const report = options.report ?? reportToStderr;
  const settings = readTraceSettings(options.env);
  for (const problem of settings.problems) report(problem);
  const { target } = settings;
  if (target.kind === "none") return untraced;

  const ids = new TraceIds(settings.sampler);
  const provider = new TracerProvider({
    resource: processResource(options, settings),
    sampler: settings.sampler,
    idGenerator: ids,
    spanLimits: { attributeValueLengthLimit: ATTRIBUTE_LENGTH_LIMIT },
    spanProcessors: [processorOf(settings)],
  });
  if (!trace.setGlobalTracerProvider(provider)) {
    await provider.shutdown();
    throw new Error("tracing is already set up in this process");
  }
  if (settings.followsParents) declareParentBased(provider, ids);
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
  propagation.setGlobalPropagator(new W3CTraceContextPropagator());

  const where = shownTarget(target);
  const reportFailure = failureReporter("traces", where, report);
  setGlobalErrorHandler(reportFailure);

  let closing: Promise<void> | undefined;
  const close = async (): Promise<void> => {
    await bounded(provider.shutdown(), reportFailure);
    trace.disable();
    context.disable();
    propagation.disable();
  };
  return {
    enabled: true,
    target: where,
    flush: () => bounded(provider.forceFlush({ timeoutMillis: CLOSE_LIMIT_MS }), reportFailure),
    [Symbol.asyncDispose]: () => (closing ??= close()),
  };
}

const untraced: Tracing = {
  enabled: false,
  target: undefined,
  async flush() {},
  async [Symbol.asyncDispose]() {},
};

function processorOf(settings: TraceSettings): SpanProcessor {
  const { target } = settings;
  if (target.kind !== "otlp") return new SimpleSpanProcessor({ exporter: new ConsoleSpanExporter() });
  // The exporter reads OTEL_EXPORTER_OTLP_COMPRESSION and the certificate variables itself.
  const exporter = new OTLPTraceExporter({
    url: target.url,
    headers: { ...target.headers },
    timeoutMillis: target.timeoutMs,
  });
  return new BatchSpanProcessor({ exporter, ...settings.batch });
}
