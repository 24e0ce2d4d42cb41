// What the processes of the mesh itself may do on the bus. A coordinator owns the streams of its account; what it hears there must come
// from the broker, other coordinators or agents, and what it says must be what a coordinator has to say.

/** Subjects that a user may publish to, and subscribe to. */
export interface Permissions {
  readonly publish: readonly string[];
  readonly subscribe: readonly string[];
}

/** A coordinator, with its index and whatever else runs in its process. */
export const COORDINATOR_PERMISSIONS: Permissions = {
  publish: [
    "task.>",
    "timer.>",
    "out.>",
    "webhook.>",
    "audit.>",
    // What buckets of keys and of objects store.
    "$KV.>",
    "$O.>",
    "mycel.index.>",
    "mycel.role.>",
    "mycel.webhooks.>",
    "mycel.signal.>",
    // The account is the mesh's alone: all streams in it are.
    "$JS.API.>",
    "$JS.ACK.>",
    "$JS.FC.>",
    // Answers to other coordinators, and to agents in their own account.
    "_INBOX.>",
    "_R_.>",
  ],
  subscribe: [
    "_INBOX.>",
    "mycel.agent.*.*.*",
    "mycel.index.>",
    "mycel.role.>",
    "mycel.webhooks.>",
    "live.>",
    "hooked.>",
    "audited.>",
    // Every dispatch as it is sent to be stored.
    "task.*.*.q.*.*",
    "$JS.EVENT.ADVISORY.STREAM.LEADER_ELECTED.*",
  ],
};

/** Whoever pushes the accounts' JWTs to the servers, and asks what they have. */
export function claimsPermissions(account: string): Permissions {
  return {
    publish: ["$SYS.REQ.CLAIMS.UPDATE", `$SYS.REQ.ACCOUNT.${account}.CLAIMS.LOOKUP`],
    subscribe: ["_INBOX.>"],
  };
}
