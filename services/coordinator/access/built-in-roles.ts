// The roles that there are without a policy file. A file may say something else of the same names.

import { type Action, ACTIONS, isAction } from "../../../lib/core/access/action.ts";
import type { Grant } from "../../../lib/core/access/principal.ts";

const ALLOWED: Readonly<Record<string, readonly Action[]>> = {
  admin: Object.keys(ACTIONS).filter(isAction),
  submitter: ["task:submit", "task:read", "task:cancel", "task:share", "blob:read", "blob:write"],
  agent: ["agent:register", "blob:read", "blob:write"],
  reader: ["task:read", "agent:read", "queue:read", "metrics:read", "blob:read", "webhook:read"],
};

/** Each role by its name: what it allows, with all tasks. */
export const BUILT_IN_ROLES: ReadonlyMap<string, Grant> = new Map(
  Object.entries(ALLOWED).map(([name, actions]) => [name, { actions: new Set(actions), taskTypes: ["*"], labels: {} }]),
);
