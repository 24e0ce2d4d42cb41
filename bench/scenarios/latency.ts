// How long one task takes from its submission until its result is known to the caller: RunTask against publish and republished event.

import { Load } from "../support/pace.ts";
import type { LatencyScenario, Measurement } from "./scenario.ts";
import { setTimeout as sleep } from "node:timers/promises";

/** How long a load lasts before the first sample. */
const LOAD_LEAD_MS = 300;

/** One task at a time, nothing else to do. */
export const IDLE: LatencyScenario = {
  kind: "latency",
  id: "idle",
  title: "RunTask, one at a time, idle",
  measure: (measurement) => sample(measurement),
};

/** One task at a time beside a steady load of half of what the mesh can take. */
export const HALF_LOAD: LatencyScenario = {
  kind: "latency",
  id: "half-load",
  title: "RunTask, one at a time, half load",
  measure: async (measurement) => {
    const { side, prefix, halfLoad } = measurement;
    const loadPrefix = `${prefix}-load`;
    const loaded = side.completions.track(loadPrefix);
    const load = new Load(loadPrefix, halfLoad);
    const submitted = side.submitStream(load.names());
    try {
      await Promise.race([sleep(LOAD_LEAD_MS), submitted]);
      return await sample(measurement);
    } finally {
      load.end();
      await submitted;
      await loaded.reach(load.sent);
    }
  },
};

async function sample({ side, prefix, amounts }: Measurement): Promise<readonly number[]> {
  const samplesMs: number[] = [];
  for (let i = 0; i < amounts.samples; i += 1) samplesMs.push(await side.runOne(`${prefix}-${i}-0`));
  return samplesMs;
}
