// graphile-worker on PostgreSQL. This process is the submitter.
//
// There is no waiting for a single job: its events are those of the worker's own process, and a job that has ended is a row that is gone.

import process from "node:process";
import { makeWorkerUtils, Logger, type WorkerUtils } from "graphile-worker";
import { lackingPostgres, openPostgres, SYNCHRONOUS_COMMIT } from "../../stores/postgres.ts";
import { inBatches } from "../../support/batches.ts";
import type { Contender, ContenderKind, ContenderOptions, QueueName } from "../../support/contender.ts";
import { installedVersion } from "../../support/installed-version.ts";
import { jobInput } from "../../support/job-input.ts";
import { firstFailure, startPeerWorker } from "../peer-worker.ts";
import { SCHEMAS, TASK_IDENTIFIER } from "./graphile-tasks.ts";

/** How the registry knows it. */
export const GRAPHILE_WORKER: ContenderKind = {
  id: "graphile-worker",
  lacking: () => lackingPostgres(),
  open: openGraphileWorker,
};

/** graphile-worker's own default. */
const MAX_POOL_SIZE = 10;

/** Starts PostgreSQL, a worker and the submitter. Rejects with BenchError; then nothing of it is left. */
async function openGraphileWorker(options: ContenderOptions): Promise<Contender> {
  await using stack = new AsyncDisposableStack();
  const postgres = stack.use(await openPostgres(options.durability));
  const openUtils = async (queue: QueueName): Promise<WorkerUtils> => {
    const utils = await makeWorkerUtils({
      connectionString: postgres.connectionString,
      schema: SCHEMAS[queue],
      maxPoolSize: MAX_POOL_SIZE,
      logger: new Logger(() => () => undefined),
    });
    stack.defer(async () => await utils.release());
    await utils.migrate();
    return utils;
  };
  const utils = { served: await openUtils("served"), parked: await openUtils("parked") };
  // A line for every job that went well is left out in the makers' own measurement too.
  const worker = await startPeerWorker(options, GRAPHILE_WORKER.id, [postgres.connectionString], {
    NO_LOG_SUCCESS: "1",
  });
  stack.use(worker.process);
  const version = await installedVersion("graphile-worker");
  const setting = `synchronous_commit ${SYNCHRONOUS_COMMIT[options.durability]}`;
  const started = stack.move();
  return {
    id: GRAPHILE_WORKER.id,
    title: `graphile-worker ${version} on PostgreSQL ${postgres.version}, ${setting}`,
    pids: { client: process.pid, worker: worker.process.pid, store: postgres.pid },
    failed: firstFailure(postgres.failed, worker.process.failed),
    track: (prefix) => worker.tracker.track(prefix),
    submitBulk: (ids, inputBytes) => addJobs(utils.served, ids, inputBytes),
    submitStream: (ids, inputBytes) => inBatches(ids, (batch) => addJobs(utils.served, batch, inputBytes)),
    submitOne: async (id, queue, inputBytes) => {
      await utils[queue].addJob(TASK_IDENTIFIER, jobInput(id, inputBytes));
    },
    // What autovacuum would do some time later, when it is another's turn.
    settle: () => utils.served.withPgClient(async (client) => void (await client.query("VACUUM (ANALYZE)"))),
    [Symbol.asyncDispose]: () => started.disposeAsync(),
  };
}

async function addJobs(utils: WorkerUtils, ids: readonly string[], inputBytes: number): Promise<void> {
  await utils.addJobs(ids.map((id) => ({ identifier: TASK_IDENTIFIER, payload: jobInput(id, inputBytes) })));
}
