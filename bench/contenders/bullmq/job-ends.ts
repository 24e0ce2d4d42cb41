// Hears of the end of single jobs as BullMQ tells it to submitters: by the queue's stream of events.
//
// Not by `job.waitUntilFinished`, which listens to the same events and asks Redis about the job besides: it took a fifth longer.

import { QueueEvents } from "bullmq";
import { BenchError } from "../../support/bench-error.ts";
import { QUEUES } from "../../support/contender.ts";
import { connectionTo } from "./bullmq-queues.ts";

const END_WITHIN_MS = 90_000;

/** Listens to the served queue until it is disposed. */
export interface JobEnds extends AsyncDisposable {
  /** Resolves when the job has completed; asked before the job is submitted. Rejects with BenchError if it fails, or after 90 s. */
  of(jobId: string): Promise<void>;
}

/** Starts to listen. */
export async function openJobEnds(port: number): Promise<JobEnds> {
  // From this moment on, by name: "from now on" would mean from when Redis gets the first read, and a job may be faster.
  const lastEventId = `${Date.now() - 1}-0`;
  const events = new QueueEvents(QUEUES.served, { connection: connectionTo(port), lastEventId });
  const waiting = new Map<string, (failure?: string) => void>();
  events.on("completed", ({ jobId }) => waiting.get(jobId)?.());
  events.on("failed", ({ jobId, failedReason }) => waiting.get(jobId)?.(failedReason));
  // What is wrong with the connection, the calls say too.
  events.on("error", () => undefined);
  await events.waitUntilReady();
  return {
    of: async (jobId) =>
      await new Promise<void>((completed, failed) => {
        const over = (failure?: string): void => {
          clearTimeout(tooLate);
          waiting.delete(jobId);
          if (failure === undefined) completed();
          else failed(new BenchError(`task ${jobId} failed: ${failure}`));
        };
        const tooLate = setTimeout(over, END_WITHIN_MS, `no event within ${END_WITHIN_MS / 1_000} s`);
        waiting.set(jobId, over);
      }),
    [Symbol.asyncDispose]: () => events.close(),
  };
}
