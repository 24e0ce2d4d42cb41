// What the log says about one task, and what follows from it: its state and its deadlines.

import { DELAYED_QUEUE } from "./names.ts";
import type { RetryPolicy } from "./retry-policy.ts";
import { isTerminal, type TaskState } from "./task-state.ts";

/** Why an attempt, or a task, ended badly. */
export interface Failure {
  readonly message: string;
  readonly reason: string;
  readonly retryable: boolean;
  readonly source: "agent" | "mesh" | "timeout";
  readonly details: string;
}

/** The last event of a task, as far as decisions need it. */
export interface LastEvent {
  /** Its stream sequence: the fencing token. */
  readonly sequence: number;
  readonly state: TaskState;
  /** The attempt that was, or is, running; 0 if none ever ran. */
  readonly attempt: number;
  /** The number of the next attempt; 0 in a terminal state. */
  readonly nextAttempt: number;
  readonly agentId: string;
  readonly attemptStartMs: number | undefined;
  readonly nextAttemptMs: number | undefined;
  /** Which operation wrote it. */
  readonly operationId: string;
  /** The dispatch to which its attempt belongs. */
  readonly dispatchSequence: number;
  /** How often that dispatch had been delivered then; 0 if nobody said so. */
  readonly deliveries: number;
}

/** The newest dispatch of a task, as far as decisions need it. */
export interface LastDispatch {
  readonly sequence: number;
  readonly queue: string;
  readonly attempt: number;
  /** The sequence of the last event when it was written, 0 for none. */
  readonly fence: number;
  /** Whether an agent had to ask before it started, so that an unrecorded run is impossible. */
  readonly beginRequired: boolean;
}

/** The limits of a task in milliseconds; undefined means none. */
export interface TaskTimeouts {
  readonly scheduleToStartMs: number | undefined;
  readonly startToCloseMs: number;
  readonly scheduleToCloseMs: number | undefined;
}

/** What the log says about a task at the moment of a decision. */
export interface TaskView {
  readonly policy: RetryPolicy;
  readonly timeouts: TaskTimeouts;
  readonly createMs: number;
  /** The requested start time of a delayed task. */
  readonly startMs: number | undefined;
  readonly dispatch: LastDispatch;
  readonly last: LastEvent | undefined;
}

/** The fencing token in force: the sequence of the last event, 0 for none. */
export function fenceOf(view: TaskView): number {
  return view.last?.sequence ?? 0;
}

/** The state of a task. A terminal event wins over any later dispatch. */
export function stateOf(view: Pick<TaskView, "dispatch" | "last">): TaskState {
  const { dispatch, last } = view;
  if (last !== undefined && isTerminal(last.state)) return last.state;
  if (dispatch.queue === DELAYED_QUEUE) return "scheduled";
  if (last === undefined || dispatch.sequence > last.sequence) return "submitted";
  return last.state;
}

/** The moment from which the task's own deadlines count. */
export function scheduleMs(view: Pick<TaskView, "createMs" | "startMs">): number {
  return Math.max(view.createMs, view.startMs ?? 0);
}

/** Whether nobody has recorded a start of the newest dispatch: whoever got it first may be at work unseen. */
export function isUnseen(view: Pick<TaskView, "dispatch" | "last">): boolean {
  return view.last === undefined || view.last.sequence < view.dispatch.sequence;
}

/**
 * The number of the attempt that a delivery of an unseen dispatch is. Unless starting unseen was forbidden, an earlier delivery may have
 * run: it counts as spent. The last attempt is never allowed to start unseen, so the next number is always within the policy.
 */
export function unseenAttempt(dispatch: LastDispatch, redelivery: boolean): number {
  return redelivery && !dispatch.beginRequired ? dispatch.attempt + 1 : dispatch.attempt;
}

/** Whether the policy's last attempt must be recorded before it starts, so that no unrecorded run can follow it. */
export function beginRequiredFor(policy: RetryPolicy, attempt: number): boolean {
  return attempt >= policy.maximumAttempts;
}

/** A moment at which somebody must look at the task. */
export interface Deadline {
  readonly kind: "schedule_to_start" | "schedule_to_close";
  readonly atMs: number;
}

/** The deadlines of a submission. */
export function deadlinesOf(view: Pick<TaskView, "createMs" | "startMs" | "timeouts">): readonly Deadline[] {
  const from = scheduleMs(view);
  const found: Deadline[] = [];
  const { scheduleToStartMs, scheduleToCloseMs } = view.timeouts;
  if (scheduleToStartMs !== undefined) found.push({ kind: "schedule_to_start", atMs: from + scheduleToStartMs });
  if (scheduleToCloseMs !== undefined) found.push({ kind: "schedule_to_close", atMs: from + scheduleToCloseMs });
  return found;
}

/** The deadlines that a task can still miss. An attempt that ever ran has met `schedule_to_start`. */
export function openDeadlines(view: Pick<TaskView, "createMs" | "startMs" | "timeouts" | "last">): readonly Deadline[] {
  const started = (view.last?.attempt ?? 0) > 0;
  return deadlinesOf(view).filter(({ kind }) => !(kind === "schedule_to_start" && started));
}

/** The deadline of the task that has passed, if any. */
export function passedDeadline(view: TaskView, nowMs: number): Deadline | undefined {
  return openDeadlines(view).find(({ atMs }) => nowMs >= atMs);
}
