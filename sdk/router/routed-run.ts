// A run whose place is still being decided, in the shape of a client's run.
import { type SubmittedTask, type TaskEvent, type TaskRun } from "../client/index.ts";
import { invalidOption } from "../client/mycel-error.ts";
import type { Decision } from "./rule.ts";

/** A task that runs here or in the mesh. Iterate it for its events (once), ask it for its result, or both. */
export interface RoutedRun<Result = unknown> extends TaskRun<Result> {
  /** Where it runs in the end, and why. Rejects if it runs nowhere. */
  readonly decision: Promise<Decision>;
}

/** A task that was taken. */
export interface Placed {
  readonly run: TaskRun;
  readonly decision: Decision;
}

/** Makes the run of a task that is being placed. */
export function routedRun(placing: Promise<Placed>): RoutedRun {
  const submitted: Promise<SubmittedTask> = placing.then(({ run }) => run.submitted);
  const decision = placing.then((placed) => placed.decision);
  // Whoever asks hears of it.
  for (const each of [submitted, decision]) each.catch(() => undefined);
  let reading = false;

  async function* read(): AsyncGenerator<TaskEvent, void, undefined> {
    const { run } = await placing;
    yield* run;
  }

  return {
    submitted,
    decision,
    [Symbol.asyncIterator]() {
      if (reading) throw invalidOption("run", "can be iterated only once");
      reading = true;
      return read();
    },
    async result() {
      const { run } = await placing;
      return await run.result();
    },
  };
}
