// Keeps the index's rows in step with the log, for as long as this coordinator holds the index.

import { setImmediate } from "node:timers/promises";
import type { DatabaseSync } from "node:sqlite";
import type { NatsConnection } from "@nats-io/nats-core";
import type { Clock } from "../../../lib/core/clock.ts";
import type { Logger } from "../../../lib/core/logger.ts";
import type { DirectReader } from "../../../lib/nats/direct-reader.ts";
import { type LogBatch, LogReplacedError, tailLog } from "../../../lib/nats/log-tail.ts";
import type { KnownWrites } from "../../../lib/nats/recent-writes.ts";
import { pause } from "../../../lib/time/pause.ts";
import { openDatabase, recreateDatabase } from "./database.ts";
import { TaskTable } from "./task-table.ts";

/** What an indexer needs. */
export interface IndexerOptions {
  readonly connection: NatsConnection;
  readonly reader: DirectReader;
  /** What this coordinator stores itself. */
  readonly recent?: KnownWrites | undefined;
  readonly clock: Clock;
  readonly logger: Logger;
  /** The folder of the index's file; in memory if empty. */
  readonly dataDir: string;
}

/** How long to wait before a rebuild, in milliseconds: what spoiled the file may spoil it again. */
const REBUILD_PAUSE_MS = 1_000;

/** The index's rows, kept up to date until disposal. */
export class Indexer implements AsyncDisposable {
  readonly #options: IndexerOptions;
  readonly #stopping = new AbortController();
  readonly #caughtUp = Promise.withResolvers<boolean>();
  readonly #loop: Promise<void>;
  #database: DatabaseSync;
  #table: TaskTable;
  #asOfMs: number | undefined;
  /** Up to where the rows were made by an earlier holder's work, or by this one's before it lost the role. */
  #inherited: number;

  constructor(options: IndexerOptions) {
    this.#options = options;
    [this.#database, this.#table] = opened(options.dataDir);
    this.#inherited = this.#table.position().position;
    this.#loop = this.#run();
  }

  /** The rows. Another database takes its place when the index is rebuilt: ask anew after every wait. */
  get database(): DatabaseSync {
    return this.#database;
  }

  /** See `database`. */
  get table(): TaskTable {
    return this.#table;
  }

  /** The rows show the log as it was at this time or later; undefined while they are being built. */
  get asOfMs(): number | undefined {
    return this.#asOfMs;
  }

  /** What was purged while nobody kept these rows is still in them if it was last heard of at this sequence or before; 0 for none. */
  get inherited(): number {
    return this.#inherited;
  }

  /** Resolves when the rows have caught up with the log for the first time, with false if that never came. */
  get caughtUp(): Promise<boolean> {
    return this.#caughtUp.promise;
  }

  /** Stops following the log; the rows can still be read. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#loop;
    this.#caughtUp.resolve(false);
  }

  /** Stops and closes the file. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    if (!this.#database.isOpen) return;
    try {
      this.#table.settle();
    } catch (err) {
      this.#options.logger.warn({ err }, "index forgets what it counted last");
    }
    this.#database.close();
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      try {
        await this.#follow(signal);
      } catch (error) {
        if (signal.aborted) return;
        this.#options.logger.warn({ err: error, replaced: error instanceof LogReplacedError }, "index is built anew");
        await this.#rebuild(signal);
      }
    }
  }

  async #follow(signal: AbortSignal): Promise<void> {
    const { connection, reader, recent, clock, logger } = this.#options;
    const onTrouble = (err: unknown): void => logger.warn({ err }, "index can't read the log");
    const tail = tailLog({ connection, reader, recent, clock, ...this.#table.position(), signal, onTrouble });
    for await (const batch of tail) {
      await this.#apply(batch);
      if (signal.aborted) return;
      if (batch.asOfMs === undefined) continue;
      this.#asOfMs = batch.asOfMs;
      this.#caughtUp.resolve(true);
    }
  }

  /** In one go: a task that begins and ends within a batch is written once instead of twice, which halves what it costs. */
  async #apply(batch: LogBatch): Promise<void> {
    const at = this.#table.position();
    if (batch.position === at.position && batch.created === at.created) return this.#table.settle();
    const unreadable = this.#table.apply(batch);
    if (unreadable > 0) this.#options.logger.warn({ messages: unreadable }, "index skips what it can't read");
    // A batch may take 20 ms, twice as long in a file; lists and the role come in between.
    await setImmediate();
  }

  async #rebuild(signal: AbortSignal): Promise<void> {
    this.#asOfMs = undefined;
    this.#inherited = 0;
    try {
      if (this.#database.isOpen) this.#database.close();
      const { dataDir } = this.#options;
      this.#database = recreateDatabase({ dataDir });
    } catch (error) {
      // The disk may be full or gone; the index then does without.
      this.#options.logger.warn({ err: error }, "index is kept in memory");
      this.#database = recreateDatabase({ dataDir: "" });
    }
    this.#table = new TaskTable(this.#database);
    await pause(REBUILD_PAUSE_MS, signal);
  }
}

function opened(dataDir: string): [DatabaseSync, TaskTable] {
  const database = openDatabase({ dataDir });
  try {
    return [database, new TaskTable(database)];
  } catch {
    // Right version, but not the right tables: a file that was damaged without showing it.
    database.close();
    const anew = recreateDatabase({ dataDir });
    return [anew, new TaskTable(anew)];
  }
}
