// How much is done in a measurement: fewer of what takes longer. Pure.

/** How much to do. */
export interface Amounts {
  /** Tasks of a throughput measurement. */
  readonly tasks: number;
  /** Calls of a unary measurement, by concurrency. */
  readonly calls: (concurrency: number) => number;
  /** Calls from outside, whatever the concurrency. */
  readonly served: number;
  /** Tasks of a latency measurement. */
  readonly samples: number;
}

/** By concurrency, by how much fewer calls there are than tasks in bulk: fewer callers take longer for each. */
const CALL_SHARES: ReadonlyMap<number, number> = new Map([
  [1, 40],
  [16, 10],
  [256, 5],
]);
const MIN_CALLS = 50;

/** The amounts that belong to so many tasks in bulk and so many samples. */
export function amountsOf(tasks: number, samples: number): Amounts {
  return {
    tasks,
    samples,
    served: tasks,
    calls: (concurrency) => Math.max(MIN_CALLS, Math.ceil(tasks / (CALL_SHARES.get(concurrency) ?? 1))),
  };
}

/** Which part (above 0, at most 1) of something fits into a time, if all of it takes `wholeMs`. */
export function shareWithin(withinMs: number, wholeMs: number): number {
  return wholeMs > withinMs ? withinMs / wholeMs : 1;
}
