// The states of a task and which may follow which. The drawing is docs/task-states.md; a test compares the two.

/** A task's state, as the log and the rules name it. */
export type TaskState =
  | "submitted"
  | "scheduled"
  | "working"
  | "backing_off"
  | "completed"
  | "failed"
  | "canceled"
  | "timed_out";

/** Every state, in the order of a task's life. */
export const TASK_STATES: readonly TaskState[] = [
  "scheduled",
  "submitted",
  "working",
  "backing_off",
  "completed",
  "failed",
  "canceled",
  "timed_out",
];

const TERMINAL: ReadonlySet<TaskState> = new Set<TaskState>(["completed", "failed", "canceled", "timed_out"]);

/** Whether nothing can follow the state. */
export function isTerminal(state: TaskState): boolean {
  return TERMINAL.has(state);
}

/** Whether a task that ended so can be redriven. */
export function isDeadLetter(state: TaskState): boolean {
  return state === "failed" || state === "timed_out";
}

const NEXT: Readonly<Record<TaskState, readonly TaskState[]>> = {
  // A lazily started attempt may end before anybody wrote `working`, hence the direct ways into the ends.
  scheduled: ["submitted", "canceled", "timed_out"],
  submitted: ["working", "submitted", "backing_off", "completed", "failed", "canceled", "timed_out"],
  // `working` follows itself when the lease went over to another agent.
  working: ["working", "submitted", "backing_off", "completed", "failed", "canceled", "timed_out"],
  backing_off: ["submitted", "working", "backing_off", "completed", "failed", "canceled", "timed_out"],
  completed: [],
  failed: [],
  canceled: [],
  timed_out: [],
};

/** Whether a task may go from one state into another. */
export function canFollow(from: TaskState, to: TaskState): boolean {
  return NEXT[from].includes(to);
}
