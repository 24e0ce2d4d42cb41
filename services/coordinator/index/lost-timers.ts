// Sets timers again that should have fired and have not. Run by the index's holder.
//
// A schedule whose message nats-server could not store, because its store was full, stays marked as under way and never fires again until
// it is written anew (nats-server 2.15). Other timers get lost when a coordinator dies, or a purge comes, between two steps. The index only
// says where to look; which timers must stand is decided by what the log says of the task at that moment, and what a timer that fires
// does is decided by the log again: one too many harms nothing.

import type { Clock } from "../../../lib/core/clock.ts";
import type { Logger } from "../../../lib/core/logger.ts";
import { isUnreadable } from "../../../lib/core/mesh-error.ts";
import { lostTimers, TIMER_GRACE_MS, type TaskTimer } from "../../../lib/core/task-timers.ts";
import type { DirectReader } from "../../../lib/nats/direct-reader.ts";
import type { TaskLog } from "../../../lib/nats/task-log.ts";
import { firedMs, type Timers } from "../../../lib/nats/timers.ts";
import { viewOf } from "../../../lib/wire/task-codec.ts";
import { lateTasks } from "./due-rows.ts";
import type { Indexer } from "./indexer.ts";
import { Rounds } from "./rounds.ts";
import { type Sweep, sweep } from "./sweep.ts";
import type { TaskName } from "./task-table.ts";

/** What looking after timers needs. */
export interface LostTimersOptions {
  readonly rows: Pick<Indexer, "database" | "table">;
  readonly log: Pick<TaskLog, "read">;
  readonly reader: Pick<DirectReader, "read">;
  readonly timers: Pick<Timers, "set">;
  readonly clock: Clock;
  readonly logger: Logger;
  /** How often to look, in milliseconds. Default 5,000. */
  readonly intervalMs?: number;
}

/** What one round has done. */
export interface LostTimersRound {
  /** Tasks that were read. */
  readonly looked: number;
  /** Timers that were set again. */
  readonly set: number;
}

/** Looks after timers until it is disposed. */
export interface LostTimers extends AsyncDisposable {
  /** Looks once, now; after a round that is under way. */
  round(): Promise<LostTimersRound>;
}

/** When a task that was looked after is looked after again if nothing is heard of it, in milliseconds. */
const LOOK_AGAIN_MS = 30_000;

/**
 * For how long a timer that has fired counts as waiting to be handled, in milliseconds. Where handling takes long, more timers would only
 * make it longer; but what was handled and could not be deleted must not stand in the way for ever.
 */
const WAITING_MS = 600_000;

/** Starts to look after timers. */
export function openLostTimers(options: LostTimersOptions): LostTimers {
  const { logger, intervalMs = 5_000 } = options;
  return new Rounds({
    intervalMs,
    work: (signal) => lookOnce(options, signal),
    onDone: ({ looked, set }) => {
      if (set > 0) logger.info({ looked, set }, "lost timers set again");
    },
    onFailed: (err) => logger.warn({ err }, "timers not looked after"),
  });
}

async function lookOnce(options: LostTimersOptions, signal: AbortSignal): Promise<LostTimersRound> {
  const { rows, clock } = options;
  const nowMs = clock.now();
  let looked = 0;
  let set = 0;
  const late: Sweep = {
    next: (after, limit) => lateTasks(rows.database, nowMs - TIMER_GRACE_MS, after, limit),
    seeTo: async (row) => {
      const timers = await setLostTimers(options, row, nowMs);
      set += timers;
      looked += 1;
      return true;
    },
    onSettled: (done) => rows.table.postpone(done, nowMs + LOOK_AGAIN_MS - TIMER_GRACE_MS),
  };
  await sweep(late, signal);
  return { looked, set };
}

/** Sets a task's lost timers again and says how many. Throws BROKER_UNAVAILABLE. */
async function setLostTimers(options: LostTimersOptions, task: TaskName, nowMs: number): Promise<number> {
  let set = 0;
  for (const { name, atMs } of await lostTimersOf(options, task, nowMs)) {
    const fired = await firedMs(options.reader, task, name);
    if (fired !== undefined && fired > nowMs - WAITING_MS) continue;
    await options.timers.set(task, name, atMs);
    set += 1;
  }
  return set;
}

async function lostTimersOf(
  { log }: LostTimersOptions,
  { tenant, taskId }: TaskName,
  nowMs: number,
): Promise<readonly TaskTimer[]> {
  try {
    const record = await log.read(tenant, taskId);
    return record === undefined ? [] : lostTimers(viewOf(record), nowMs);
  } catch (error) {
    // Nobody can do anything with what stands there.
    if (isUnreadable(error)) return [];
    throw error;
  }
}
