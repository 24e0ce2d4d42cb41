// A policy of a few lines, for tests that are not about the policy's file.
import type { Action } from "../../lib/core/access/action.ts";
import { ACTIONS, isAction } from "../../lib/core/access/action.ts";
import type { Grant } from "../../lib/core/access/principal.ts";
import { DEFAULT_TENANT } from "../../lib/core/names.ts";
import type { Policy } from "../../services/coordinator/access/policy.ts";

const ROLES: Readonly<Record<string, readonly Action[]>> = {
  admin: Object.keys(ACTIONS).filter(isAction),
  submitter: ["task:submit", "task:read", "task:cancel"],
  reader: ["task:read"],
};

/** What a role of the fake policy allows: admin everything, submitter and reader what their names say. */
export function grantOf(role: string): Grant {
  return { actions: new Set(ROLES[role]), taskTypes: ["*"], labels: {} };
}

/** A policy with these bindings, by `<kind>:<id>`, in a tenant; whoever is not named has no roles. */
export function policyOf(
  bindings: Readonly<Record<string, readonly string[]>> = {},
  tenant: string = DEFAULT_TENANT,
): Policy {
  return {
    bindingOf: ({ kind, id }) => ({ tenant, roles: bindings[`${kind}:${id}`] ?? [] }),
    grantsOf: (roles) => roles.filter((role) => Object.hasOwn(ROLES, role)).map(grantOf),
  };
}
