// Temporal: its dev server on SQLite, a worker in Go with a workflow of one activity. This process is the submitter, with the client that
// users on Node have. Workflows are started one by one; there is neither a call nor a stream that starts many.

import process from "node:process";
import { setTimeout as sleep } from "node:timers/promises";
import { Client, Connection } from "@temporalio/client";
import { run } from "../../../lib/nats/server/run.ts";
import { onFreePort, startStore, type Store } from "../../stores/store-process.ts";
import { BenchError } from "../../support/bench-error.ts";
import {
  type Contender,
  type ContenderKind,
  type ContenderOptions,
  type Durability,
  type QueueName,
  QUEUES,
} from "../../support/contender.ts";
import { installedVersion } from "../../support/installed-version.ts";
import { jobInput } from "../../support/job-input.ts";
import { type TrackedTasks, TaskTracker } from "../../support/task-tracker.ts";
import { findTemporal, lackingTemporal } from "./binaries.ts";
import { startWorker } from "./worker-process.ts";

/** How the registry knows it. */
export const TEMPORAL: ContenderKind = { id: "temporal", lacking: () => lackingTemporal(), open: openTemporal };

/**
 * SQLite's `synchronous` with `journal_mode=wal`: full waits for the disk at each commit, normal when it makes room in its log, which may
 * lose more than a second. There is nothing in between.
 */
const SYNCHRONOUS: Readonly<Record<Durability, string>> = { second: "normal", always: "full" };
/** More than can be measured here. */
const NO_LIMIT = 1_000_000;
const SETTINGS: Readonly<Record<string, number | string | boolean>> = {
  // Limits for many tenants.
  "frontend.rps": NO_LIMIT,
  "frontend.namespaceRPS": NO_LIMIT,
  "frontend.globalNamespaceRPS": NO_LIMIT,
  "frontend.persistenceMaxQPS": NO_LIMIT,
  "history.rps": NO_LIMIT,
  "history.persistenceMaxQPS": NO_LIMIT,
  "matching.rps": NO_LIMIT,
  "matching.persistenceMaxQPS": NO_LIMIT,
  // A shard looks for work 20 times a second at most. The dev server has one shard only, and would idle.
  "history.transferProcessorMaxPollRPS": NO_LIMIT,
  "history.timerProcessorMaxPollRPS": NO_LIMIT,
  "history.visibilityProcessorMaxPollRPS": NO_LIMIT,
  // It now and then does not wake who waits for a workflow's end; they ask again after this time, else after 20 s.
  "history.longPollExpirationInterval": '"1s"',
  // The dev server reads search attributes anew for every request, so that a new one is seen at once.
  "system.forceSearchAttributesCacheRefreshOnRead": false,
};
const WORKFLOW = "bench";
const RUNNING = `TaskQueue = '${QUEUES.served}' AND ExecutionStatus = 'Running'`;
const VERSION_TIMEOUT_MS = 10_000;
const SETTLE_POLL_MS = 50;
const SETTLE_WITHIN_MS = 30_000;

/** Starts server and worker. Rejects with BenchError; then nothing of it is left. */
async function openTemporal({ durability }: ContenderOptions): Promise<Contender> {
  const binaries = await findTemporal();
  if (binaries === undefined) throw new BenchError((await lackingTemporal()) ?? "Temporal is not built");
  await using stack = new AsyncDisposableStack();
  const server = stack.use(await openServer(binaries.server, durability));
  const address = `127.0.0.1:${server.port}`;
  const tracker = new TaskTracker();
  const worker = stack.use(
    await startWorker({
      binary: binaries.worker,
      args: [address, QUEUES.served],
      onEnded: (id) => tracker.ended(id),
      onFailed: (id) => tracker.failed(id, "failed"),
    }),
  );
  const connection = stack.adopt(await Connection.connect({ address }), (opened) => opened.close());
  const failed = Promise.race([server.failed, worker.failed]);
  failed.catch(() => undefined);
  const contender = new Temporal({
    title: [
      `Temporal ${server.version}, dev server on SQLite, journal_mode wal, synchronous ${SYNCHRONOUS[durability]},`,
      `client ${await installedVersion("@temporalio/client")}, worker in Go`,
    ].join(" "),
    pids: { client: process.pid, server: server.pid, worker: worker.pid },
    failed,
    client: new Client({ connection }),
    tracker,
  });
  const started = stack.move();
  return Object.assign(contender, { [Symbol.asyncDispose]: () => started.disposeAsync() });
}

