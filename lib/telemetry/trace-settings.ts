// Owns the meaning of the standard OTEL_* variables: env in, settled values and complaints out. Pure; registers nothing.
import {
  AlwaysOffSampler,
  AlwaysOnSampler,
  ParentBasedSampler,
  type Sampler,
  TraceIdRatioBasedSampler,
} from "@opentelemetry/sdk-trace";

/** Environment variables as `process.env` holds them. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** Where spans go. `none` means that nothing is registered at all. */
type TraceTarget =
  | { readonly kind: "none" }
  | { readonly kind: "console" }
  | {
      readonly kind: "otlp";
      readonly url: string;
      readonly headers: Readonly<Record<string, string>>;
      readonly timeoutMs: number;
    };

/** Settled tracing configuration. */
export interface TraceSettings {
  readonly target: TraceTarget;
  readonly sampler: Sampler;
  /** Whether the sampler records nothing below a span that is not sampled. */
  readonly followsParents: boolean;
  readonly serviceName: string | undefined;
  readonly resourceAttributes: Readonly<Record<string, string>>;
  /** Batch span processor: values of OTEL_BSP_*, for the constructor. */
  readonly batch: {
    readonly scheduledDelayMillis: number;
    readonly exportTimeoutMillis: number;
    readonly maxQueueSize: number;
    readonly maxExportBatchSize: number;
  };
  /** One line for every value that could not be used; its default is used instead. */
  readonly problems: readonly string[];
}

/** Reads the standard variables. Never throws: telemetry must not keep a service from starting. */
export function readTraceSettings(env: Environment): TraceSettings {
  const problems: string[] = [];
  const complain = (name: string, allowed: string, used: string): void => {
    // Values of these variables can hold credentials (headers, user info in URLs), so only sampler names and numbers are shown.
    problems.push(`${name} is not usable: expected ${allowed}; using ${used}`);
  };
  const read = (name: string): string | undefined => {
    const value = env[name]?.trim();
    return value === undefined || value === "" ? undefined : value;
  };
  const count = (name: string, fallback: number, min: number): number => {
    const text = read(name);
    if (text === undefined) return fallback;
    const value = Number(text);
    if (Number.isInteger(value) && value >= min && value <= 2_147_483_647) return value;
    complain(name, `a whole number from ${min} to 2147483647`, String(fallback));
    return fallback;
  };
  const pairs = (name: string): Record<string, string> => {
    const parsed = parsePairs(read(name) ?? "");
    if (parsed !== undefined) return parsed;
    complain(name, "key=value pairs joined by commas, values percent-encoded", "none of it");
    return {};
  };

  const target = readTarget(read, complain, count, pairs);
  const maxQueueSize = count("OTEL_BSP_MAX_QUEUE_SIZE", 2048, 1);
  const sampler = readSampler(read, complain);
  return {
    target,
    sampler,
    followsParents: sampler instanceof ParentBasedSampler || sampler instanceof AlwaysOffSampler,
    serviceName: read("OTEL_SERVICE_NAME"),
    resourceAttributes: pairs("OTEL_RESOURCE_ATTRIBUTES"),
    batch: {
      scheduledDelayMillis: count("OTEL_BSP_SCHEDULE_DELAY", 5000, 0),
      exportTimeoutMillis: count("OTEL_BSP_EXPORT_TIMEOUT", 30_000, 1),
      maxQueueSize,
      maxExportBatchSize: Math.min(count("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", 512, 1), maxQueueSize),
    },
    problems,
  };
}

type Read = (name: string) => string | undefined;
type Complain = (name: string, allowed: string, used: string) => void;

