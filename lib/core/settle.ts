// How an attempt's end moves the task: completed, failed, backing off, handed back, canceled.

import { draft, type EndedAttempt, type EventDraft, runningAttempt } from "./event.ts";
import { backoffMs, mayRetry } from "./retry-policy.ts";
import { type Failure, fenceOf, isUnseen, stateOf, type TaskView, unseenAttempt } from "./task.ts";
import { isTerminal } from "./task-state.ts";

/** What an agent says of the attempt that it holds. */
export interface SettleCommand {
  readonly agentId: string;
  readonly attempt: number;
  /** The fencing token that the agent holds. */
  readonly fence: number;
  /** The stream sequence of the dispatch that was delivered. */
  readonly dispatchSequence: number;
  /** How often the dispatch had been delivered, this time included: before a later one, an earlier one may have run unseen. */
  readonly deliveries: number;
  readonly startMs: number | undefined;
  /** The stream sequence of the attempt's last output, 0 for none. */
  readonly outputSequence: number;
  readonly operationId: string;
  readonly outcome: SettleOutcome;
}

/** How the attempt ended. Completion needs no view of the task and is decided by `completion`. */
export type SettleOutcome =
  | { readonly kind: "fail"; readonly failure: Failure }
  | { readonly kind: "retry_after"; readonly delayMs: number; readonly failure: Failure }
  | { readonly kind: "snooze"; readonly delayMs: number }
  | { readonly kind: "hand_back"; readonly started: boolean };

/** The answer to an agent that reports the end of an attempt. */
export type SettleDecision =
  | { readonly kind: "write"; readonly event: EventDraft }
  /** It stands already. */
  | { readonly kind: "written"; readonly fence: number }
  /** There is nothing to write; offer the delivery to others. */
  | { readonly kind: "let_go"; readonly fence: number }
  | { readonly kind: "lease_lost" };

/** The event of a completed attempt. Whether it counts is decided by the compare-and-set on the agent's fencing token alone. */
export function completion(command: Omit<SettleCommand, "outcome" | "operationId" | "fence">): EventDraft {
  return {
    state: "completed",
    attempt: command.attempt,
    nextAttempt: 0,
    agentId: command.agentId,
    attemptStartMs: command.startMs,
    nextAttemptMs: undefined,
    failure: undefined,
    cancelReason: "",
    ended: { attempt: command.attempt, agentId: command.agentId, outputSequence: command.outputSequence },
    dispatchSequence: command.dispatchSequence,
    deliveries: command.deliveries,
  };
}

/** Decides what the end of an attempt does. */
export function decideSettle(view: TaskView, command: SettleCommand, nowMs: number, random: number): SettleDecision {
  const { last, dispatch } = view;
  if (last?.operationId === command.operationId) return { kind: "written", fence: last.sequence };
  if (letsGo(view, command)) return { kind: "let_go", fence: fenceOf(view) };
  if (fenceOf(view) !== command.fence || !holds(view, command)) return { kind: "lease_lost" };
  const ended = { attempt: command.attempt, agentId: command.agentId, outputSequence: command.outputSequence };
  const ran = {
    attempt: command.attempt,
    agentId: command.agentId,
    // A report that does not say when the attempt started must not erase what `begin` has recorded.
    attemptStartMs: command.startMs ?? (isUnseen(view) ? undefined : last?.attemptStartMs),
    deliveries: command.deliveries,
    ended,
  };
  // A number that was given out and not used is free again; one that somebody may have used unseen is not.
  const nextAttempt = isUnseen(view) ? unseenAttempt(dispatch, command.deliveries > 1) : command.attempt;
  const { outcome } = command;
  switch (outcome.kind) {
    case "fail":
      return {
        kind: "write",
        event: { ...retryOrFail(view, outcome.failure, ended, undefined, nowMs, random), ...ran },
      };
    case "retry_after": {
      // Whoever asks for another attempt means it, whatever the failure says of itself.
      const failure = { ...outcome.failure, retryable: true };
      return {
        kind: "write",
        event: { ...retryOrFail(view, failure, ended, outcome.delayMs, nowMs, random), ...ran },
      };
    }
    case "snooze": {
      const event = draft(view, "backing_off", {
        ...ran,
        nextAttempt,
        nextAttemptMs: nowMs + outcome.delayMs,
      });
      return { kind: "write", event };
    }
    case "hand_back": {
      // An attempt that never started leaves no trace of itself but the number that is free again. One that was begun may have streamed,
      // whatever its agent says of it, and readers who were told so must be told where its outputs end.
      const event =
        outcome.started || !isUnseen(view)
          ? draft(view, "submitted", { ...ran, nextAttempt })
          : draft(view, "submitted", { nextAttempt, deliveries: command.deliveries });
      return { kind: "write", event };
    }
  }
}

/**
 * Whether an agent gives back, unstarted, what was handed back before: nobody is at work, and the number of the next attempt stands. So
 * it goes when a draining agent is offered its own delivery again.
 */
function letsGo(view: TaskView, { outcome, dispatchSequence }: SettleCommand): boolean {
  if (outcome.kind !== "hand_back" || outcome.started || dispatchSequence !== view.dispatch.sequence) return false;
  return view.last?.state === "submitted" && !isUnseen(view);
}

/** Whether the token that matches can be this agent's: the running attempt's owner, or the holder of an unseen first delivery. */
function holds(view: TaskView, command: SettleCommand): boolean {
  const { last, dispatch } = view;
  const state = stateOf(view);
  if (isTerminal(state) || state === "scheduled") return false;
  if (last === undefined || isUnseen(view)) {
    // The same number and token were an earlier task's too, if its id is used anew.
    return command.attempt === dispatch.attempt && command.dispatchSequence === dispatch.sequence;
  }
  return last.state === "working" && last.agentId === command.agentId && last.attempt === command.attempt;
}

/** The event after a failed attempt: another attempt after a wait, or the end. */
export function retryOrFail(
  view: TaskView,
  failure: Failure,
  ended: EndedAttempt,
  delayMs: number | undefined,
  nowMs: number,
  random: number,
): EventDraft {
  if (!mayRetry(view.policy, ended.attempt, failure.retryable, failure.reason)) {
    return draft(view, "failed", { failure, ended });
  }
  return draft(view, "backing_off", {
    nextAttempt: ended.attempt + 1,
    nextAttemptMs: nowMs + (delayMs ?? backoffMs(view.policy, ended.attempt, random)),
    failure,
    ended,
  });
}

/** The answer to a cancellation. */
export type CancelDecision =
  | { readonly kind: "write"; readonly event: EventDraft }
  | { readonly kind: "canceled" }
  | { readonly kind: "not_cancelable" };

/** Decides what a cancellation does. */
export function decideCancel(view: TaskView, reason: string): CancelDecision {
  const state = stateOf(view);
  if (state === "canceled") return { kind: "canceled" };
  if (isTerminal(state)) return { kind: "not_cancelable" };
  return { kind: "write", event: draft(view, "canceled", { cancelReason: reason, ended: runningAttempt(view) }) };
}
