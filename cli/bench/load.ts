// A closed-loop load: so many tasks, so many at once, each one submitted when another one has ended.
import {
  MycelError,
  type MycelClient,
  TaskFailedError,
  type TaskOptions,
  type TaskRun,
} from "../../sdk/client/index.ts";

/** The load. */
export interface LoadOptions {
  readonly client: Pick<MycelClient, "run">;
  readonly type: string;
  readonly input: unknown;
  readonly options: TaskOptions;
  /** How many tasks in all. */
  readonly tasks: number;
  /** How many are under way at once. */
  readonly concurrency: number;
  /** Ends the load early: what is under way is left. */
  readonly signal: AbortSignal;
  /** Called when a task has ended, well or badly, with how many have. */
  readonly onEnd?: (ended: number) => void;
}

/** What came of it. */
export interface LoadResult {
  /** From the first submission to the last end, in milliseconds. */
  readonly elapsedMs: number;
  /** From each submission to its acknowledgement, and to the result in hand, in milliseconds; of completed tasks. */
  readonly acknowledgedMs: readonly number[];
  readonly completedMs: readonly number[];
  /** How many tasks were not completed, by the reason. */
  readonly errors: ReadonlyMap<string, number>;
}

/** Puts the load on the mesh. Never rejects: what goes wrong with a task is counted. */
export async function runLoad(load: LoadOptions): Promise<LoadResult> {
  const acknowledgedMs: number[] = [];
  const completedMs: number[] = [];
  const errors = new Map<string, number>();
  let begun = 0;
  let ended = 0;
  const started = performance.now();
  const work = async (): Promise<void> => {
    while (begun < load.tasks && !load.signal.aborted) {
      begun += 1;
      try {
        const times = await runOne(load);
        acknowledgedMs.push(times.acknowledged);
        completedMs.push(times.completed);
      } catch (error) {
        // What was under way when the load was ended is nobody's fault.
        if (load.signal.aborted) return;
        const reason = reasonOf(error);
        errors.set(reason, (errors.get(reason) ?? 0) + 1);
      }
      ended += 1;
      load.onEnd?.(ended);
    }
  };
  await Promise.all(Array.from({ length: Math.min(load.concurrency, load.tasks) }, work));
  return { elapsedMs: performance.now() - started, acknowledgedMs, completedMs, errors };
}

/** Submits one task of the load. */
export function startOne({ client, type, input, options, signal }: LoadOptions): TaskRun {
  return client.run(type, input, { ...options, kinds: ["state"], signal });
}

async function runOne(load: LoadOptions): Promise<{
  readonly acknowledged: number;
  readonly completed: number;
}> {
  const start = performance.now();
  const run = startOne(load);
  const result = run.result();
  // It is waited for below, unless the submission failed.
  result.catch(() => undefined);
  await run.submitted;
  const acknowledged = performance.now() - start;
  await result;
  const completed = performance.now() - start;
  return { acknowledged, completed };
}

function reasonOf(error: unknown): string {
  if (error instanceof TaskFailedError) return error.reason;
  if (error instanceof MycelError) return error.reason ?? error.code.toUpperCase();
  return error instanceof Error ? error.name : "UNKNOWN";
}
