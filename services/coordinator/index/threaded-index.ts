// The index in a thread of its own: starts it, starts it again when it dies, and asks for lists as any other coordinator does.
//
// What the index does is synchronous: on the thread that serves calls it was a fifth to a third of all that a task takes there, and every
// call waited for it. The thread takes 40 MiB.

import { type ResourceLimits, Worker } from "node:worker_threads";
import type { NatsConnection } from "@nats-io/nats-core";
import type { Logger } from "../../../lib/core/logger.ts";
import { pause } from "../../../lib/time/pause.ts";
import { askedLists, type TaskLists } from "./asked-lists.ts";
import type { IndexThreadData, IndexThreadWord } from "./index-thread.ts";
import { writeSent } from "./thread-log.ts";

/** What a threaded index needs. */
export interface ThreadedIndexOptions extends IndexThreadData {
  /** Over which lists are asked for. The thread has a connection of its own. */
  readonly connection: NatsConnection;
  readonly logger: Logger;
}

/** Lists; on disposal the thread lays its role down and ends. */
export interface ThreadedIndex extends TaskLists, AsyncDisposable {
  /** Resolves when lists are worth asking for: the thread is open, or will not be soon. */
  readonly opened: Promise<void>;
}

const ENTRY = new URL("./index-thread.ts", import.meta.url);

/** What the index makes lives shortly. V8 would let the young generation grow to 130 MB, and gain nothing by it. */
const RESOURCE_LIMITS: ResourceLimits = { maxYoungGenerationSizeMb: 16 };

/** How long to wait before a dead thread is started again, in milliseconds: twice as long each time, until one lives. */
const RESTART_MS = 500;
const MAX_RESTART_MS = 30_000;

/** A thread that has lived for so long did not die of its start, in milliseconds. */
const LIVED_MS = 60_000;

/** How long a start may wait for a thread, in milliseconds: it takes 300, more on a machine that is busy. */
const OPEN_WITHIN_MS = 3_000;

/** How long a thread may take to lay down its role, in milliseconds: a broker that is gone must not keep a process. */
const STOP_WITHIN_MS = 10_000;

/** Starts the thread. Lists are answered with INDEX_UNAVAILABLE until somebody holds the index. */
export function openThreadedIndex(options: ThreadedIndexOptions): ThreadedIndex {
  const keeper = new ThreadKeeper(options);
  return {
    ...askedLists(options.connection),
    opened: keeper.opened,
    [Symbol.asyncDispose]: () => keeper[Symbol.asyncDispose](),
  };
}

class ThreadKeeper implements AsyncDisposable {
  readonly #options: ThreadedIndexOptions;
  readonly #stopping = new AbortController();
  readonly #loop: Promise<void>;
  readonly #opened = new AbortController();
  /** See ThreadedIndex. */
  readonly opened: Promise<void>;
  #thread: Worker | undefined;

  constructor(options: ThreadedIndexOptions) {
    this.#options = options;
    this.opened = pause(OPEN_WITHIN_MS, this.#opened.signal).then(() => undefined);
    this.#loop = this.#run();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping.abort();
    this.#opened.abort();
    this.#thread?.postMessage("stop");
    const tooLate = setTimeout(() => void this.#thread?.terminate(), STOP_WITHIN_MS);
    await this.#loop;
    clearTimeout(tooLate);
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopping;
    for (let restartMs = RESTART_MS; !signal.aborted; restartMs = Math.min(restartMs * 2, MAX_RESTART_MS)) {
      const startMs = performance.now();
      const err = await this.#live().catch((error: unknown) => error);
      this.#opened.abort();
      if (signal.aborted) return;
      if (performance.now() - startMs > LIVED_MS) restartMs = RESTART_MS;
      this.#options.logger.error({ err, again_ms: restartMs }, "the index's thread died; it is started again");
      await pause(restartMs, signal);
    }
  }

  /** Starts a thread and waits for its end; gives what it died of. */
  #live(): Promise<unknown> {
    const { config, holderId, writes, logger } = this.#options;
    const { natsUrls, natsTls, natsTrustDir, dataDir, retentionMs, leaseMs, queueDepthLimit, maxQueues } = config;
    const workerData: IndexThreadData = {
      config: { natsUrls, natsTls, natsTrustDir, dataDir, retentionMs, leaseMs, queueDepthLimit, maxQueues },
      holderId,
      writes,
    };
    return new Promise((resolve) => {
      let cause: unknown;
      const thread = new Worker(ENTRY, { name: "mycel index", workerData, resourceLimits: RESOURCE_LIMITS });
      thread.on("message", (word: IndexThreadWord) => {
        if (word.word === "open") this.#opened.abort();
        else writeSent(logger, word.line);
      });
      thread.on("error", (error) => {
        cause = error;
      });
      thread.once("exit", (code) => {
        this.#thread = undefined;
        resolve(cause ?? new Error(`it ended with code ${code}`));
      });
      this.#thread = thread;
    });
  }
}
