// What a passed time limit does to a task.

import { draft, type EventDraft, runningAttempt, timedOut } from "./event.ts";
import { retryOrFail } from "./settle.ts";
import { type Deadline, openDeadlines, passedDeadline, stateOf, type TaskView } from "./task.ts";
import { isTerminal } from "./task-state.ts";

/** How much later than the agent the mesh ends an attempt that ran too long: the agent's own report is the better one. */
export const START_TO_CLOSE_GRACE_MS = 2_000;

/** How early a timer may fire and still count as due. JetStream's timers have a grain of 250 ms and clocks differ a little. */
export const TIMER_SLACK_MS = 1_000;

/** What to do about a timer. */
export type TimerDecision =
  | { readonly kind: "write"; readonly event: EventDraft }
  /** Publish the dispatch of this attempt, with this fencing token. */
  | { readonly kind: "dispatch"; readonly attempt: number; readonly fence: number }
  /** Look again at this time. */
  | { readonly kind: "rearm"; readonly atMs: number }
  | { readonly kind: "nothing" };

const NOTHING: TimerDecision = { kind: "nothing" };

const TASK_TIMEOUTS: Readonly<Record<Deadline["kind"] | "retention", readonly [reason: string, message: string]>> = {
  schedule_to_start: ["SCHEDULE_TO_START_TIMEOUT", "no attempt started in time"],
  schedule_to_close: ["SCHEDULE_TO_CLOSE_TIMEOUT", "the task did not end in time"],
  retention: ["RETENTION_TIMEOUT", "the task was still open when its log was about to expire"],
};

/** Ends a task whose deadline has passed. */
export function timeOutTask(view: TaskView, kind: Deadline["kind"] | "retention"): EventDraft {
  const [reason, message] = TASK_TIMEOUTS[kind];
  return draft(view, "timed_out", { failure: timedOut(reason, message), ended: runningAttempt(view) });
}

/** Decides what a deadline timer does, now. */
export function decideDeadline(view: TaskView, nowMs: number): TimerDecision {
  if (isTerminal(stateOf(view))) return NOTHING;
  const passed = passedDeadline(view, nowMs);
  if (passed !== undefined) return { kind: "write", event: timeOutTask(view, passed.kind) };
  // A timer that came too early is gone: without another, nobody would look again.
  const open = openDeadlines(view).map(({ atMs }) => atMs);
  return open.length === 0 ? NOTHING : { kind: "rearm", atMs: Math.min(...open) };
}

/** Decides what the timer of a delayed start or a backoff does, now. */
export function decideDispatch(view: TaskView, nowMs: number): TimerDecision {
  const state = stateOf(view);
  if (state === "scheduled") {
    const atMs = view.startMs ?? nowMs;
    if (nowMs + TIMER_SLACK_MS < atMs) return { kind: "rearm", atMs };
    return { kind: "dispatch", attempt: 1, fence: 0 };
  }
  if (state === "backing_off" && view.last !== undefined) {
    const atMs = view.last.nextAttemptMs ?? nowMs;
    if (nowMs + TIMER_SLACK_MS < atMs) return { kind: "rearm", atMs };
    return { kind: "dispatch", attempt: view.last.nextAttempt, fence: view.last.sequence };
  }
  return NOTHING;
}

/** When the mesh itself ends an attempt that started at the given time. */
export function attemptLimitMs(view: Pick<TaskView, "timeouts">, attemptStartMs: number): number {
  return attemptStartMs + view.timeouts.startToCloseMs + START_TO_CLOSE_GRACE_MS;
}

/** Decides what the timer of a running attempt does, now. It matters only when an agent is alive but does not end the attempt. */
export function decideAttemptLimit(view: TaskView, nowMs: number, random: number): TimerDecision {
  const { last } = view;
  // Whoever ended the attempt by this very timer may have died before it set the timer of the next one.
  if (stateOf(view) === "backing_off") return decideDispatch(view, nowMs);
  if (last === undefined || last.state !== "working" || last.attemptStartMs === undefined) return NOTHING;
  const atMs = attemptLimitMs(view, last.attemptStartMs);
  if (nowMs < atMs) return { kind: "rearm", atMs };
  const failure = timedOut("START_TO_CLOSE_TIMEOUT", `the attempt ran longer than ${view.timeouts.startToCloseMs} ms`);
  const ended = { attempt: last.attempt, agentId: last.agentId, outputSequence: undefined };
  return { kind: "write", event: retryOrFail(view, failure, ended, undefined, nowMs, random) };
}
