// Owns what the standard variables say about metrics: env in, settled values and complaints out. Pure; registers nothing.
import { type Environment, OtelVariables } from "./otel-variables.ts";
import { type NamedProcess, readNamedProcess } from "./process-resource.ts";
import { readSignalTarget, type SignalTarget } from "./signal-target.ts";

/** Settled metrics configuration. */
export interface MetricSettings extends NamedProcess {
  readonly target: SignalTarget;
  /** Time between two exports, in milliseconds: OTEL_METRIC_EXPORT_INTERVAL, a minute if it is not set. */
  readonly intervalMs: number;
  /** Limit of one export, in milliseconds: OTEL_METRIC_EXPORT_TIMEOUT, 30 seconds if it is not set; the interval at most. */
  readonly exportTimeoutMs: number;
  /** One line for every value that could not be used; its default is used instead. */
  readonly problems: readonly string[];
}

/** Reads the standard variables. Never throws: telemetry must not keep a service from starting. */
export function readMetricSettings(env: Environment): MetricSettings {
  const variables = new OtelVariables(env);
  const target = readSignalTarget(variables, "metrics");
  const intervalMs = variables.count("OTEL_METRIC_EXPORT_INTERVAL", 60_000, 1);
  return {
    ...readNamedProcess(variables),
    target,
    intervalMs,
    exportTimeoutMs: Math.min(variables.count("OTEL_METRIC_EXPORT_TIMEOUT", 30_000, 1), intervalMs),
    problems: variables.problems,
  };
}
