// Runs the scenarios: a warm-up, then rounds in which each scenario is measured on one side right after the other.

import { measureStream } from "./scenarios/throughput.ts";
import type { Amounts, Measurement, Rate, Scenario } from "./scenarios/scenario.ts";
import { cpuTimes, cpuUsed } from "./support/cpu-time.ts";
import { median } from "./support/statistics.ts";
import type { Side, SideName } from "./support/side.ts";

/** What to run on what. */
export interface RoundsOptions {
  readonly mesh: Side;
  readonly floor: Side;
  readonly scenarios: readonly Scenario[];
  readonly rounds: number;
  readonly tasks: number;
  readonly samples: number;
  /** Hears of what is being measured. */
  readonly onProgress: (line: string) => void;
}

/** What one scenario gave on one side in one round. */
export interface Sample {
  /** Set for a rate. */
  readonly perSecond: number | undefined;
  /** Set for a latency. */
  readonly samplesMs: readonly number[];
  /** Microseconds of processor time for each task or call, by process; empty where it cannot be known. */
  readonly cpuMicros: Readonly<Record<string, number>>;
}

/** What the rounds gave for one scenario. */
export interface ScenarioResult {
  readonly scenario: Scenario;
  readonly mesh: readonly Sample[];
  readonly floor: readonly Sample[];
}

/** The warm-up does a quarter. */
const WARM_UP_SHARE = 4;
/** By concurrency, by how much fewer calls there are than tasks in bulk: fewer callers take longer for each. */
const CALL_SHARES: ReadonlyMap<number, number> = new Map([
  [1, 40],
  [16, 10],
  [256, 5],
]);
const MIN_CALLS = 50;

/** Runs everything. */
export async function runRounds(options: RoundsOptions): Promise<readonly ScenarioResult[]> {
  const { scenarios, rounds, tasks, samples } = options;
  const results = scenarios.map((scenario) => {
    const bySide: Record<SideName, Sample[]> = { mesh: [], floor: [] };
    return { scenario, ...bySide };
  });
  const streamRates: number[] = [];
  for (let round = 0; round <= rounds; round += 1) {
    const share = round === 0 ? WARM_UP_SHARE : 1;
    const amounts = amountsOf(Math.ceil(tasks / share), Math.ceil(samples / share));
    for (const result of results) {
      const { scenario } = result;
      // Whoever goes second finds the machine as the first left it; neither shall always be the second.
      const order = round % 2 === 0 ? [options.floor, options.mesh] : [options.mesh, options.floor];
      for (const side of order) {
        const measurement = { side, prefix: `${scenario.id}-r${round}`, amounts, halfLoad: 0 };
        if (scenario.id === "half-load") measurement.halfLoad = await halfLoad(options, streamRates, round, amounts);
        const sample = await measure(scenario, measurement);
        if (scenario.id === "stream" && side.name === "mesh") streamRates.push(sample.perSecond ?? 0);
        if (round > 0) result[side.name].push(sample);
        const which = round === 0 ? "warm-up" : `round ${round} of ${rounds}`;
        options.onProgress(`${which}: ${scenario.title}: ${side.name} ${shortly(sample)}`);
      }
    }
  }
  return results;
}

function amountsOf(tasks: number, samples: number): Amounts {
  return {
    tasks,
    samples,
    calls: (concurrency) => Math.max(MIN_CALLS, Math.ceil(tasks / (CALL_SHARES.get(concurrency) ?? 1))),
  };
}

async function halfLoad(options: RoundsOptions, rates: number[], round: number, amounts: Amounts): Promise<number> {
  if (rates.length === 0) {
    const prefix = `half-load-rate-r${round}`;
    rates.push(perSecond(await measureStream({ side: options.mesh, prefix, amounts, halfLoad: 0 })));
  }
  return Math.round(median(rates) / 2);
}

async function measure(scenario: Scenario, measurement: Measurement): Promise<Sample> {
  const { side } = measurement;
  const before = await cpuTimes(side.pids);
  if (scenario.kind === "latency") {
    const samplesMs = await scenario.measure(measurement);
    await side.settle();
    return { perSecond: undefined, samplesMs, cpuMicros: {} };
  }
  const rate = await scenario.measure(measurement);
  // What the system does after the fact is part of what a task costs.
  await side.settle();
  const used = cpuUsed(before, await cpuTimes(side.pids));
  const cpuMicros = Object.fromEntries(Object.entries(used).map(([name, ms]) => [name, (ms * 1_000) / rate.count]));
  return { perSecond: perSecond(rate), samplesMs: [], cpuMicros };
}

function shortly({ perSecond, samplesMs }: Sample): string {
  return perSecond === undefined ? `${median(samplesMs).toFixed(2)} ms` : `${Math.round(perSecond)}/s`;
}

function perSecond({ count, tookMs }: Rate): number {
  return (count * 1_000) / tookMs;
}
