// Runs the scenarios: a warm-up, then rounds in which each scenario is measured on one contender right after the other.

import { type Measurement, NotCarried, type Rate, type Scenario } from "./scenarios/scenario.ts";
import { measureStream, STREAM } from "./scenarios/throughput.ts";
import { SUBMIT_COMPLETE } from "./scenarios/unary.ts";
import { type Amounts, amountsOf, shareWithin } from "./support/amounts.ts";
import type { Contender } from "./support/contender.ts";
import type { GrpcLoad } from "./support/grpc-load.ts";
import { cpuTimes, cpuUsed } from "./support/cpu-time.ts";
import { median } from "./support/statistics.ts";

/** What to run on what. */
export interface RoundsOptions {
  /** The one that all others are compared with. */
  readonly mesh: Contender;
  readonly others: readonly Contender[];
  /** Those without which the run is worth nothing: what fails on them fails the run. */
  readonly essential: readonly string[];
  readonly grpcLoad: GrpcLoad;
  readonly scenarios: readonly Scenario[];
  readonly rounds: number;
  readonly tasks: number;
  readonly samples: number;
  /** Hears of what is being measured. */
  readonly onProgress: (line: string) => void;
}

/** What one scenario gave on one contender in one round. */
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
  /** By contender, one for each round; those that cannot run it, or did not in every round, are missing. */
  readonly samples: Readonly<Record<string, readonly Sample[]>>;
  /** By contender, why there are no samples of one that could have run it. */
  readonly refusals: Readonly<Record<string, string>>;
}

/** The warm-up does a quarter. */
const WARM_UP_SHARE = 4;
/** A measurement that would take longer by the warm-up does less. */
const MEASURE_WITHIN_MS = 20_000;

/** Runs everything. Rejects with the first failure of an essential contender; any other that fails is ended and left out from there on. */
export async function runRounds(options: RoundsOptions): Promise<readonly ScenarioResult[]> {
  const run = new Rounds(options);
  for (let round = 0; round <= options.rounds; round += 1) {
    for (const scenario of options.scenarios) await run.measureAll(scenario, round);
  }
  return options.scenarios.map((scenario) => run.resultOf(scenario));
}

class Rounds {
  readonly #options: RoundsOptions;
  readonly #samples = new Map<string, Sample[]>();
  readonly #refusals = new Map<string, string>();
  /** By scenario and contender, which part of the full amount it does in a round. */
  readonly #shares = new Map<string, number>();
  /** By scenario and contender, the rates of all rounds, the warm-up's included. */
  readonly #rates = new Map<string, number[]>();
  readonly #gone = new Map<string, string>();

  constructor(options: RoundsOptions) {
    this.#options = options;
  }

  async measureAll(scenario: Scenario, round: number): Promise<void> {
    const { mesh, others, grpcLoad } = this.#options;
    const contenders = rotated([mesh, ...others], round).filter(scenario.runsOn);
    const halfLoad = scenario.kind === "latency" && scenario.underLoad ? await this.#halfLoad(round) : 0;
    for (const contender of contenders) {
      const key = keyOf(scenario, contender);
      if (this.#refusals.has(key) || this.#gone.has(contender.id)) continue;
      const amounts = this.#amounts(round, this.#shares.get(key) ?? 1);
      const measurement = { contender, prefix: `${scenario.id}-r${round}`, amounts, halfLoad, grpcLoad };
      try {
        this.#checkCarries(measurement);
        this.#took(scenario, round, contender, await Promise.race([measure(scenario, measurement), contender.failed]));
      } catch (error) {
        await this.#failed(scenario, contender, error);
      }
    }
  }

  resultOf(scenario: Scenario): ScenarioResult {
    const { mesh, others } = this.#options;
    const samples: Record<string, readonly Sample[]> = {};
    const refusals: Record<string, string> = {};
    for (const contender of [mesh, ...others].filter(scenario.runsOn)) {
      const key = keyOf(scenario, contender);
      const refusal = this.#refusals.get(key) ?? this.#gone.get(contender.id);
      const own = this.#samples.get(key) ?? [];
      // What was measured in every round counts, even if the contender failed elsewhere afterwards.
      if (own.length === this.#options.rounds) samples[contender.id] = own;
      else if (refusal !== undefined) refusals[contender.id] = refusal;
    }
    return { scenario, samples, refusals };
  }

  #amounts(round: number, share: number): Amounts {
    const { tasks, samples } = this.#options;
    const part = round === 0 ? 1 / WARM_UP_SHARE : share;
    return amountsOf(Math.ceil(tasks * part), Math.ceil(samples * part));
  }

  #took(scenario: Scenario, round: number, contender: Contender, { sample, tookMs }: Measured): void {
    const key = keyOf(scenario, contender);
    const rate = sample.perSecond;
    if (rate !== undefined) this.#addRate(key, rate);
    if (round === 0) this.#shares.set(key, shareWithin(MEASURE_WITHIN_MS, tookMs * WARM_UP_SHARE));
    else this.#samples.set(key, [...(this.#samples.get(key) ?? []), sample]);
    const which = round === 0 ? "warm-up" : `round ${round} of ${this.#options.rounds}`;
    const result = rate === undefined ? `${median(sample.samplesMs).toFixed(2)} ms` : `${Math.round(rate)}/s`;
    this.#options.onProgress(`${which}: ${scenario.id}: ${contender.id} ${result}`);
  }

