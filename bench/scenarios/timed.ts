// Times tasks from the first submission to the end of the last one, and makes sure that a log holds them all.

import { BenchError } from "../support/bench-error.ts";
import type { Measurement, Rate } from "./scenario.ts";

/** Submits `count` tasks and waits until each has ended. `messagesEach` is how many messages a task leaves in a log at least. */
export async function timed(
  { contender, prefix }: Measurement,
  count: number,
  messagesEach: number,
  submit: () => Promise<void>,
): Promise<Rate> {
  const batch = contender.track(prefix);
  return logged(contender, count * messagesEach, async () => {
    const startMs = performance.now();
    const [endMs] = await Promise.all([batch.reach(count), submit()]);
    return { count, tookMs: endMs - startMs };
  });
}

/**
 * Runs a measurement, and throws BenchError if the contender keeps a log and it has not grown by so many messages: then something was
 * counted that is not there.
 */
export async function logged(
  contender: Measurement["contender"],
  atLeast: number,
  measure: () => Promise<Rate>,
): Promise<Rate> {
  const before = (await contender.storedMessages?.()) ?? 0;
  const rate = await measure();
  const messages = (await contender.storedMessages?.()) ?? Number.POSITIVE_INFINITY;
  if (messages < before + atLeast) {
    throw new BenchError(
      `the log of ${contender.id} holds ${messages} messages, but must hold ${before + atLeast} at least`,
    );
  }
  return rate;
}
