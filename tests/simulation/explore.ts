// Looks for an interleaving that breaks a promise: as many as asked for, from a seed. What it finds is shortened, and named so that it
// can be seen again.
import * as fc from "fast-check";
import { NO_BUG, type PlantedBug } from "./mesh/planted-bug.ts";
import { type Scenario, scenarios } from "./mesh/scenario.ts";
import { runScenario } from "./mesh/simulated-mesh.ts";
import type { Path } from "./path.ts";

/** What to look through. */
export interface Exploration {
  /** Which interleavings: the same ones for the same seed, as a 31-bit number. */
  readonly seed: number;
  /** How many, from 1. */
  readonly runs: number;
  /** A bug to be found. */
  readonly bug?: PlantedBug | undefined;
  /** Called after each interleaving. */
  readonly onRun?: () => void;
}

/** A broken promise. */
export interface Finding {
  /** Which run broke it, from 0: so many held before. */
  readonly run: number;
  readonly scenario: Scenario;
  /** What was broken. */
  readonly error: unknown;
}

/** Looks for a broken promise; undefined if there is none. */
export async function explore({ seed, runs, bug = NO_BUG, onRun }: Exploration): Promise<Finding | undefined> {
  const property = fc.asyncProperty(scenarios, async (scenario) => {
    await runScenario(scenario, { bug });
    onRun?.();
  });
  // fast-check would shorten, too; but what it keeps of a run can't be named in one line.
  const result = await fc.check(property, { seed, numRuns: runs, endOnFailure: true });
  if (result.counterexample === null) return undefined;
  return { run: result.numRuns - 1, scenario: result.counterexample[0], error: result.errorInstance };
}

/** The most interleavings that shortening may try. */
const MAX_TRIES = 2_000;

/** Leaves out choices of a run that breaks a promise, as long as it still breaks one. Returns which are left. */
export async function shorten(scenario: Scenario, bug: PlantedBug = NO_BUG, onRun?: () => void): Promise<number[]> {
  let kept = scenario.choices.map((_, i) => i);
  let tries = 0;
  for (let size = Math.ceil(kept.length / 2); size >= 1; size = size === 1 ? 0 : Math.ceil(size / 2)) {
    for (let from = 0; from < kept.length && tries < MAX_TRIES; tries += 1) {
      const rest = [...kept.slice(0, from), ...kept.slice(from + size)];
      const { error } = await run(only(scenario, rest), bug);
      onRun?.();
      if (error === undefined) from += size;
      else kept = rest;
    }
  }
  return kept;
}

/** A run with only some of its choices. */
function only(scenario: Scenario, kept: readonly number[]): Scenario {
  return { ...scenario, choices: kept.map((i) => scenario.choices[i] ?? 0) };
}

/** The run that a seed and a path name. Throws RangeError if there is none. */
export function scenarioAt(seed: number, path: Path): Scenario {
  const scenario = fc.sample(scenarios, { seed, path: String(path.run), numRuns: 1 })[0];
  if (scenario === undefined) throw new RangeError(`seed ${seed} has no run ${path.run}`);
  return path.kept === undefined ? scenario : only(scenario, path.kept);
}

/** What a run breaks, if anything. `onStep` hears of each step, as text. */
export async function run(
  scenario: Scenario,
  bug: PlantedBug = NO_BUG,
  onStep?: (line: string) => void,
): Promise<{ readonly error: unknown }> {
  try {
    await runScenario(scenario, onStep === undefined ? { bug } : { bug, onStep });
    return { error: undefined };
  } catch (error) {
    return { error };
  }
}
