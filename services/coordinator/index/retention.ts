// Purges tasks whose time is over, and ends those that are still open when their log is about to expire. Run by the index's holder.
//
// The index only says where to look: whatever is done to a task is decided by what the log says of it at that moment.

import type { Clock } from "../../../lib/core/clock.ts";
import type { Logger } from "../../../lib/core/logger.ts";
import { MeshError } from "../../../lib/core/mesh-error.ts";
import type { TaskLog } from "../../../lib/nats/task-log.ts";
import { mayBePurged } from "../tasks/expiry.ts";
import { expiredTasks, openTasks } from "./due-rows.ts";
import type { Indexer } from "./indexer.ts";
import { Rounds } from "./rounds.ts";
import { type Sweep, sweep } from "./sweep.ts";
import type { TaskName } from "./task-table.ts";

/** What retention needs. */
export interface RetentionOptions {
  readonly rows: Pick<Indexer, "database" | "table" | "inherited">;
  readonly log: Pick<TaskLog, "read" | "purge">;
  /** Whether the end of a task with a webhook is not taken up for delivery yet: it must not be purged then. */
  readonly isHooked: (tenant: string, taskId: string) => Promise<boolean>;
  /** Ends an open task whose log is about to expire. */
  readonly expireTask: (tenant: string, taskId: string) => Promise<void>;
  readonly clock: Clock;
  readonly logger: Logger;
  /** How long the log is kept, in milliseconds. */
  readonly retentionMs: number;
  /** How often to look, in milliseconds. Default 5,000. */
  readonly intervalMs?: number;
}

/** What one round has done. */
export interface RetentionRound {
  /** Tasks purged from the log. */
  readonly purged: number;
  /** Open tasks that were ended. */
  readonly expired: number;
  /** Rows of tasks that the log no longer had. */
  readonly forgotten: number;
}

/** Keeps the log's retention until it is disposed. */
export interface Retention extends AsyncDisposable {
  /** Looks once, now; after a round that is under way. */
  round(): Promise<RetentionRound>;
}

const HOUR_MS = 3_600_000;

/** How long before its log expires an open task is ended. */
export function retentionMarginMs(retentionMs: number): number {
  return Math.min(HOUR_MS, retentionMs / 10);
}

/** Starts to keep the log's retention. */
export function openRetention(options: RetentionOptions): Retention {
  return new Keeper(options);
}

type Found = "purged" | "expired" | "forgotten" | "kept";

class Keeper implements Retention {
  readonly #options: RetentionOptions;
  readonly #rounds: Rounds<RetentionRound>;
  #verified = false;

  constructor(options: RetentionOptions) {
    this.#options = options;
    const { intervalMs = 5_000, logger } = options;
    this.#rounds = new Rounds({
      intervalMs,
      work: (signal) => this.#round(signal),
      onDone: (done) => {
        if (done.purged + done.expired + done.forgotten > 0) logger.debug({ ...done }, "retention kept");
      },
      onFailed: (err) => logger.warn({ err }, "retention not kept"),
    });
  }

  round(): Promise<RetentionRound> {
    return this.#rounds.round();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#rounds[Symbol.asyncDispose]();
  }

  async #round(signal: AbortSignal): Promise<RetentionRound> {
    const { rows, clock, retentionMs } = this.#options;
    const counts = { purged: 0, expired: 0, forgotten: 0 };
    const nowMs = clock.now();
    const each = async (next: Sweep["next"], work: (task: TaskName) => Promise<Found>): Promise<void> => {
      const seeTo = async (task: TaskName): Promise<boolean> => {
        const found = await work(task);
        if (found === "kept") return false;
        counts[found] += 1;
        return found !== "expired";
      };
      await sweep({ next, seeTo, onSettled: (gone) => rows.table.remove(gone) }, signal);
    };
    await each(
      (after, limit) => expiredTasks(rows.database, nowMs, after, limit),
      (task) => this.#purge(task, nowMs),
    );
    const overdue = {
      untilMs: nowMs - retentionMs + retentionMarginMs(retentionMs),
      heardUntil: Number.MAX_SAFE_INTEGER,
    };
    await each(
      (after, limit) => openTasks(rows.database, overdue, after, limit),
      (task) => this.#expire(task),
    );
    if (!this.#verified && rows.inherited > 0) {
      // Tasks that ended and were purged while another coordinator held the index would stay open in this one's rows.
      const silent = { untilMs: Number.MAX_SAFE_INTEGER, heardUntil: rows.inherited };
      await each(
        (after, limit) => openTasks(rows.database, silent, after, limit),
        (task) => this.#verify(task),
      );
    }
    this.#verified = !signal.aborted;
    return counts;
  }

  async #purge({ tenant, taskId }: TaskName, nowMs: number): Promise<Found> {
    const { log } = this.#options;
    const record = await log.read(tenant, taskId);
    if (record === undefined) return "forgotten";
    if (!mayBePurged(record, nowMs)) return "kept";
    const { webhook } = record.dispatch.message.task ?? {};
    if (webhook !== undefined && (await this.#options.isHooked(tenant, taskId))) return "kept";
    await log.purge(tenant, taskId, record.event?.sequence);
    return "purged";
  }

  async #expire({ tenant, taskId }: TaskName): Promise<Found> {
    try {
      await this.#options.expireTask(tenant, taskId);
      return "expired";
    } catch (error) {
      if (error instanceof MeshError && error.reason === "TASK_NOT_FOUND") return "forgotten";
      throw error;
    }
  }

  async #verify({ tenant, taskId }: TaskName): Promise<Found> {
    return (await this.#options.log.read(tenant, taskId)) === undefined ? "forgotten" : "kept";
  }
}
