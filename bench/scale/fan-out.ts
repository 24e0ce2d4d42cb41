// One caller hands in thousands of tasks and waits for all of them, with the client that users have.

import { createClient } from "../../sdk/client/index.ts";
import { BenchError } from "../support/bench-error.ts";
import { median } from "../support/statistics.ts";
import type { Figure, ScaleOptions, ScaleScenario } from "./figure.ts";
import { openAgents, TYPES } from "./mesh/agents.ts";
import { openBroker } from "./mesh/broker.ts";
import { openCoordinator } from "./mesh/coordinator.ts";

/** How much to do. */
export interface FanOutSizes {
  readonly tasks: number;
  readonly rounds: number;
}

const FULL: FanOutSizes = { tasks: 10_000, rounds: 5 };
const QUICK: FanOutSizes = { tasks: 200, rounds: 1 };
const INPUT = "x".repeat(200);

/** The whole measurement. */
export const FAN_OUT: ScaleScenario = {
  id: "fan-out",
  title: "Fan-out and fan-in",
  measure: (options) => measureFanOut(options, options.quick ? QUICK : FULL),
};

/** `submitMany`, then `outcome` of every task at once: the result of each is fetched. */
export async function measureFanOut(options: ScaleOptions, sizes: FanOutSizes): Promise<readonly Figure[]> {
  const { tasks, rounds } = sizes;
  await using broker = await openBroker(options);
  await using coordinator = await openCoordinator({ ...options, broker });
  await using _agents = await openAgents({ ...options, coordinators: [coordinator], prefix: "agent" });
  await using client = createClient({ url: coordinator.url });
  const took: { readonly outMs: number; readonly endedMs: number; readonly inMs: number }[] = [];
  for (let round = rounds > 1 ? 0 : 1; round <= rounds; round += 1) {
    const ended = broker.ends.reach(broker.ends.count + tasks);
    const startMs = performance.now();
    const submissions = Array.from({ length: tasks }, (_, i) => ({
      taskId: `round-${round}-${i}`,
      type: TYPES.nothing,
      input: INPUT,
    }));
    const refused = (await client.submitMany(submissions)).filter(({ ok }) => !ok).length;
    if (refused > 0) throw new BenchError(`${refused} of ${tasks} tasks were refused`);
    const outMs = performance.now() - startMs;
    await Promise.all(submissions.map(({ taskId }) => client.waitFor(taskId)));
    const inMs = performance.now() - startMs;
    const endedMs = (await ended) - startMs;
    await coordinator.settle();
    options.onProgress(`fan-out: round ${round} of ${rounds}: out ${Math.round(outMs)} ms, in ${Math.round(inMs)} ms`);
    if (round > 0) took.push({ outMs, endedMs, inMs });
  }
  const middle = (field: keyof (typeof took)[number]): number => median(took.map((one) => one[field]));
  return [
    {
      id: "fan-out.in",
      title: `${tasks} tasks by submitMany, until the caller has every result`,
      value: (tasks * 1_000) / middle("inMs"),
      unit: "tasks/s",
      detail: `all results after ${seconds(middle("inMs"))}; median of ${rounds} rounds`,
    },
    {
      id: "fan-out.out",
      title: `${tasks} tasks by submitMany, until all are accepted`,
      value: (tasks * 1_000) / middle("outMs"),
      unit: "tasks/s",
      detail: `accepted after ${seconds(middle("outMs"))}, the last of them ended after ${seconds(middle("endedMs"))}`,
    },
  ];
}

function seconds(ms: number): string {
  return `${(ms / 1_000).toFixed(2)} s`;
}