  async #failed(scenario: Scenario, contender: Contender, error: unknown): Promise<void> {
    const reason = error instanceof Error ? (error.message.split("\n", 1)[0] ?? "") : String(error);
    const { essential, onProgress } = this.#options;
    if (error instanceof NotCarried) {
      this.#refusals.set(keyOf(scenario, contender), reason);
    } else if (essential.includes(contender.id)) {
      throw error;
    } else {
      // Whatever it is still doing must not disturb the others.
      await contender[Symbol.asyncDispose]();
      this.#gone.set(contender.id, reason);
    }
    onProgress(`${scenario.id}: ${contender.id} left out: ${reason}`);
  }

  /** Half of what the mesh's stream carries. */
  async #halfLoad(round: number): Promise<number> {
    const { mesh, grpcLoad } = this.#options;
    const key = keyOf(STREAM, mesh);
    if (!this.#rates.has(key)) {
      const prefix = `half-load-rate-r${round}`;
      const rate = await measureStream({
        contender: mesh,
        prefix,
        amounts: this.#amounts(0, 1),
        halfLoad: 0,
        grpcLoad,
      });
      this.#addRate(key, perSecond(rate));
    }
    return Math.round(median(this.#rates.get(key) ?? []) / 2);
  }

  #addRate(key: string, rate: number): void {
    this.#rates.set(key, [...(this.#rates.get(key) ?? []), rate]);
  }

  /** Throws NotCarried, before a load piles up, if the contender is known to do less. */
  #checkCarries({ contender, halfLoad }: Measurement): void {
    const known = [STREAM, ...SUBMIT_COMPLETE].map((each) => median(this.#rates.get(keyOf(each, contender)) ?? []));
    const most = Math.max(...known.filter((rate) => Number.isFinite(rate)));
    if (known.some((rate) => Number.isFinite(rate)) && most < halfLoad) {
      throw new NotCarried(
        `${halfLoad} tasks/s were to be submitted one by one: it completes ${Math.round(most)} at most`,
      );
    }
  }
}

interface Measured {
  readonly sample: Sample;
  readonly tookMs: number;
}

async function measure(scenario: Scenario, measurement: Measurement): Promise<Measured> {
  const { contender } = measurement;
  const before = await cpuTimes(contender.pids);
  if (scenario.kind === "latency") {
    const samplesMs = await scenario.measure(measurement);
    await contender.settle();
    const tookMs = samplesMs.reduce((sum, ms) => sum + ms, 0);
    return { sample: { perSecond: undefined, samplesMs, cpuMicros: {} }, tookMs };
  }
  const rate = await scenario.measure(measurement);
  // What the system does after the fact is part of what a task costs.
  await contender.settle();
  const used = cpuUsed(before, await cpuTimes(contender.pids));
  const cpuMicros = Object.fromEntries(Object.entries(used).map(([name, ms]) => [name, (ms * 1_000) / rate.count]));
  return { sample: { perSecond: perSecond(rate), samplesMs: [], cpuMicros }, tookMs: rate.tookMs };
}

/** Whoever goes next finds the machine as the last one left it; in each round it is another. */
function rotated(contenders: readonly Contender[], round: number): readonly Contender[] {
  const first = round % contenders.length;
  return [...contenders.slice(first), ...contenders.slice(0, first)];
}

function keyOf({ id }: Scenario, contender: Contender): string {
  return `${id} ${contender.id}`;
}

function perSecond({ count, tookMs }: Rate): number {
  return (count * 1_000) / tookMs;
}
