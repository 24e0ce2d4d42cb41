// What is shown: one row for each number, the mesh beside the floor. Pure.

import type { Sample, ScenarioResult } from "../rounds.ts";
import { median, percentile } from "../support/statistics.ts";

/** One number. */
export interface Row {
  /** The scenario, and for a latency the percentile: `idle.p99`. */
  readonly id: string;
  readonly title: string;
  readonly unit: "tasks/s" | "calls/s" | "ms";
  /** The median of the rounds; for a percentile, that of the samples of all rounds together. */
  readonly mesh: number;
  readonly floor: number;
  /** Mesh / floor: the median of the rounds' own ratios. For rates more is better, at most 1; for times less, at least 1. */
  readonly ratio: number;
  /** The smallest and the largest of the rounds' ratios. */
  readonly ratioRange: readonly [number, number];
}

const PERCENTILES = [
  ["p50", 0.5],
  ["p99", 0.99],
  ["p99.9", 0.999],
] as const;

/** The rows of the results. */
export function rowsOf(results: readonly ScenarioResult[]): readonly Row[] {
  return results.flatMap(({ scenario, mesh, floor }) => {
    const { id, title } = scenario;
    if (scenario.kind === "rate") {
      const of = (samples: readonly Sample[]): number[] => samples.map(({ perSecond }) => perSecond ?? Number.NaN);
      const ratios = of(mesh).map((rate, i) => rate / (of(floor)[i] ?? Number.NaN));
      return [{ id, title, unit: scenario.unit, mesh: median(of(mesh)), floor: median(of(floor)), ...spread(ratios) }];
    }
    return PERCENTILES.map(([name, share]): Row => {
      const of = (samples: readonly Sample[]): number[] => samples.map(({ samplesMs }) => percentile(samplesMs, share));
      const pooled = (samples: readonly Sample[]): number =>
        percentile(
          samples.flatMap(({ samplesMs }) => samplesMs),
          share,
        );
      const ratios = of(mesh).map((ms, i) => ms / (of(floor)[i] ?? Number.NaN));
      return {
        id: `${id}.${name}`,
        title: `${title}, ${name}`,
        unit: "ms",
        mesh: pooled(mesh),
        floor: pooled(floor),
        ...spread(ratios),
      };
    });
  });
}

function spread(ratios: readonly number[]): Pick<Row, "ratio" | "ratioRange"> {
  return { ratio: median(ratios), ratioRange: [Math.min(...ratios), Math.max(...ratios)] };
}

/** What a task or call costs each process, in microseconds of processor time: medians of the rounds. */
export interface CpuRow {
  readonly id: string;
  readonly title: string;
  readonly mesh: Readonly<Record<string, number>>;
  readonly floor: Readonly<Record<string, number>>;
}

/** The processor time of the rates; none where the system does not tell it. */
export function cpuRowsOf(results: readonly ScenarioResult[]): readonly CpuRow[] {
  return results
    .filter(({ scenario, mesh }) => scenario.kind === "rate" && Object.keys(mesh[0]?.cpuMicros ?? {}).length > 0)
    .map(({ scenario: { id, title }, mesh, floor }) => ({ id, title, mesh: medians(mesh), floor: medians(floor) }));
}

function medians(samples: readonly Sample[]): Record<string, number> {
  const names = Object.keys(samples[0]?.cpuMicros ?? {});
  return Object.fromEntries(
    names.map((name) => [name, median(samples.map(({ cpuMicros }) => cpuMicros[name] ?? Number.NaN))]),
  );
}
