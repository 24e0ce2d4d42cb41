// Which calls the audit log is told of, at each level, and which of them have to wait until it has stored that. By the action that a call
// needs, so that whether one is recorded can be decided once for each method.

import type { Action } from "../access/action.ts";

/**
 * What is recorded: nothing; refusals; refusals and what changes something except the mesh's daily work; everything.
 *
 * At `changes` and `all`, what happens to credentials, agents and keys is recorded, too.
 */
export type AuditLevel = "off" | "refusals" | "changes" | "all";

/** All levels, from the least. */
export const AUDIT_LEVELS: readonly AuditLevel[] = ["off", "refusals", "changes", "all"];

/** What an action is to the audit log: a look, the mesh's daily work, a change, or a change of what the mesh is and who may do what in it. */
type Weight = "read" | "work" | "change" | "administration";

const WEIGHTS: Readonly<Record<Action, Weight>> = {
  "task:submit": "work",
  "task:read": "read",
  "task:cancel": "change",
  "task:share": "change",
  "agent:register": "change",
  "agent:read": "read",
  "agent:revoke": "administration",
  "queue:read": "read",
  "queue:admin": "administration",
  "blob:read": "read",
  "blob:write": "work",
  "metrics:read": "read",
  "webhook:read": "read",
  "webhook:admin": "administration",
  "key:admin": "administration",
  "audit:read": "read",
};

const CHANGES: ReadonlySet<Weight> = new Set(["change", "administration"]);

/** Whether allowed calls that need an action are recorded; undefined is for what needs none, such as a credential that was issued. */
export function isAudited(level: AuditLevel, action: Action | undefined): boolean {
  if (level === "all") return true;
  return level === "changes" && (action === undefined || CHANGES.has(WEIGHTS[action]));
}

/**
 * Whether an allowed call may only begin once its entry is stored: administration must not happen unseen. Agents come and go, and tasks are
 * canceled, whether or not that can be recorded: what has to be recorded must not be a means to stop the mesh.
 */
export function waitsForAudit(action: Action): boolean {
  return WEIGHTS[action] === "administration";
}
