// pg-boss's workers as a process: their handler does nothing, at once.
// Usage: node bench/contenders/pg-boss/worker.ts CONNECTION_STRING

import process from "node:process";
import { PgBoss } from "pg-boss";
import { AcknowledgedJobs } from "../../support/acknowledged-jobs.ts";
import { QUEUES } from "../../support/contender.ts";
import type { JobInput } from "../../support/job-input.ts";
import { askedToStop, sayReady } from "../../support/process.ts";

/** Jobs that one statement fetches, and one completes; of 64, 256 and 1,000 the fastest. */
const BATCH_SIZE = 1_000;
/** A worker fetches, works and completes in turn; with two, one works while the other waits for the database. */
const WORKERS = 2;
/** The least that pg-boss takes. Only for jobs whose NOTIFY was missed. */
const POLLING_INTERVAL_SECONDS = 0.5;

const [connectionString = ""] = process.argv.slice(2);
const stop = askedToStop();
const jobs = new AcknowledgedJobs();
const boss = new PgBoss({ connectionString, useListenNotify: true, schedule: false });
boss.on("error", (error) => {
  throw error;
});
watchCompletions();
await boss.start();
await boss.work<JobInput>(
  QUEUES.served,
  {
    batchSize: BATCH_SIZE,
    localConcurrency: WORKERS,
    pollingIntervalSeconds: POLLING_INTERVAL_SECONDS,
    burstWhenBatchFull: true,
  },
  async (batch) => {
    for (const { id, data } of batch) jobs.worked(id, data.id);
  },
);
sayReady();
await stop;
await boss.stop({ graceful: false });
process.exit(0);

/** No event tells that the database has acknowledged a completion; the answer to its statement, whose second value are ids, does. */
function watchCompletions(): void {
  const db = boss.getDb();
  const executeSql = db.executeSql.bind(db);
  db.executeSql = async (text, values) => {
    const answer = await executeSql(text, values);
    const ids = values?.[1];
    if (Array.isArray(ids)) jobs.stored(ids);
    return answer;
  };
}
