// BullMQ on Redis. This process is the submitter; it hears of a job's end by the queue's events.

import process from "node:process";
import { setTimeout as sleep } from "node:timers/promises";
import { Queue } from "bullmq";
import { APPEND_FSYNC, lackingRedis, openRedis } from "../../stores/redis.ts";
import {
  type Contender,
  type ContenderKind,
  type ContenderOptions,
  type QueueName,
  QUEUES,
  STREAM_WINDOW,
} from "../../support/contender.ts";
import { installedVersion } from "../../support/installed-version.ts";
import { jobInput, type JobInput } from "../../support/job-input.ts";
import type { TaskTracker, TrackedTasks } from "../../support/task-tracker.ts";
import { Window } from "../../support/window.ts";
import { firstFailure, startPeerWorker } from "../peer-worker.ts";
import { connectionTo, JOB_NAME, JOB_OPTIONS } from "./bullmq-queues.ts";
import { type JobEnds, openJobEnds } from "./job-ends.ts";

/** How the registry knows it. */
export const BULLMQ: ContenderKind = { id: "bullmq", lacking: () => lackingRedis(), open: openBullmq };

const REWRITE_POLL_MS = 50;

/** Starts Redis, a worker and the queues. Rejects with BenchError; then nothing of it is left. */
async function openBullmq(options: ContenderOptions): Promise<Contender> {
  await using stack = new AsyncDisposableStack();
  const redis = stack.use(await openRedis(options.durability));
  const worker = await startPeerWorker(options, BULLMQ.id, [String(redis.port)]);
  stack.use(worker.process);
  const openQueue = (name: QueueName): Queue<JobInput> => {
    const queue = new Queue<JobInput>(QUEUES[name], {
      connection: connectionTo(redis.port),
      defaultJobOptions: JOB_OPTIONS,
    });
    // What is wrong with the connection, the calls say too.
    queue.on("error", () => undefined);
    return stack.adopt(queue, (opened) => opened.close());
  };
  const queues = { served: openQueue("served"), parked: openQueue("parked") };
  for (const queue of Object.values(queues)) await queue.waitUntilReady();
  const contender = new Bullmq({
    title: `BullMQ ${await installedVersion("bullmq")} on Redis ${redis.version}, appendfsync ${APPEND_FSYNC[options.durability]}`,
    pids: { client: process.pid, worker: worker.process.pid, store: redis.pid },
    failed: firstFailure(redis.failed, worker.process.failed),
    tracker: worker.tracker,
    queues,
    port: redis.port,
  });
  stack.defer(() => contender.closeEnds());
  const started = stack.move();
  return Object.assign(contender, { [Symbol.asyncDispose]: () => started.disposeAsync() });
}

interface BullmqParts {
  readonly title: string;
  readonly pids: Readonly<Record<string, number>>;
  readonly failed: Promise<never>;
  readonly tracker: TaskTracker;
  readonly queues: Readonly<Record<QueueName, Queue<JobInput>>>;
  readonly port: number;
}

class Bullmq implements Omit<Contender, typeof Symbol.asyncDispose> {
  readonly id = BULLMQ.id;
  readonly title: string;
  readonly pids: Readonly<Record<string, number>>;
  readonly failed: Promise<never>;
  readonly #parts: BullmqParts;
  #ends: Promise<JobEnds> | undefined;

  constructor(parts: BullmqParts) {
    this.#parts = parts;
    this.title = parts.title;
    this.pids = parts.pids;
    this.failed = parts.failed;
  }

  track(prefix: string): TrackedTasks {
    return this.#parts.tracker.track(prefix);
  }

  async submitBulk(ids: readonly string[], inputBytes: number): Promise<void> {
    await this.#parts.queues.served.addBulk(ids.map((id) => ({ name: JOB_NAME, data: jobInput(id, inputBytes) })));
  }

  async submitStream(ids: AsyncIterable<string>, inputBytes: number): Promise<void> {
    const window = new Window(STREAM_WINDOW);
    for await (const id of ids) await window.add(this.submitOne(id, "served", inputBytes));
    await window.drain();
  }

  async submitOne(id: string, queue: QueueName, inputBytes: number): Promise<void> {
    await this.#parts.queues[queue].add(JOB_NAME, jobInput(id, inputBytes));
  }

  async runOne(id: string, inputBytes: number): Promise<number> {
    this.#ends ??= openJobEnds(this.#parts.port);
    const ends = await this.#ends;
    const startMs = performance.now();
    const ended = ends.of(id);
    await Promise.all([ended, this.#parts.queues.served.add(JOB_NAME, jobInput(id, inputBytes), { jobId: id })]);
    return performance.now() - startMs;
  }

  /** Waits until Redis has ended a rewrite of its log, if one is on. */
  async settle(): Promise<void> {
    await this.closeEnds();
    const client = await this.#parts.queues.served.getBackend().client;
    while (/aof_rewrite_(in_progress|scheduled):1/.test(await client.info())) await sleep(REWRITE_POLL_MS);
  }

  /** Stops listening for ends: whoever does not wait for single jobs does not pay for their events. */
  async closeEnds(): Promise<void> {
    const ends = this.#ends;
    this.#ends = undefined;
    await (await ends)?.[Symbol.asyncDispose]();
  }
}