async function openServer(binary: string, durability: Durability): Promise<Store> {
  const told = await run(binary, ["--version"], { timeoutMs: VERSION_TIMEOUT_MS, name: "temporal --version" });
  const version = /Server (\d+(\.\d+)*)/.exec(told)?.[1] ?? "unknown";
  return await onFreePort(() =>
    startStore(version, undefined, async (dir, port) => ({
      name: "temporal server start-dev",
      binary,
      args: ["server", "start-dev", ...flags(dir, port, durability)],
      readyWords: "Metrics:",
      endSignal: "SIGKILL",
    })),
  );
}

function flags(dir: string, port: number, durability: Durability): readonly string[] {
  const options = [
    ["ip", "127.0.0.1"],
    ["port", String(port)],
    ["db-filename", `${dir}/temporal.db`],
    ["sqlite-pragma", "journal_mode=wal"],
    ["sqlite-pragma", `synchronous=${SYNCHRONOUS[durability]}`],
    ["log-level", "error"],
    ...Object.entries(SETTINGS).map(([name, value]) => ["dynamic-config-value", `${name}=${value}`] as const),
  ] as const;
  // Without the web page, and without what the user has configured.
  const switches = ["--headless", "--disable-config-file", "--disable-config-env"];
  return [...switches, ...options.flatMap(([name, value]) => [`--${name}`, value])];
}

interface TemporalParts {
  readonly title: string;
  readonly pids: Readonly<Record<string, number>>;
  readonly failed: Promise<never>;
  readonly client: Client;
  readonly tracker: TaskTracker;
}

class Temporal implements Omit<Contender, typeof Symbol.asyncDispose> {
  readonly id = TEMPORAL.id;
  readonly title: string;
  readonly pids: Readonly<Record<string, number>>;
  readonly failed: Promise<never>;
  readonly #client: Client;
  readonly #tracker: TaskTracker;

  constructor({ title, pids, failed, client, tracker }: TemporalParts) {
    this.title = title;
    this.pids = pids;
    this.failed = failed;
    this.#client = client;
    this.#tracker = tracker;
  }

  track(prefix: string): TrackedTasks {
    return this.#tracker.track(prefix);
  }

  async submitOne(id: string, queue: QueueName, inputBytes: number): Promise<void> {
    await this.#client.workflow.start(WORKFLOW, startOptions(id, queue, inputBytes));
  }

  async runOne(id: string, inputBytes: number): Promise<number> {
    const startMs = performance.now();
    await this.#client.workflow.execute(WORKFLOW, startOptions(id, "served", inputBytes));
    return performance.now() - startMs;
  }

  /** Waits until the list of workflows knows that all have ended: it is written last. */
  async settle(): Promise<void> {
    const endMs = performance.now() + SETTLE_WITHIN_MS;
    while (performance.now() < endMs) {
      if ((await this.#client.workflow.count(RUNNING)).count === 0) return;
      await sleep(SETTLE_POLL_MS);
    }
    throw new BenchError(`Temporal still lists workflows as running after ${SETTLE_WITHIN_MS / 1_000} s`);
  }
}

function startOptions(id: string, queue: QueueName, inputBytes: number) {
  return { taskQueue: QUEUES[queue], workflowId: id, args: [jobInput(id, inputBytes)] };
}
