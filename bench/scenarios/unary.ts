// One task in each call: SubmitTask against single publishes, and the cost of a call as such.

import { inFlight } from "../support/in-flight.ts";
import type { RateScenario } from "./scenario.ts";
import { checkLog, timed } from "./timed.ts";

/** How many callers there are, each with one call at a time. */
const CONCURRENCIES = [1, 16, 256] as const;

/** Submissions to a queue that nobody serves: what handing in costs. */
export const SUBMIT_ONLY: readonly RateScenario[] = CONCURRENCIES.map((concurrency) => ({
  kind: "rate",
  id: `submit-${concurrency}`,
  title: `SubmitTask, concurrency ${concurrency}, submission only`,
  unit: "tasks/s",
  measure: async ({ side, prefix, amounts }) => {
    const count = amounts.calls(concurrency);
    const before = await side.storedMessages();
    const startMs = performance.now();
    await inFlight(count, concurrency, (i) => side.submitOne(`${prefix}-${i}`, "parked"));
    const tookMs = performance.now() - startMs;
    await checkLog(side, before + count);
    return { count, tookMs };
  },
}));

/** Submissions that are worked off at the same time. */
export const SUBMIT_COMPLETE: readonly RateScenario[] = CONCURRENCIES.map((concurrency) => ({
  kind: "rate",
  id: `complete-${concurrency}`,
  title: `SubmitTask, concurrency ${concurrency}, submit → complete`,
  unit: "tasks/s",
  measure: async (measurement) => {
    const { side, prefix, amounts } = measurement;
    const count = amounts.calls(concurrency);
    return timed(measurement, count, 2, () =>
      inFlight(count, concurrency, (i) => side.submitOne(`${prefix}-${i}`, "served")),
    );
  },
}));

/** Empty calls: health.v1 Check against an empty request of core NATS. */
export const EMPTY_CALL: readonly RateScenario[] = CONCURRENCIES.map((concurrency) => ({
  kind: "rate",
  id: `empty-${concurrency}`,
  title: `empty call (health Check), concurrency ${concurrency}`,
  unit: "calls/s",
  measure: async ({ side, amounts }) => {
    const count = amounts.calls(concurrency);
    const startMs = performance.now();
    await inFlight(count, concurrency, () => side.emptyCall());
    return { count, tookMs: performance.now() - startMs };
  },
}));
