// The worker process of a queue that is not ours, with the count of what it says has ended.

import { hearEnded } from "../support/ended-tasks.ts";
import { type BenchProcess, startProcess } from "../support/process.ts";
import { TaskTracker } from "../support/task-tracker.ts";
import type { ContenderOptions } from "../support/contender.ts";

/** A worker that said that it is ready. Disposing it stops it. */
export interface PeerWorker {
  readonly process: BenchProcess;
  readonly tracker: TaskTracker;
}

/** Starts `worker.ts` of a contender. `settings` are added to its environment. */
export async function startPeerWorker(
  { environment, profileDir }: ContenderOptions,
  id: string,
  args: readonly string[],
  settings: Readonly<Record<string, string>> = {},
): Promise<PeerWorker> {
  const tracker = new TaskTracker();
  const profile = ["--cpu-prof", `--cpu-prof-dir=${profileDir}`, `--cpu-prof-name=${id}-worker.cpuprofile`];
  const process = await startProcess({
    entry: `bench/contenders/${id}/worker.ts`,
    args,
    nodeArgs: profileDir === undefined ? [] : profile,
    env: { ...environment, ...settings },
    onMessage: (message) => hearEnded(tracker, message),
  });
  return { process, tracker };
}

/** Rejects with the first of them that does, without being missed when nobody listens. */
export function firstFailure(...failures: readonly Promise<never>[]): Promise<never> {
  const first = Promise.race(failures);
  first.catch(() => undefined);
  return first;
}
