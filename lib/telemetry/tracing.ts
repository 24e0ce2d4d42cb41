// Owns the OpenTelemetry SDK of a process: sets it up from the standard variables and takes it down again.
// Imported by main.ts files only; everything else sees the API. Without a configured target it registers nothing.
import { setTimeout as delay } from "node:timers/promises";
import { context, propagation, trace } from "@opentelemetry/api";
import { AsyncLocalStorageContextManager } from "@opentelemetry/context-async-hooks";
import { W3CTraceContextPropagator, setGlobalErrorHandler } from "@opentelemetry/core";
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-http";
import { defaultResource, resourceFromAttributes } from "@opentelemetry/resources";
import {
  BatchSpanProcessor,
  ConsoleSpanExporter,
  SimpleSpanProcessor,
  type SpanProcessor,
  TracerProvider,
} from "@opentelemetry/sdk-trace";
import { ATTR_SERVICE_INSTANCE_ID, ATTR_SERVICE_NAME, ATTR_SERVICE_VERSION } from "@opentelemetry/semantic-conventions";
import { declareParentBased } from "../wire/trace-context.ts";
import { TraceIds } from "./trace-ids.ts";
import { type Environment, type TraceSettings, readTraceSettings } from "./trace-settings.ts";

// A collector that hangs must not hold up a shutdown for longer than an orchestrator's patience leaves room for.
const CLOSE_LIMIT_MS = 3000;
// A collector that is down fails every batch; one line a minute says it without filling the log.
const REPORT_EVERY_MS = 60_000;
// Attributes are for reading, not for payloads; the count limits are the SDK's own defaults (128).
const ATTRIBUTE_LENGTH_LIMIT = 4096;

/** What {@link openTracing} needs. */
export interface TracingOptions {
  /** `service.name` unless OTEL_SERVICE_NAME or OTEL_RESOURCE_ATTRIBUTES names another. */
  readonly serviceName: string;
  /** `service.version`. */
  readonly serviceVersion?: string | undefined;
  /** `service.instance.id`: tells replicas apart. Default: a random UUID. */
  readonly instanceId?: string | undefined;
  /** The process's environment, e.g. `process.env`; OTEL_* variables are read from it. */
  readonly env: Environment;
  /** Takes one line for each unusable variable and, at most once a minute, for failing exports. Default: stderr. */
  readonly report?: ((line: string) => void) | undefined;
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
  const report = options.report ?? ((line: string): void => void process.stderr.write(`${line}\n`));
  const settings = readTraceSettings(options.env);
  for (const problem of settings.problems) report(problem);
  const { target } = settings;
  if (target.kind === "none") return untraced;

  const ids = new TraceIds(settings.sampler);
  const provider = new TracerProvider({
    resource: resourceOf(options, settings),
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

  const where = target.kind === "otlp" ? addressOf(target.url) : "console";
  let quietUntil = 0;
  const reportFailure = (error: unknown): void => {
    const now = performance.now();
    if (now < quietUntil) return;
    quietUntil = now + REPORT_EVERY_MS;
    report(`traces could not be sent to ${where}: ${describe(error)}`);
  };
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

function resourceOf(options: TracingOptions, settings: TraceSettings): ReturnType<typeof defaultResource> {
  const version = options.serviceVersion === undefined ? {} : { [ATTR_SERVICE_VERSION]: options.serviceVersion };
  // Precedence as specified: OTEL_SERVICE_NAME over OTEL_RESOURCE_ATTRIBUTES over what the code says.
  const named = settings.serviceName === undefined ? {} : { [ATTR_SERVICE_NAME]: settings.serviceName };
  return defaultResource().merge(
    resourceFromAttributes({
      [ATTR_SERVICE_NAME]: options.serviceName,
      [ATTR_SERVICE_INSTANCE_ID]: options.instanceId ?? crypto.randomUUID(),
      ...version,
      ...settings.resourceAttributes,
      ...named,
    }),
  );
}

async function bounded(work: Promise<void>, onError: (error: unknown) => void): Promise<void> {
  const timer = new AbortController();
  const expired = delay(CLOSE_LIMIT_MS, "expired", { signal: timer.signal, ref: true }).catch(() => "stopped");
  try {
    const outcome = await Promise.race([work, expired]);
    if (outcome === "expired") onError(new Error(`no answer within ${CLOSE_LIMIT_MS} ms`));
  } catch (error) {
    onError(error);
  } finally {
    timer.abort();
  }
}

function addressOf(url: string): string {
  const address = new URL(url);
  return `${address.origin}${address.pathname}`;
}

function describe(error: unknown): string {
  const first: unknown = Array.isArray(error) ? error[0] : error;
  if (!(first instanceof Error)) return String(first);
  if (first instanceof AggregateError && first.message === "") return describe(first.errors);
  return first.message.split("\n")[0] ?? first.name;
}
