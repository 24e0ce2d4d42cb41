// How work is taken from an agent that is shut out: its attempts end as if it had given them back, so that none of them is spent.

import { draft, type EventDraft, runningAttempt } from "./event.ts";
import { stateOf, type TaskView } from "./task.ts";

/** What is to be done about a task. */
export type TakeBackDecision =
  /** Write the event, then offer the dispatch to others. */
  | { readonly kind: "write"; readonly event: EventDraft }
  /** Nobody has recorded a start: offer the dispatch to others. Whoever else has just got it is fenced off if it is begun anew. */
  | { readonly kind: "offer" }
  /** It is not the agent's. */
  | { readonly kind: "leave" };

/** Decides about a task that an agent may be at work on, or may hold without having said so. */
export function decideTakeBack(view: TaskView, agentId: string): TakeBackDecision {
  const { last } = view;
  const state = stateOf(view);
  if (state === "submitted") return { kind: "offer" };
  if (last === undefined || state !== "working" || last.agentId !== agentId) return { kind: "leave" };
  // The agent was not asked for its last output, so the output log is fenced, too.
  return { kind: "write", event: draft(view, "submitted", { nextAttempt: last.attempt, ended: runningAttempt(view) }) };
}
