// Hands in what comes one by one in batches: as large as what has come meanwhile, so that nothing waits for company.

import { setImmediate as turn } from "node:timers/promises";
import { STREAM_WINDOW } from "./contender.ts";
import { Window } from "./window.ts";

const BATCHES_IN_FLIGHT = 4;
const BATCH_SIZE = STREAM_WINDOW / BATCHES_IN_FLIGHT;

/** Submits ids as they come, at most {@link STREAM_WINDOW} unanswered. Rejects with the first failure. */
export async function inBatches(
  ids: AsyncIterable<string>,
  submit: (batch: readonly string[]) => Promise<unknown>,
): Promise<void> {
  const window = new Window(BATCHES_IN_FLIGHT);
  let batch: string[] = [];
  let flushing: Promise<void> | undefined;
  const flush = async (): Promise<void> => {
    await turn();
    flushing = undefined;
    const full = batch;
    batch = [];
    if (full.length > 0) await window.add(submit(full));
  };
  for await (const id of ids) {
    batch.push(id);
    flushing ??= flush();
    // The rest of what is there already comes within this turn; beyond a batch it has to wait.
    if (batch.length >= BATCH_SIZE) await flushing;
  }
  await flushing;
  await window.drain();
}
