// BullMQ's worker as a process: its processor does nothing, at once.
// Usage: node bench/contenders/bullmq/worker.ts REDIS_PORT

import process from "node:process";
import { Worker } from "bullmq";
import { QUEUES } from "../../support/contender.ts";
import { sayEnded } from "../../support/ended-tasks.ts";
import type { JobInput } from "../../support/job-input.ts";
import { askedToStop, sayReady } from "../../support/process.ts";
import { connectionTo } from "./bullmq-queues.ts";

/** "Between 100 and 300 is a quite standard setting": https://docs.bullmq.io/guide/parallelism-and-concurrency. 256 and 1,000 were slower. */
const CONCURRENCY = 100;

const [port = ""] = process.argv.slice(2);
const stop = askedToStop();
const worker = new Worker<JobInput>(QUEUES.served, async () => undefined, {
  connection: connectionTo(Number(port)),
  concurrency: CONCURRENCY,
});
// Emitted after Redis has answered that the job is completed.
worker.on("completed", (job) => sayEnded(job.data.id));
worker.on("failed", (_job, error) => {
  throw error;
});
worker.on("error", (error) => {
  throw error;
});
await worker.waitUntilReady();
sayReady();
await stop;
await worker.close(true);
process.exit(0);
