// What is shown: one row for each number, the mesh beside all others. Pure.

import type { Sample, ScenarioResult } from "../rounds.ts";
import type { Durability } from "../support/contender.ts";
import { median, percentile } from "../support/statistics.ts";

/** What one contender did. */
export interface Cell {
  /** The median of the rounds; for a percentile, that of the samples of all rounds together. */
  readonly value: number;
  /** What each round gave. */
  readonly rounds: readonly number[];
  /** Mesh / this one, round by round; undefined if the mesh has no number. */
  readonly ratio: Spread | undefined;
}

/** A number that each round gave. */
export interface Spread {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

/** One number of every contender. */
export interface Row {
  /** The scenario, and for a latency the percentile: `idle.p99`. */
  readonly id: string;
  readonly title: string;
  readonly durability: Durability;
  /** For rates more is better, for times less. */
  readonly unit: "tasks/s" | "calls/s" | "ms";
  /** By contender; one that cannot do it is missing. */
  readonly cells: Readonly<Record<string, Cell>>;
  /** By contender, why one that could have done it has no number. */
  readonly refusals: Readonly<Record<string, string>>;
}

const PERCENTILES = [
  ["p50", 0.5],
  ["p99", 0.99],
  ["p99.9", 0.999],
] as const;

/** The rows of the results of one durability. */
export function rowsOf(durability: Durability, results: readonly ScenarioResult[]): readonly Row[] {
  return results.flatMap((result): readonly Row[] => {
    const { scenario, refusals } = result;
    const { id, title } = scenario;
    if (scenario.kind === "rate") {
      const rates = roundsOf(result, ({ perSecond }) => perSecond ?? Number.NaN);
      return [
        {
          id,
          title,
          durability,
          unit: scenario.unit,
          refusals,
          cells: cellsOf(rates, (name) => median(rates[name] ?? [])),
        },
      ];
    }
    return PERCENTILES.map(([name, share]) => {
      const times = roundsOf(result, ({ samplesMs }) => percentile(samplesMs, share));
      const pooled = (contender: string): number =>
        percentile(
          (result.samples[contender] ?? []).flatMap(({ samplesMs }) => samplesMs),
          share,
        );
      return {
        id: `${id}.${name}`,
        title: `${title}, ${name}`,
        durability,
        unit: "ms",
        refusals,
        cells: cellsOf(times, pooled),
      };
    });
  });
}

/** The ratios of two contenders' rounds; rounds that only one of them has do not count. */
export function ratiosOf(rounds: readonly number[], others: readonly number[]): Spread {
  const ratios = rounds.slice(0, others.length).map((value, i) => value / (others[i] ?? Number.NaN));
  return { median: median(ratios), min: Math.min(...ratios), max: Math.max(...ratios) };
}

function roundsOf({ samples }: ScenarioResult, valueOf: (sample: Sample) => number): Record<string, readonly number[]> {
  return Object.fromEntries(Object.entries(samples).map(([contender, own]) => [contender, own.map(valueOf)]));
}

function cellsOf(
  rounds: Readonly<Record<string, readonly number[]>>,
  valueOf: (contender: string) => number,
): Record<string, Cell> {
  const mesh = rounds["mesh"];
  return Object.fromEntries(
    Object.entries(rounds).map(([contender, own]) => {
      const ratio = mesh === undefined ? undefined : ratiosOf(mesh, own);
      return [contender, { value: valueOf(contender), rounds: own, ratio }];
    }),
  );
}

/** What a task or call costs each process, in microseconds of processor time: medians of the rounds. */
export interface CpuRow {
  readonly id: string;
  readonly title: string;
  readonly durability: Durability;
  /** By contender, and by the role of the process. */
  readonly cells: Readonly<Record<string, Readonly<Record<string, number>>>>;
}

/** The processor time of the rates; none where the system does not tell it. */
export function cpuRowsOf(durability: Durability, results: readonly ScenarioResult[]): readonly CpuRow[] {
  return results
    .filter(({ scenario, samples }) => scenario.kind === "rate" && Object.values(samples).some(hasCpu))
    .map(({ scenario: { id, title }, samples }) => {
      const cells = Object.entries(samples).map(([contender, own]) => [contender, medians(own)] as const);
      return { id, title, durability, cells: Object.fromEntries(cells) };
    });
}

function hasCpu(samples: readonly Sample[]): boolean {
  return Object.keys(samples[0]?.cpuMicros ?? {}).length > 0;
}

function medians(samples: readonly Sample[]): Record<string, number> {
  const names = Object.keys(samples[0]?.cpuMicros ?? {});
  return Object.fromEntries(
    names.map((name) => [name, median(samples.map(({ cpuMicros }) => cpuMicros[name] ?? Number.NaN))]),
  );
}
