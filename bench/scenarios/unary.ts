// One task in each call, and the cost of a call as such.

import { inFlight } from "../support/in-flight.ts";
import { abilityOf, having, type RateScenario, SMALL_INPUT_BYTES } from "./scenario.ts";
import { logged, timed } from "./timed.ts";

/** How many callers there are, each with one call at a time. */
const CONCURRENCIES = [1, 16, 256] as const;

/** Submissions to a queue that nobody serves: what handing in costs. */
export const SUBMIT_ONLY: readonly RateScenario[] = CONCURRENCIES.map((concurrency) => ({
  kind: "rate",
  id: `submit-${concurrency}`,
  title: `single submissions, concurrency ${concurrency}, nothing else`,
  unit: "tasks/s",
  runsOn: having("submitOne"),
  durabilities: ["second", "always"],
  measure: ({ contender, prefix, amounts }) => {
    const submitOne = abilityOf(contender, "submitOne");
    const count = amounts.calls(concurrency);
    return logged(contender, count, async () => {
      const startMs = performance.now();
      await inFlight(count, concurrency, (i) => submitOne(`${prefix}-${i}`, "parked", SMALL_INPUT_BYTES));
      return { count, tookMs: performance.now() - startMs };
    });
  },
}));

/** Submissions that are worked off at the same time. */
export const SUBMIT_COMPLETE: readonly RateScenario[] = CONCURRENCIES.map((concurrency) => ({
  kind: "rate",
  id: `complete-${concurrency}`,
  title: `single submissions, concurrency ${concurrency} → complete`,
  unit: "tasks/s",
  runsOn: having("submitOne"),
  durabilities: ["second", "always"],
  measure: (measurement) => {
    const { contender, prefix, amounts } = measurement;
    const submitOne = abilityOf(contender, "submitOne");
    const count = amounts.calls(concurrency);
    return timed(measurement, count, 2, () =>
      inFlight(count, concurrency, (i) => submitOne(`${prefix}-${i}`, "served", SMALL_INPUT_BYTES)),
    );
  },
}));

/** Empty calls: the mesh's health check, an empty request of core NATS, an echo of the RPC libraries. */
export const EMPTY_CALL: readonly RateScenario[] = CONCURRENCIES.map((concurrency) => ({
  kind: "rate",
  id: `empty-${concurrency}`,
  title: `empty calls, concurrency ${concurrency}`,
  unit: "calls/s",
  runsOn: having("emptyCall"),
  durabilities: ["second"],
  measure: async ({ contender, amounts }) => {
    const emptyCall = abilityOf(contender, "emptyCall");
    const count = amounts.calls(concurrency);
    const startMs = performance.now();
    await inFlight(count, concurrency, () => emptyCall());
    return { count, tookMs: performance.now() - startMs };
  },
}));
