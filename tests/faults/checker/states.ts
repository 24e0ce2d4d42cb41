// The states of a task as its documentation draws them: said again here, so that an error in the product's own table is found.
import type { LoggedTask } from "../final-log.ts";

const NEXT: Readonly<Record<string, readonly string[]>> = {
  scheduled: ["submitted", "canceled", "timed_out"],
  submitted: ["working", "submitted", "backing_off", "completed", "failed", "canceled", "timed_out"],
  working: ["working", "submitted", "backing_off", "completed", "failed", "canceled", "timed_out"],
  // Only a new work item leads on from here, and that is a state of its own: submitted.
  backing_off: ["submitted", "canceled", "timed_out"],
  completed: [],
  failed: [],
  canceled: [],
  timed_out: [],
};

/** Whether nothing can follow a state. */
export function endsTask(state: string): boolean {
  return NEXT[state]?.length === 0;
}

/** Whether a task may go from one state into another. An unknown state leads nowhere. */
export function mayFollow(from: string, to: string): boolean {
  return NEXT[from]?.includes(to) ?? false;
}

/** What a task was between one message of its log and the next. */
export interface Standing {
  /** The sequence of the message by which it became so. */
  readonly sequence: number;
  /** Its state. More than one where the log does not say any more which it was. */
  readonly states: readonly string[];
  readonly attempt: number;
  readonly agentId: string;
}

/** The queue of delayed tasks, and the one to which the work items of tasks go that ended while they waited. */
export const DELAYED = "_delayed";
export const WITHDRAWN = "_withdrawn";

/** Everything that a task ever was, in order, as its log tells it. */
export function standingsOf({ dispatches, events }: LoggedTask): Standing[] {
  const steps: Standing[] = [];
  let current = { attempt: 0, agentId: "" };
  let ended = false;
  let offered = false;
  for (const message of inOrder(dispatches, events)) {
    const { sequence } = message.logged;
    if (message.kind === "event") {
      const { state, attempt, agentId } = message.logged;
      current = { attempt, agentId };
      ended ||= endsTask(state);
      steps.push({ sequence, states: [state], ...current });
    } else if (!ended) {
      steps.push({ sequence, states: waitingIn(message.logged.queue, offered), ...current });
      offered = true;
    }
  }
  return steps;
}

function waitingIn(queue: string, offered: boolean): readonly string[] {
  if (queue === DELAYED) return ["scheduled"];
  // The item itself is gone; its copy under the system queue does not say in which queue it was.
  return queue === WITHDRAWN && !offered ? ["scheduled", "submitted"] : ["submitted"];
}

/** A message of a task's chains. */
export type ChainMessage =
  | { readonly kind: "dispatch"; readonly logged: LoggedTask["dispatches"][number] }
  | { readonly kind: "event"; readonly logged: LoggedTask["events"][number] };

/**
 * The dispatches and events of a task as they were stored. A work item that was withdrawn is deleted, and a copy is kept under a system
 * queue that names its sequence; the copy takes its place here.
 */
export function inOrder(dispatches: LoggedTask["dispatches"], events: LoggedTask["events"]): ChainMessage[] {
  const standing = new Set(dispatches.map(({ sequence }) => sequence));
  const messages: ChainMessage[] = events.map((logged) => ({ kind: "event", logged }));
  for (const logged of dispatches) {
    const { queue, expected = 0 } = logged;
    if (queue !== WITHDRAWN) messages.push({ kind: "dispatch", logged });
    else if (!standing.has(expected)) messages.push({ kind: "dispatch", logged: { ...logged, sequence: expected } });
  }
  return messages.sort((a, b) => a.logged.sequence - b.logged.sequence);
}
