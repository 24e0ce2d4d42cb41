// May this agent start this delivery, and as which attempt? The one place where attempts are counted.

import { agentLost, deliveriesSeen, draft, type EndedAttempt, type EventDraft, runningAttempt } from "./event.ts";
import { START_TO_CLOSE_GRACE_MS, timeOutTask } from "./expire.ts";
import { fenceOf, isUnseen, passedDeadline, stateOf, type TaskView, unseenAttempt } from "./task.ts";
import { isTerminal } from "./task-state.ts";

/** An agent that wants to start, or has just started. */
export interface BeginCommand {
  readonly agentId: string;
  /** The stream sequence of the dispatch that was delivered. */
  readonly dispatchSequence: number;
  /** Whether the delivery is not a first one, or may be stale. */
  readonly redelivery: boolean;
  /** How often the dispatch has been delivered, this time included. */
  readonly deliveries: number;
  /** The token and attempt that the agent holds; only looked at on a first delivery. */
  readonly fence: number;
  readonly attempt: number;
  readonly startMs: number | undefined;
  /** Names this operation, so that a repetition is recognised. */
  readonly operationId: string;
}

/** Why there is nothing to do with a delivery. */
export type DropReason = "TASK_ENDED" | "STALE_DISPATCH" | "ATTEMPTS_SPENT";

/** The answer to an agent that wants to start. */
export type BeginDecision =
  /** Write the event; once it stands, the attempt is the agent's. */
  | { readonly kind: "start"; readonly event: EventDraft }
  /** It stands already. */
  | { readonly kind: "started"; readonly fence: number; readonly attempt: number }
  /** Acknowledge the delivery; write the event first if there is one. */
  | { readonly kind: "drop"; readonly reason: DropReason; readonly event: EventDraft | undefined }
  /** The attempt is no longer the agent's. */
  | { readonly kind: "lease_lost" };

/** Decides whether an attempt starts. */
export function decideBegin(view: TaskView, command: BeginCommand, nowMs: number): BeginDecision {
  const { last, dispatch } = view;
  if (last !== undefined && isTerminal(last.state)) return drop("TASK_ENDED");
  if (last?.operationId === command.operationId && last.state === "working") {
    return { kind: "started", fence: last.sequence, attempt: last.attempt };
  }
  const waits = stateOf(view);
  if (command.dispatchSequence !== dispatch.sequence || waits === "scheduled" || waits === "backing_off") {
    return drop("STALE_DISPATCH");
  }
  if (!command.redelivery) {
    const held = isUnseen(view) && fenceOf(view) === command.fence && command.attempt === dispatch.attempt;
    return held ? start(view, command, dispatch.attempt, undefined, nowMs) : { kind: "lease_lost" };
  }
  // A later delivery was heard of already: its lease must not be taken away by one that is over.
  if (command.deliveries <= deliveriesSeen(view)) return { kind: "lease_lost" };
  const expired = passedDeadline(view, nowMs);
  if (expired !== undefined) return drop("TASK_ENDED", timeOutTask(view, expired.kind));
  if (last === undefined || isUnseen(view)) {
    return start(view, command, unseenAttempt(dispatch, true), undefined, nowMs);
  }
  if (last.state === "working") {
    const lost = runningAttempt(view);
    if (last.attempt < view.policy.maximumAttempts) return start(view, command, last.attempt + 1, lost, nowMs);
    return drop("ATTEMPTS_SPENT", draft(view, "failed", { failure: agentLost(last.agentId), ended: lost }));
  }
  // Handed back without an attempt spent.
  return start(view, command, last.nextAttempt, undefined, nowMs);
}

function drop(reason: DropReason, event?: EventDraft): BeginDecision {
  return { kind: "drop", reason, event };
}

function start(
  view: TaskView,
  command: BeginCommand,
  attempt: number,
  ended: EndedAttempt | undefined,
  nowMs: number,
): BeginDecision {
  return {
    kind: "start",
    event: draft(view, "working", {
      attempt,
      nextAttempt: attempt + 1,
      agentId: command.agentId,
      deliveries: command.deliveries,
      attemptStartMs: startMsOf(command, nowMs),
      failure: ended === undefined ? undefined : agentLost(ended.agentId),
      ended,
    }),
  };
}

/**
 * When the attempt started. The limit of the attempt is counted from it, so the agent's clock is believed only as far as the grace
 * reaches: an agent whose clock is wrong neither loses its attempts early nor keeps them for longer.
 */
function startMsOf({ startMs }: BeginCommand, nowMs: number): number {
  return Math.min(nowMs, Math.max(startMs ?? nowMs, nowMs - START_TO_CLOSE_GRACE_MS));
}
