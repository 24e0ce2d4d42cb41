// What a set of measured times comes to. Pure.

/** The times of one kind, in milliseconds. All 0 if nothing was measured. */
export interface LatencySummary {
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  readonly max: number;
}

/** Sums up measured times: a percentile is the time that so many of a hundred did not exceed (nearest rank). */
export function summarize(timesMs: readonly number[]): LatencySummary {
  const sorted = Float64Array.from(timesMs).sort();
  const at = (share: number): number => sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? 0;
  return { p50: at(0.5), p90: at(0.9), p99: at(0.99), max: at(1) };
}

/** A short time with three digits or so, e.g. `0.42 ms`, `12.3 ms`, `420 ms`, `1.25 s`. */
export function latencyText(ms: number): string {
  if (ms >= 1_000) return `${(ms / 1_000).toFixed(2)} s`;
  return `${ms.toFixed(ms < 1 ? 2 : ms < 100 ? 1 : 0)} ms`;
}
