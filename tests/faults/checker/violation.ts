// What a broken promise looks like: which invariant, which rule of it, what was promised and found, and what it is seen by.
import type { HistoryEntry } from "../history.ts";
import type { Logged } from "../final-log.ts";

/** The invariants that the checker knows: DESIGN's 1 to 5, and that everything comes to an end. */
export type Invariant = 1 | 2 | 3 | 4 | 5 | "liveness";

/** What each invariant says. */
export const INVARIANTS: Readonly<Record<Invariant, string>> = {
  1: "an accepted task is never lost",
  2: "a task has one terminal state, for ever",
  3: "one attempt at a time moves a task",
  4: "readers see everything once, in order",
  5: "attempts stay within the policy",
  liveness: "every task ends",
};

/** An entry of the history or a message of the log that shows a violation. */
export type Exhibit = HistoryEntry | Logged;

/** A violation as a rule finds it. */
export interface Finding {
  readonly invariant: Invariant;
  /** The rule, in snake_case. */
  readonly rule: string;
  /** What was promised and what was found instead, in one sentence. */
  readonly message: string;
  /** What shows it, most telling first. */
  readonly exhibits: readonly Exhibit[];
}

/** A violation with its counterexample. */
export interface Violation extends Omit<Finding, "exhibits"> {
  readonly taskId: string;
  /** The lines of history and log around it, in the order of time; those that show it begin with `>`. */
  readonly counterexample: readonly string[];
}
