// Owns what the standard variables say about traces: env in, settled values and complaints out. Pure; registers nothing.
import {
  AlwaysOffSampler,
  AlwaysOnSampler,
  ParentBasedSampler,
  type Sampler,
  TraceIdRatioBasedSampler,
} from "@opentelemetry/sdk-trace";
import { type Environment, OtelVariables } from "./otel-variables.ts";
import { type NamedProcess, readNamedProcess } from "./process-resource.ts";
import { readSignalTarget, type SignalTarget } from "./signal-target.ts";

/** Settled tracing configuration. */
export interface TraceSettings extends NamedProcess {
  readonly target: SignalTarget;
  readonly sampler: Sampler;
  /** Whether the sampler records nothing below a span that is not sampled. */
  readonly followsParents: boolean;
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
  const variables = new OtelVariables(env);
  const target = readSignalTarget(variables, "traces");
  const maxQueueSize = variables.count("OTEL_BSP_MAX_QUEUE_SIZE", 2048, 1);
  const sampler = readSampler(variables);
  return {
    ...readNamedProcess(variables),
    target,
    sampler,
    followsParents: sampler instanceof ParentBasedSampler || sampler instanceof AlwaysOffSampler,
    batch: {
      scheduledDelayMillis: variables.count("OTEL_BSP_SCHEDULE_DELAY", 5000, 0),
      exportTimeoutMillis: variables.count("OTEL_BSP_EXPORT_TIMEOUT", 30_000, 1),
      maxQueueSize,
      maxExportBatchSize: Math.min(variables.count("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", 512, 1), maxQueueSize),
    },
    problems: variables.problems,
  };
}

function readSampler(variables: OtelVariables): Sampler {
  const fallback = "parentbased_always_on";
  const ratio = (): Sampler => {
    const text = variables.text("OTEL_TRACES_SAMPLER_ARG");
    const value = text === undefined ? 1 : Number(text);
    if (value >= 0 && value <= 1) return new TraceIdRatioBasedSampler(value);
    variables.complain("OTEL_TRACES_SAMPLER_ARG", "a number from 0 to 1", "1");
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
  const name = variables.text("OTEL_TRACES_SAMPLER") ?? fallback;
  const make = Object.hasOwn(makers, name) ? makers[name] : undefined;
  if (make !== undefined) return make();
  variables.complain("OTEL_TRACES_SAMPLER", Object.keys(makers).join(", "), fallback);
  return new ParentBasedSampler({ root: new AlwaysOnSampler() });
}
