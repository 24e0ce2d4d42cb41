// The long poll of GetTaskStatus: waits for news of one task, and at intervals looks for what makes no news.

import type { TaskStatus } from "../../../gen/mycel/v1/task_pb.ts";
import type { Clock } from "../../../lib/core/clock.ts";
import { taskNotFound } from "../../../lib/core/mesh-error.ts";
import { isTerminal } from "../../../lib/core/task-state.ts";
import { stateFromWire } from "../../../lib/wire/state-codec.ts";
import { statusOf } from "../../../lib/wire/task-codec.ts";
import type { ResultLogs } from "./result-source.ts";
import type { Waits } from "./sleeper.ts";

/** What to wait for. */
export interface StatusQuestion {
  readonly tenant: string;
  readonly taskId: string;
  /** How long to wait at most, in milliseconds. */
  readonly waitMs: number;
  /** The revision that is known; undefined to wait for a terminal state. */
  readonly afterRevision?: bigint | undefined;
  /** Ends the wait; it then throws the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

/** What a wait needs. */
export interface StatusWaitParts {
  readonly logs: Pick<ResultLogs, "taskLog" | "hub">;
  readonly waits: Waits;
  readonly clock: Clock;
  /** Called when there is news. */
  readonly notify: () => void;
}

/** How often to look for a new dispatch, which raises the revision but is not announced. */
const REVISION_POLL_MS = 1_000;

/** How often to look for a terminal state whose announcement was lost. */
const END_POLL_MS = 15_000;

/** Waits for a status. Throws MeshError TASK_NOT_FOUND, BROKER_UNAVAILABLE. */
export async function awaitStatus(parts: StatusWaitParts, question: StatusQuestion): Promise<TaskStatus> {
  const { logs, waits, clock, notify } = parts;
  const { tenant, taskId, afterRevision, waitMs } = question;
  const endMs = clock.monotonicMs() + waitMs;
  const pollMs = afterRevision === undefined ? END_POLL_MS : REVISION_POLL_MS;
  using watch = await logs.hub.watch(tenant, taskId, notify);
  // The end is kept to the millisecond; a call has an end, so it may have a timer.
  using timer = new DisposableStack();
  timer.adopt(setTimeout(notify, waitMs), clearTimeout);
  for (;;) {
    const record = await logs.taskLog.read(tenant, taskId);
    if (record === undefined) throw taskNotFound(taskId);
    const status = statusOf(record, record.event);
    const leftMs = endMs - clock.monotonicMs();
    if (leftMs <= 0 || isNews(status, afterRevision)) return status;
    await waits.sleep(Math.min(pollMs, leftMs));
    // The log says what happened; the messages are only a reason to look.
    while (watch.take().kind !== "nothing");
  }
}

function isNews(status: TaskStatus, afterRevision: bigint | undefined): boolean {
  if (afterRevision !== undefined) return status.revision > afterRevision;
  const state = stateFromWire(status.state);
  return state !== undefined && isTerminal(state);
}
