// pg-boss on PostgreSQL. This process is the submitter.
//
// A submitter learns of a job's end by asking for the job: pg-boss tells nobody.

import process from "node:process";
import { setTimeout as sleep } from "node:timers/promises";
import { PgBoss } from "pg-boss";
import { lackingPostgres, openPostgres, SYNCHRONOUS_COMMIT } from "../../stores/postgres.ts";
import { inBatches } from "../../support/batches.ts";
import { BenchError } from "../../support/bench-error.ts";
import { type Contender, type ContenderKind, type ContenderOptions, QUEUES } from "../../support/contender.ts";
import { installedVersion } from "../../support/installed-version.ts";
import { jobInput } from "../../support/job-input.ts";
import { firstFailure, startPeerWorker } from "../peer-worker.ts";
import { QUEUE_OPTIONS } from "./pg-boss-queues.ts";

/** How the registry knows it. */
export const PG_BOSS: ContenderKind = { id: "pg-boss", lacking: () => lackingPostgres(), open: openPgBoss };

/** Between two looks at a job that is waited for. */
const LOOK_EVERY_MS = 1;
const END_WITHIN_MS = 90_000;

/** Starts PostgreSQL, a worker and the submitter. Rejects with BenchError; then nothing of it is left. */
async function openPgBoss(options: ContenderOptions): Promise<Contender> {
  await using stack = new AsyncDisposableStack();
  const postgres = stack.use(await openPostgres(options.durability));
  const { connectionString } = postgres;
  // It only submits: maintenance is the worker's.
  const boss = new PgBoss({ connectionString, supervise: false, schedule: false });
  // What is wrong with the connection, the calls say too.
  boss.on("error", () => undefined);
  stack.defer(() => boss.stop({ graceful: false }));
  await boss.start();
  for (const queue of Object.values(QUEUES)) await boss.createQueue(queue, QUEUE_OPTIONS);
  const worker = await startPeerWorker(options, PG_BOSS.id, [connectionString]);
  stack.use(worker.process);
  const insert = async (ids: readonly string[], inputBytes: number): Promise<void> => {
    await boss.insert(
      QUEUES.served,
      ids.map((id) => ({ data: jobInput(id, inputBytes) })),
    );
  };
  const setting = `synchronous_commit ${SYNCHRONOUS_COMMIT[options.durability]}`;
  const title = `pg-boss ${await installedVersion("pg-boss")} on PostgreSQL ${postgres.version}, ${setting}`;
  const started = stack.move();
  return {
    id: PG_BOSS.id,
    title,
    pids: { client: process.pid, worker: worker.process.pid, store: postgres.pid },
    failed: firstFailure(postgres.failed, worker.process.failed),
    track: (prefix) => worker.tracker.track(prefix),
    submitBulk: insert,
    submitStream: (ids, inputBytes) => inBatches(ids, (batch) => insert(batch, inputBytes)),
    submitOne: async (id, queue, inputBytes) => {
      await boss.send(QUEUES[queue], jobInput(id, inputBytes));
    },
    runOne: (id, inputBytes) => runOne(boss, id, inputBytes),
    // What autovacuum would do some time later, when it is another's turn.
    settle: async () => {
      await boss.getDb().executeSql("VACUUM (ANALYZE)");
    },
    [Symbol.asyncDispose]: () => started.disposeAsync(),
  };
}

async function runOne(boss: PgBoss, id: string, inputBytes: number): Promise<number> {
  const startMs = performance.now();
  const jobId = await boss.send(QUEUES.served, jobInput(id, inputBytes));
  if (jobId === null) throw new BenchError(`pg-boss did not take task ${id}`);
  while (performance.now() - startMs < END_WITHIN_MS) {
    const [job] = await boss.findJobs(QUEUES.served, { id: jobId });
    if (job?.state === "completed") return performance.now() - startMs;
    await sleep(LOOK_EVERY_MS);
  }
  throw new BenchError(`task ${id} did not end within ${END_WITHIN_MS / 1_000} s`);
}
