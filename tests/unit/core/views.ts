// What the rules' tests speak of: tasks in any state, with only what matters said.
import { DELAYED_QUEUE } from "../../../lib/core/names.ts";
import { DEFAULT_RETRY_POLICY } from "../../../lib/core/retry-policy.ts";
import type { Failure, LastDispatch, LastEvent, TaskTimeouts, TaskView } from "../../../lib/core/task.ts";
import { isTerminal, type TaskState } from "../../../lib/core/task-state.ts";

/** When the tasks of these tests were submitted. */
export const CREATED_MS = 1_000_000;

/** The agent at work in a task that is `working`. */
export const OWNER = "owner";

/** The sequence of the newest dispatch of {@link taskIn}. */
export const DISPATCH = 10;

/** The sequence of the last event of {@link taskIn}, where there is one. */
export const EVENT = 20;

/** What to say differently of a task. */
export interface ViewChange {
  readonly dispatch?: Partial<LastDispatch>;
  readonly last?: Partial<LastEvent>;
  readonly timeouts?: Partial<TaskTimeouts>;
  readonly maximumAttempts?: number;
  readonly nonRetryableReasons?: readonly string[];
  readonly startMs?: number;
}

/** A task in a state: of three attempts the first is, or was, dispatched. */
export function taskIn(state: TaskState, change: ViewChange = {}): TaskView {
  const fresh = state === "submitted" || state === "scheduled";
  const queue = state === "scheduled" ? DELAYED_QUEUE : "echo";
  const dispatch = { sequence: DISPATCH, queue, attempt: 1, fence: 0, beginRequired: false, ...change.dispatch };
  const last: LastEvent = {
    sequence: EVENT,
    state,
    attempt: 1,
    nextAttempt: isTerminal(state) ? 0 : 2,
    agentId: OWNER,
    attemptStartMs: CREATED_MS,
    nextAttemptMs: state === "backing_off" ? CREATED_MS + 5_000 : undefined,
    operationId: "earlier",
    dispatchSequence: DISPATCH,
    deliveries: 1,
    ...change.last,
  };
  return {
    policy: {
      ...DEFAULT_RETRY_POLICY,
      maximumAttempts: change.maximumAttempts ?? 3,
      nonRetryableReasons: change.nonRetryableReasons ?? [],
    },
    timeouts: {
      scheduleToStartMs: undefined,
      startToCloseMs: 30_000,
      scheduleToCloseMs: undefined,
      ...change.timeouts,
    },
    createMs: CREATED_MS,
    startMs: change.startMs,
    dispatch,
    last: fresh && change.last === undefined ? undefined : last,
  };
}

/** A task that was handed back: it waits, and its last event says so. */
export function handedBack(nextAttempt: number, change: ViewChange = {}): TaskView {
  return taskIn("submitted", { ...change, last: { nextAttempt, ...change.last } });
}

/** A failure as a handler reports it. */
export function aFailure(change: Partial<Failure> = {}): Failure {
  return { message: "no", reason: "HANDLER_ERROR", retryable: true, source: "agent", details: "", ...change };
}
