// graphile-worker's runner as a process: its task does nothing, at once.
// Usage: node bench/contenders/graphile-worker/worker.ts CONNECTION_STRING

import process from "node:process";
import { Logger, run } from "graphile-worker";
import { Pool, type PoolClient } from "pg";
import { AcknowledgedJobs } from "../../support/acknowledged-jobs.ts";
import { askedToStop, sayReady } from "../../support/process.ts";
import { SCHEMAS, TASK_IDENTIFIER } from "./graphile-tasks.ts";

/** All four as in the makers' own measurement: https://worker.graphile.org/docs/performance */
const CONCURRENT_JOBS = 24;
const MAX_POOL_SIZE = 25;
const LOCAL_QUEUE_SIZE = 500;
const BATCH_DELAY_MS = 0;

const [connectionString = ""] = process.argv.slice(2);
const stop = askedToStop();
const jobs = new AcknowledgedJobs();
const pool = new Pool({ connectionString, max: MAX_POOL_SIZE });
pool.on("connect", watchCompletions);
pool.on("error", (error) => {
  throw error;
});
const runner = await run({
  pgPool: pool,
  noHandleSignals: true,
  parsedCronItems: [],
  taskList: {
    [TASK_IDENTIFIER]: (payload, { job }) => {
      jobs.worked(job.id, taskIdOf(payload));
    },
  },
  preset: {
    worker: {
      schema: SCHEMAS.served,
      concurrentJobs: CONCURRENT_JOBS,
      localQueue: { size: LOCAL_QUEUE_SIZE },
      completeJobBatchDelay: BATCH_DELAY_MS,
      failJobBatchDelay: BATCH_DELAY_MS,
      logger: new Logger(() => (level, message) => {
        if (level === "error") process.stderr.write(`${message}\n`);
      }),
    },
  },
});
sayReady();
await Promise.race([stop, runner.promise]);
await runner.stop();
await pool.end();
process.exit(0);

/** No event of the runner's tells that the database has acknowledged a completion; the answer to its statement does. */
function watchCompletions(client: PoolClient): void {
  const query: (...args: unknown[]) => unknown = client.query.bind(client);
  const watched = (...args: unknown[]): unknown => {
    const answer = query(...args);
    const ids = completedBy(args[0]);
    if (ids.length > 0 && answer instanceof Promise) answer.then(() => jobs.stored(ids)).catch(() => undefined);
    return answer;
  };
  Object.assign(client, { query: watched });
}

/** The ids of the jobs that a statement completes. */
function completedBy(statement: unknown): readonly unknown[] {
  if (typeof statement !== "object" || statement === null || !("name" in statement) || !("values" in statement))
    return [];
  if (!String(statement.name).startsWith("complete_job") || !Array.isArray(statement.values)) return [];
  const [ids]: readonly unknown[] = statement.values;
  return Array.isArray(ids) ? ids : [ids];
}

function taskIdOf(payload: unknown): string {
  return typeof payload === "object" && payload !== null && "id" in payload ? String(payload.id) : "";
}
