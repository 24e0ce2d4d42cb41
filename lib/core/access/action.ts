// What can be done in the mesh, as policies name it. Which call needs which action is decided where calls are guarded.

/** The name of an action. */
export type Action =
  | "task:submit"
  | "task:read"
  | "task:cancel"
  | "task:share"
  | "agent:register"
  | "agent:read"
  | "agent:revoke"
  | "queue:read"
  | "queue:admin"
  | "blob:read"
  | "blob:write"
  | "metrics:read"
  | "webhook:read"
  | "webhook:admin"
  | "key:admin"
  | "audit:read";

/** Every action, with what it allows. */
export const ACTIONS: Readonly<Record<Action, string>> = {
  "task:submit": "submit tasks, and redrive dead letters",
  "task:read": "read tasks with their inputs, results and streams; list, count and watch them",
  "task:cancel": "cancel tasks",
  "task:share": "issue tokens that read one task",
  "agent:register": "register and deregister agents, and work as one",
  "agent:read": "read, list and watch agents",
  "agent:revoke": "revoke agents, and let them in again",
  "queue:read": "read and list queues",
  "queue:admin": "pause, resume and purge queues",
  "blob:read": "download blobs",
  "blob:write": "upload blobs",
  "metrics:read": "read and watch metrics",
  "webhook:read": "read webhook endpoints and their deliveries",
  "webhook:admin": "create, change, test and delete webhook endpoints; rotate their secrets; deliver again",
  "key:admin": "create, list and revoke API keys",
  "audit:read": "read the audit log",
};

/** Whether a text names an action. */
export function isAction(text: string): text is Action {
  return Object.hasOwn(ACTIONS, text);
}
