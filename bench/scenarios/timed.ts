// Times tasks from the first submission to the end of the last one, and makes sure that the log holds them all.

import { BenchError } from "../support/bench-error.ts";
import type { Measurement, Rate } from "./scenario.ts";

/** Submits `count` tasks and waits until each has completed. `messagesEach` is how many messages a task leaves in the log at least. */
export async function timed(
  { side, prefix }: Measurement,
  count: number,
  messagesEach: number,
  submit: () => Promise<void>,
): Promise<Rate> {
  const batch = side.completions.track(prefix);
  const before = await side.storedMessages();
  const startMs = performance.now();
  const [endMs] = await Promise.all([batch.reach(count), submit()]);
  await checkLog(side, before + count * messagesEach);
  return { count, tookMs: endMs - startMs };
}

/** Throws if the log holds fewer messages than it must: then something was counted that is not there. */
export async function checkLog(side: Measurement["side"], atLeast: number): Promise<void> {
  const messages = await side.storedMessages();
  if (messages < atLeast) {
    throw new BenchError(`the log of the ${side.name} holds ${messages} messages, but must hold ${atLeast} at least`);
  }
}