function readTarget(
  read: Read,
  complain: Complain,
  count: (name: string, fallback: number, min: number) => number,
  pairs: (name: string) => Record<string, string>,
): TraceTarget {
  const disabled = read("OTEL_SDK_DISABLED")?.toLowerCase();
  if (disabled === "true") return { kind: "none" };
  if (disabled !== undefined && disabled !== "false") complain("OTEL_SDK_DISABLED", "true or false", "false");

  const exporter = read("OTEL_TRACES_EXPORTER");
  if (exporter === "none") return { kind: "none" };
  if (exporter === "console") return { kind: "console" };
  if (exporter !== undefined && exporter !== "otlp") {
    complain("OTEL_TRACES_EXPORTER", "none, otlp or console", "otlp");
  }

  const own = read("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT");
  const shared = read("OTEL_EXPORTER_OTLP_ENDPOINT");
  const name = own === undefined ? "OTEL_EXPORTER_OTLP_ENDPOINT" : "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
  const text = own ?? shared;
  // Unlike the specification, otlp without an endpoint does not fall back to localhost:4318: a collector that nobody
  // set up would cost a failed connection every few seconds in every process.
  if (text === undefined) {
    if (exporter === "otlp") complain(name, "an http or https URL when OTEL_TRACES_EXPORTER=otlp", "no tracing");
    return { kind: "none" };
  }
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || (url.protocol !== "http:" && url.protocol !== "https:")) {
    complain(name, "an http or https URL", "no tracing");
    return { kind: "none" };
  }
  const protocolName =
    read("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL") === undefined
      ? "OTEL_EXPORTER_OTLP_PROTOCOL"
      : "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL";
  const protocol = read(protocolName);
  if (protocol !== undefined && protocol !== "http/json") {
    complain(protocolName, "http/json, the only one built in", "http/json");
  }
  // The shared endpoint is a base to which the signal's path is added; the signal's own is used as it stands.
  if (own === undefined) url.pathname = `${url.pathname.replace(/\/$/, "")}/v1/traces`;
  return {
    kind: "otlp",
    url: url.href,
    headers: { ...pairs("OTEL_EXPORTER_OTLP_HEADERS"), ...pairs("OTEL_EXPORTER_OTLP_TRACES_HEADERS") },
    timeoutMs: count("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", count("OTEL_EXPORTER_OTLP_TIMEOUT", 10_000, 1), 1),
  };
}

function readSampler(read: Read, complain: Complain): Sampler {
  const fallback = "parentbased_always_on";
  const ratio = (): Sampler => {
    const text = read("OTEL_TRACES_SAMPLER_ARG");
    const value = text === undefined ? 1 : Number(text);
    if (value >= 0 && value <= 1) return new TraceIdRatioBasedSampler(value);
    complain("OTEL_TRACES_SAMPLER_ARG", "a number from 0 to 1", "1");
    return new TraceIdRatioBasedSampler(1);
  };
  const makers: Readonly<Record<string, () => Sampler>> = {
    always_on: () => new AlwaysOnSampler(),
    always_off: () => new AlwaysOffSampler(),
    traceidratio: ratio,
    parentbased_always_on: () => new ParentBasedSampler({ root: new AlwaysOnSampler() }),
    parentbased_always_off: () => new ParentBasedSampler({ root: new AlwaysOffSampler() }),
    parentbased_traceidratio: () => new ParentBasedSampler({ root: ratio() }),
  };
  const name = read("OTEL_TRACES_SAMPLER") ?? fallback;
  const make = Object.hasOwn(makers, name) ? makers[name] : undefined;
  if (make !== undefined) return make();
  complain("OTEL_TRACES_SAMPLER", Object.keys(makers).join(", "), fallback);
  return new ParentBasedSampler({ root: new AlwaysOnSampler() });
}

// Returns undefined when any pair is malformed: half of a resource or of a header list is worse than none.
function parsePairs(text: string): Record<string, string> | undefined {
  const pairs: Record<string, string> = {};
  for (const part of text.split(",")) {
    if (part.trim() === "") continue;
    const equals = part.indexOf("=");
    const key = part.slice(0, Math.max(equals, 0)).trim();
    if (key === "") return undefined;
    try {
      pairs[decodeURIComponent(key)] = decodeURIComponent(part.slice(equals + 1).trim());
    } catch {
      return undefined;
    }
  }
  return pairs;
}
