// In a worker: remembers which task each job is until the store has acknowledged the job's end, and says so then.
//
// For queues that settle many jobs with one statement and tell nobody when it is through.

import { sayEnded } from "./ended-tasks.ts";

/** The jobs that were worked on and whose end is not stored yet. */
export class AcknowledgedJobs {
  readonly #taskIds = new Map<string, string>();

  /** A job has been worked on; `jobId` is the queue's own name for it. */
  worked(jobId: string, taskId: string): void {
    this.#taskIds.set(jobId, taskId);
  }

  /** The store has acknowledged a statement about these jobs: those that were worked on have ended. */
  stored(jobIds: readonly unknown[]): void {
    for (const jobId of jobIds) {
      const taskId = this.#taskIds.get(String(jobId));
      if (taskId === undefined) continue;
      this.#taskIds.delete(String(jobId));
      sayEnded(taskId);
    }
  }
}
