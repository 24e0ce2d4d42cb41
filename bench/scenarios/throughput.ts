// How many tasks a second go through from submission to completion when many are handed in at once.

import { inFlight } from "../support/in-flight.ts";
import { atOnce } from "../support/pace.ts";
import {
  abilityOf,
  having,
  LARGE_INPUT_BYTES,
  type Measurement,
  type Rate,
  type RateScenario,
  SMALL_INPUT_BYTES,
} from "./scenario.ts";
import { timed } from "./timed.ts";

const CALLS_IN_FLIGHT = 4;
/** Large inputs are a quarter as many: the bytes, not the tasks, take the time. */
const LARGE_SHARE = 4;

/** Many tasks in each call, each in the way that its makers advise. */
export const BULK: RateScenario = {
  kind: "rate",
  id: "bulk",
  title: "bulk submit (1,000 a call, 4 calls in flight) → complete",
  unit: "tasks/s",
  runsOn: having("submitBulk"),
  durabilities: ["second", "always"],
  measure: (measurement) => measureBulk(measurement, measurement.amounts.tasks, 1_000, SMALL_INPUT_BYTES),
};

/** The same with large inputs; fewer a call, as no peer of an RPC takes messages without bound. */
export const BULK_LARGE: RateScenario = {
  kind: "rate",
  id: "bulk-16k",
  title: "bulk submit of 16 KiB each (128 a call, 4 calls in flight) → complete",
  unit: "tasks/s",
  runsOn: having("submitBulk"),
  durabilities: ["second", "always"],
  measure: (measurement) =>
    measureBulk(measurement, Math.ceil(measurement.amounts.tasks / LARGE_SHARE), 128, LARGE_INPUT_BYTES),
};

/** One task after the other, without waiting for the answers. */
export const STREAM: RateScenario = {
  kind: "rate",
  id: "stream",
  title: "stream of submissions (1,024 unanswered) → complete",
  unit: "tasks/s",
  runsOn: having("submitStream"),
  durabilities: ["second"],
  measure: (measurement) => measureStream(measurement),
};

/** Measures the stream; also what half load is derived from. */
export function measureStream(measurement: Measurement): Promise<Rate> {
  const { contender, prefix, amounts } = measurement;
  const submitStream = abilityOf(contender, "submitStream");
  return timed(measurement, amounts.tasks, 2, () => submitStream(atOnce(prefix, amounts.tasks), SMALL_INPUT_BYTES));
}

function measureBulk(measurement: Measurement, tasks: number, mostPerCall: number, inputBytes: number): Promise<Rate> {
  const { contender, prefix } = measurement;
  const submitBulk = abilityOf(contender, "submitBulk");
  const perCall = Math.min(mostPerCall, Math.ceil(tasks / CALLS_IN_FLIGHT));
  return timed(measurement, tasks, 2, () =>
    inFlight(Math.ceil(tasks / perCall), CALLS_IN_FLIGHT, async (call) => {
      const first = call * perCall;
      const count = Math.min(perCall, tasks - first);
      await submitBulk(
        Array.from({ length: count }, (_, i) => `${prefix}-${first + i}`),
        inputBytes,
      );
    }),
  );
}
