// Every task that stands in the log ends by the end of the history, whether its client was told of its acceptance or not.
import type { Evidence } from "./evidence.ts";
import { endOf } from "./terminal-states.ts";
import type { Finding } from "./violation.ts";

/** Judges whether one task has ended. */
export function checkLiveness({ taskId, logged }: Evidence): Finding[] {
  if (logged === undefined || logged.dispatches.length === 0 || endOf(logged) !== undefined) return [];
  const last = logged.events.at(-1);
  const state = last === undefined ? "without any event" : `${last.state} at attempt ${last.attempt}`;
  const exhibits = [last ?? logged.dispatches.at(-1)].filter((exhibit) => exhibit !== undefined);
  return [{ invariant: "liveness", rule: "not_ended", message: `${taskId} has not ended: it is ${state}`, exhibits }];
}
