// What is written next: drafts of events, and the failures that the mesh itself gives.

import type { Failure, TaskView } from "./task.ts";
import type { TaskState } from "./task-state.ts";

/** An event before it is stored. */
export interface EventDraft {
  readonly state: TaskState;
  readonly attempt: number;
  readonly nextAttempt: number;
  readonly agentId: string;
  readonly attemptStartMs: number | undefined;
  readonly nextAttemptMs: number | undefined;
  readonly failure: Failure | undefined;
  readonly cancelReason: string;
  /** The attempt that this event ends, if it ends one. */
  readonly ended: EndedAttempt | undefined;
  readonly dispatchSequence: number;
  /** How often that dispatch had been delivered. */
  readonly deliveries: number;
}

/** An attempt that is over. */
export interface EndedAttempt {
  readonly attempt: number;
  readonly agentId: string;
  /**
   * The sequence of its last output as the agent itself said it; undefined if the agent was not asked, and the output log must be
   * fenced and read.
   */
  readonly outputSequence: number | undefined;
}

/** The attempt that runs, as far as the log knows: it must be fenced by whatever ends it without the agent. */
export function runningAttempt(view: TaskView): EndedAttempt | undefined {
  const { last } = view;
  if (last === undefined || last.state !== "working") return undefined;
  return { attempt: last.attempt, agentId: last.agentId, outputSequence: undefined };
}

/** How often the newest dispatch had been delivered when last something was recorded of it. */
export function deliveriesSeen({ last, dispatch }: TaskView): number {
  return last?.dispatchSequence === dispatch.sequence ? last.deliveries : 0;
}

/** An event that carries on what the log knows, with the state and the differences given. */
export function draft(view: TaskView, state: TaskState, change: Partial<EventDraft>): EventDraft {
  return {
    state,
    attempt: view.last?.attempt ?? 0,
    nextAttempt: 0,
    agentId: view.last?.agentId ?? "",
    attemptStartMs: view.last?.attemptStartMs,
    nextAttemptMs: undefined,
    failure: undefined,
    cancelReason: "",
    ended: undefined,
    dispatchSequence: view.dispatch.sequence,
    deliveries: deliveriesSeen(view),
    ...change,
  };
}

/** The failure of an attempt whose agent went silent. */
export function agentLost(agentId: string): Failure {
  return {
    message: `agent ${agentId} went silent and its lease ended`,
    reason: "AGENT_LOST",
    retryable: true,
    source: "mesh",
    details: "",
  };
}

/** The failure of what ran into a time limit. */
export function timedOut(reason: string, message: string): Failure {
  return { message, reason, retryable: reason === "START_TO_CLOSE_TIMEOUT", source: "timeout", details: "" };
}
