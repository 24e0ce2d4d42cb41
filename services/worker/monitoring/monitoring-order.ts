// The input of a `monitoring` task: its bounds and defaults. Pure.
import type { MonitoringInput } from "../../../gen/mycel/tasks/v1/monitoring_pb.ts";
import type { FieldViolation } from "../../../sdk/agent/index.ts";
import { InputViolations } from "../input-violations.ts";

/** What can be measured. */
export type MonitoringPart = "cpu" | "memory" | "swap" | "disks" | "load" | "network";

const PARTS: readonly MonitoringPart[] = ["cpu", "memory", "swap", "disks", "load", "network"];
const MAX_SAMPLES = 100_000;
const MIN_INTERVAL_MS = 100;
const MAX_INTERVAL_MS = 3_600_000;
const DEFAULT_INTERVAL_MS = 1_000;

/** A monitoring task with its defaults. */
export interface MonitoringOrder {
  /** How many samples to take; Infinity goes on until the task is canceled or out of time. */
  readonly samples: number;
  readonly intervalMs: number;
  readonly parts: ReadonlySet<MonitoringPart>;
}

/** What is wrong with an input. */
export function checkMonitoring({ samples, intervalMs, parts }: MonitoringInput): readonly FieldViolation[] {
  const violations = new InputViolations();
  violations.wholeNumber("samples", samples, 0, MAX_SAMPLES);
  violations.wholeNumber("intervalMs", intervalMs, MIN_INTERVAL_MS, MAX_INTERVAL_MS);
  for (const [i, part] of parts.entries()) violations.oneOf(`parts[${i}]`, part, PARTS);
  return violations.found;
}

/** Fills in the defaults. */
export function monitoringOrder({ samples = 1, intervalMs, parts }: MonitoringInput): MonitoringOrder {
  return {
    samples: samples === 0 ? Number.POSITIVE_INFINITY : samples,
    intervalMs: intervalMs ?? DEFAULT_INTERVAL_MS,
    parts: new Set(PARTS.filter((part) => parts.length === 0 || parts.includes(part))),
  };
}
