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

/** What an action is to the audit log: a look, the mesh's daily work, or a change of what the mesh is. */
type Weight = "read" | "work" | "change";

const WEIGHTS: Readonly<Record<Action, Weight>> = {
  "task:submit": "work",
  "task:read": "read",
  "task:cancel": "change",
  "task:share": "change",
  "agent:register": "change",
  "agent:read": "read",
  "agent:revoke": "change",
  "queue:read": "read",
  "queue:admin": "change",
  "blob:read": "read",
  "blob:write": "work",
  "metrics:read": "read",
  "webhook:read": "read",
  "webhook:admin": "change",
  "key:admin": "change",
  "audit:read": "read",
};

/** Whether allowed calls that need an action are recorded; undefined is for what needs none, such as a credential that was issued. */
export function isAudited(level: AuditLevel, action: Action | undefined): boolean {
  if (level === "all") return true;
  return level === "changes" && (action === undefined || WEIGHTS[action] === "change");
}

/** Whether an allowed call may only begin once its entry is stored: what changes the mesh must not happen unseen. */
export function waitsForAudit(action: Action): boolean {
  return WEIGHTS[action] === "change";
}
