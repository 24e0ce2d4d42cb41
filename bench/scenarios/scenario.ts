// What a scenario is: one way of using the system, measured on either side by the same code.

import type { Side } from "../support/side.ts";

/** How much to do. */
export interface Amounts {
  /** Tasks of a throughput measurement. */
  readonly tasks: number;
  /** Calls of a unary measurement, by concurrency. */
  readonly calls: (concurrency: number) => number;
  /** Tasks of a latency measurement. */
  readonly samples: number;
}

/** One measurement among many. */
export interface Measurement {
  readonly side: Side;
  /** Unlike that of any other measurement on this side; the prefix of all task ids. */
  readonly prefix: string;
  readonly amounts: Amounts;
  /** Tasks a second that count as half load, on both sides alike. */
  readonly halfLoad: number;
}

/** How often something was done within a time. */
export interface Rate {
  readonly count: number;
  readonly tookMs: number;
}

/** Measures how much can be done. */
export interface RateScenario {
  readonly kind: "rate";
  /** Names it in options and in the JSON. */
  readonly id: string;
  /** Names it in the table. */
  readonly title: string;
  readonly unit: "tasks/s" | "calls/s";
  readonly measure: (measurement: Measurement) => Promise<Rate>;
}

/** Measures how long one takes. */
export interface LatencyScenario {
  readonly kind: "latency";
  readonly id: string;
  readonly title: string;
  /** Milliseconds of each sample. */
  readonly measure: (measurement: Measurement) => Promise<readonly number[]>;
}

/** Either. */
export type Scenario = RateScenario | LatencyScenario;
