// Empties a queue: finds what waits by the index, and ends each task on the log, as a cancellation does. Bounded in number and time;
// whoever wants the rest asks again.

import { create } from "@bufbuild/protobuf";
import {
  CountTasksRequestSchema,
  ListTasksRequestSchema,
  type TaskFilter,
  TaskFilterSchema,
} from "../../../gen/mycel/v1/agent_service_pb.ts";
import type { Priority, Task } from "../../../gen/mycel/v1/task_pb.ts";
import type { TaskScope } from "../../../lib/core/access/task-scope.ts";
import type { Clock } from "../../../lib/core/clock.ts";
import { isUnreadable, MeshError } from "../../../lib/core/mesh-error.ts";
import type { TaskState } from "../../../lib/core/task-state.ts";
import { pause } from "../../../lib/time/pause.ts";
import { stateToWire } from "../../../lib/wire/state-codec.ts";
import { msFromTimestamp } from "../../../lib/wire/time-codec.ts";
import type { TaskIndex } from "../index/task-index.ts";
import type { Lifecycle } from "../tasks/lifecycle.ts";

/** What purging needs. */
export interface QueuePurgeParts {
  readonly index: Pick<TaskIndex, "listTasks" | "countTasks">;
  readonly lifecycle: Pick<Lifecycle, "cancelWaiting">;
  readonly clock: Clock;
}

/** What to end. */
export interface PurgeOrder {
  readonly tenant: string;
  readonly queue: string;
  /** Only what is in this scope; all if undefined. */
  readonly scope: TaskScope | undefined;
  /** Only of these types; all if empty. */
  readonly types: readonly string[];
  /** Only of these priorities; all if empty. */
  readonly priorities: readonly Priority[];
  /** Only in these states, each of them one of WAITING_STATES. */
  readonly states: readonly WaitingState[];
  readonly reason: string;
  /** How many to end at most. */
  readonly limit: number;
  /** Aborts when nobody waits for the answer any more. */
  readonly signal: AbortSignal;
}

/** What a purge has done. */
export interface Purged {
  readonly purged: number;
  /** How many still wait, as far as the index shows; a lower bound where priorities are asked for. */
  readonly remaining: number;
}

/** A state in which a task waits. */
export type WaitingState = "submitted" | "scheduled" | "backing_off";

/** The states in which a task waits. */
export const WAITING_STATES: readonly WaitingState[] = ["submitted", "scheduled", "backing_off"];

/** How many cancellations are under way at once. */
const PARALLEL = 64;
/** How many rows of the index are read at once. */
const PAGE_SIZE = 1_000;
/** How long one call works, in milliseconds. */
const BUDGET_MS = 10_000;
/** How long the index may take to show what was accepted before the call, and how often it is asked, in milliseconds. */
const INDEX_PATIENCE_MS = 5_000;
const INDEX_LOOK_MS = 100;

/** Empties a queue. Throws INDEX_UNAVAILABLE and BROKER_UNAVAILABLE; what was ended until then stays ended. */
export async function purgeQueue({ index, lifecycle, clock }: QueuePurgeParts, order: PurgeOrder): Promise<Purged> {
  const { tenant, scope, limit, signal } = order;
  const filter = filterOf(order);
  const untilMs = clock.monotonicMs() + BUDGET_MS;
  const total = await countWhenCurrent({ index, clock }, order, filter);
  const reason = reasonOf(order);
  const states = new Set<TaskState>(order.states);
  const broken = new AbortController();
  const over = AbortSignal.any([signal, broken.signal]);
  const goesOn = (): boolean => clock.monotonicMs() < untilMs && !over.aborted;

  let tried = 0;
  let purged = 0;
  let passedOver = 0;
  let pageToken = "";
  do {
    const page = await index.listTasks(
      tenant,
      create(ListTasksRequestSchema, { filter, pageSize: PAGE_SIZE, pageToken }),
      scope,
    );
    const wanted = page.tasks.filter((task) => isWanted(order, task));
    const queue = wanted.values();
    const worker = async (): Promise<void> => {
      while (tried < limit && goesOn()) {
        const next = queue.next();
        if (next.done === true) return;
        tried += 1;
        if (await isEnded(lifecycle.cancelWaiting(tenant, next.value.taskId, states, reason))) purged += 1;
      }
    };
    await allOrStop(Array.from({ length: PARALLEL }, worker), broken);
    passedOver = [...queue].length;
    pageToken = page.nextPageToken;
  } while (pageToken !== "" && tried < limit && goesOn());
  const seen = passedOver + (pageToken === "" ? 0 : 1);
  return { purged, remaining: order.priorities.length === 0 ? Math.max(0, total - tried) : seen };
}

/** Waits for all workers; if one fails, the others end what they are at, and its error is thrown. */
async function allOrStop(workers: readonly Promise<void>[], broken: AbortController): Promise<void> {
  for (const worker of workers) worker.catch(() => broken.abort());
  const ends = await Promise.allSettled(workers);
  const failed = ends.find((end) => end.status === "rejected");
  if (failed !== undefined) throw failed.reason;
}

/** How many tasks satisfy the filter, as soon as the index shows everything that was accepted before. */
async function countWhenCurrent(
  { index, clock }: Pick<QueuePurgeParts, "index" | "clock">,
  { tenant, scope, signal }: PurgeOrder,
  filter: TaskFilter,
): Promise<number> {
  const sinceMs = clock.now();
  const untilMs = clock.monotonicMs() + INDEX_PATIENCE_MS;
  for (;;) {
    const request = create(CountTasksRequestSchema, { filter });
    const { totalCount, asOfTime } = await index.countTasks(tenant, request, scope);
    if ((msFromTimestamp(asOfTime) ?? 0) >= sinceMs) return Number(totalCount);
    if (clock.monotonicMs() > untilMs || !(await pause(INDEX_LOOK_MS, signal))) {
      throw new MeshError("INDEX_UNAVAILABLE", "the index lags behind the log", { retryDelayMs: 1_000 });
    }
  }
}

/** Whether a task was ended; one that is gone, or can't be read, was not. */
async function isEnded(canceling: Promise<boolean>): Promise<boolean> {
  try {
    return await canceling;
  } catch (error) {
    const passing = error instanceof MeshError && (error.reason === "TASK_NOT_FOUND" || error.reason === "CONFLICT");
    if (passing || isUnreadable(error)) return false;
    throw error;
  }
}

function filterOf({ queue, types, states }: PurgeOrder): TaskFilter {
  return create(TaskFilterSchema, { queue, types: [...types], states: states.map(stateToWire) });
}

function isWanted({ priorities }: PurgeOrder, task: Task): boolean {
  return priorities.length === 0 || priorities.includes(task.priority);
}

function reasonOf({ queue, reason }: PurgeOrder): string {
  return reason === "" ? `queue purged: ${queue}` : `queue purged: ${queue}: ${reason}`;
}
