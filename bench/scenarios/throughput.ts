// How many tasks a second go through from submission to completion when many are handed in at once.

import { inFlight } from "../support/in-flight.ts";
import { atOnce } from "../support/pace.ts";
import type { Measurement, Rate, RateScenario } from "./scenario.ts";
import { timed } from "./timed.ts";

const PER_CALL = 1_000;
const CALLS_IN_FLIGHT = 4;

/** Many tasks in each call: BatchSubmitTasks against atomic batches of the stream. */
export const BULK: RateScenario = {
  kind: "rate",
  id: "bulk",
  title: "BatchSubmitTasks (1,000 a call, 4 calls in flight), submit → complete",
  unit: "tasks/s",
  measure: (measurement) => timed(measurement, measurement.amounts.tasks, 2, () => submitBulk(measurement)),
};

/** One task after the other on a stream: SubmitTaskStream against single publishes. */
export const STREAM: RateScenario = {
  kind: "rate",
  id: "stream",
  title: "SubmitTaskStream (1,024 unanswered), submit → complete",
  unit: "tasks/s",
  measure: (measurement) => measureStream(measurement),
};

/** Measures the stream; also what half load is derived from. */
export function measureStream(measurement: Measurement): Promise<Rate> {
  const { side, prefix, amounts } = measurement;
  return timed(measurement, amounts.tasks, 2, () => side.submitStream(atOnce(prefix, amounts.tasks)));
}

async function submitBulk({ side, prefix, amounts }: Measurement): Promise<void> {
  const perCall = Math.min(PER_CALL, Math.ceil(amounts.tasks / CALLS_IN_FLIGHT));
  await inFlight(Math.ceil(amounts.tasks / perCall), CALLS_IN_FLIGHT, async (call) => {
    const first = call * perCall;
    const count = Math.min(perCall, amounts.tasks - first);
    await side.submitBulk(Array.from({ length: count }, (_, i) => `${prefix}-${first + i}`));
  });
}
