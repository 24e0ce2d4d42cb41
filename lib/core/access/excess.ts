// Whether some grants go beyond others: nobody can give away what it does not have.

import type { Action } from "./action.ts";
import { matchesGlob } from "./glob.ts";
import type { Grant } from "./principal.ts";

/** An action that `wanted` allow and `own` don't, or not with all the same tasks; undefined if there is none. */
export function excessOf(own: readonly Grant[], wanted: readonly Grant[]): Action | undefined {
  for (const { actions, taskTypes, labels } of wanted) {
    for (const action of actions) {
      // Each pattern by itself: one grant may be about some types, another about the rest.
      const isOwn = taskTypes.every((pattern) =>
        own.some((grant) => grant.actions.has(action) && isAbout(grant, pattern, labels)),
      );
      if (!isOwn) return action;
    }
  }
  return undefined;
}

/** Whether a grant is about all tasks whose type matches a pattern and that carry these labels. */
function isAbout(grant: Grant, pattern: string, labels: Readonly<Record<string, string>>): boolean {
  return (
    // No type has a `*` in its name, so whatever matches the pattern as it is written matches everything that matches the pattern.
    grant.taskTypes.some((own) => matchesGlob(own, pattern)) &&
    Object.entries(grant.labels).every(([key, value]) => Object.hasOwn(labels, key) && labels[key] === value)
  );
}
