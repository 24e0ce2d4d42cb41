// How long one task takes from its submission until its end is known to the caller, alone and beside a load.

import { setTimeout as sleep } from "node:timers/promises";
import { Load } from "../support/pace.ts";
import { STREAM_WINDOW } from "../support/contender.ts";
import { Window } from "../support/window.ts";
import {
  abilityOf,
  having,
  type LatencyScenario,
  type Measurement,
  NotCarried,
  SMALL_INPUT_BYTES,
} from "./scenario.ts";

/** How long a load lasts before the first sample. */
const LOAD_LEAD_MS = 300;
/** Below this share of what was to be submitted, the samples tell of another load than the others'. */
const CARRIED_SHARE = 0.9;
/** Whoever works longer on what is left when the load ends has let it pile up. */
const DRAIN_WITHIN_MS = 2_000;

/** Whoever takes longer for a task has a backlog that grows. */
const ANSWER_WITHIN_MS = 10_000;

/** One task at a time, nothing else to do. */
export const IDLE: LatencyScenario = {
  kind: "latency",
  id: "idle",
  title: "submit → result known, one at a time, idle",
  runsOn: having("runOne"),
  durabilities: ["second"],
  underLoad: false,
  measure: (measurement) => sample(measurement),
};

/** One task at a time beside a steady load of half of what the mesh can take. */
export const HALF_LOAD: LatencyScenario = {
  kind: "latency",
  id: "half-load",
  title: "submit → result known, one at a time, half load",
  runsOn: having("runOne", "submitOne"),
  durabilities: ["second"],
  underLoad: true,
  measure: async (measurement) => {
    const { contender, prefix, halfLoad } = measurement;
    const loadPrefix = `${prefix}-load`;
    const loaded = contender.track(loadPrefix);
    const load = new Load(loadPrefix, halfLoad);
    const submitted = submitAll(measurement, load.names());
    let samplesMs: readonly number[];
    let drainMs = 0;
    try {
      await Promise.race([sleep(LOAD_LEAD_MS), submitted]);
      samplesMs = await sample(measurement);
    } finally {
      // Also after a failure: what is left of the load must not meet the next measurement.
      const endMs = performance.now();
      load.end();
      await submitted;
      drainMs = (await loaded.reach(load.sent)) - endMs;
    }
    if (load.carriedShare < CARRIED_SHARE) {
      throw new NotCarried(
        `took ${Math.round(load.carriedShare * 100)} % of the ${halfLoad} tasks/s that were to be submitted`,
      );
    }
    if (drainMs > DRAIN_WITHIN_MS) {
      throw new NotCarried(
        `of ${halfLoad} tasks/s so many piled up that the rest took ${(drainMs / 1_000).toFixed(1)} s`,
      );
    }
    return samplesMs;
  },
};

/** As a stream where there is one; else one call for each, with as many unanswered. */
async function submitAll({ contender }: Measurement, ids: AsyncIterable<string>): Promise<void> {
  if (contender.submitStream !== undefined) return contender.submitStream(ids, SMALL_INPUT_BYTES);
  const submitOne = abilityOf(contender, "submitOne");
  const window = new Window(STREAM_WINDOW);
  for await (const id of ids) await window.add(submitOne(id, "served", SMALL_INPUT_BYTES));
  await window.drain();
}

async function sample({ contender, prefix, amounts }: Measurement): Promise<readonly number[]> {
  const runOne = abilityOf(contender, "runOne");
  const samplesMs: number[] = [];
  for (let i = 0; i < amounts.samples; i += 1) {
    const tookMs = runOne(`${prefix}-${i}-0`, SMALL_INPUT_BYTES);
    samplesMs.push(await within(tookMs, ANSWER_WITHIN_MS));
  }
  return samplesMs;
}

async function within(tookMs: Promise<number>, mostMs: number): Promise<number> {
  // If it fails after that, the tracker of the load knows why.
  tookMs.catch(() => undefined);
  const stop = new AbortController();
  const late = sleep(mostMs, undefined, { signal: stop.signal }).then(() => {
    throw new NotCarried(`one task took more than ${mostMs / 1_000} s`);
  });
  late.catch(() => undefined);
  try {
    return await Promise.race([tookMs, late]);
  } finally {
    stop.abort();
  }
}
