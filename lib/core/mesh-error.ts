// The closed set of errors that the mesh answers with. Where they become RPC codes is lib/rpc.

/** The reasons that callers can act on. */
export type MeshErrorReason =
  | "INVALID_REQUEST"
  | "PAYLOAD_TOO_LARGE"
  | "CHECKSUM_MISMATCH"
  | "TASK_NOT_FOUND"
  | "AGENT_NOT_FOUND"
  | "AGENT_ID_TAKEN"
  | "AGENT_REVOKED"
  | "BLOB_NOT_FOUND"
  | "QUEUE_NOT_FOUND"
  | "TASK_ALREADY_EXISTS"
  | "TASK_NOT_CANCELABLE"
  | "TASK_NOT_DEAD"
  | "QUEUE_FULL"
  | "QUEUE_LIMIT"
  | "STORAGE_FULL"
  | "TOO_MANY_STREAMS"
  | "CURSOR_EXPIRED"
  | "CONFLICT"
  | "DRAINING"
  | "BROKER_UNAVAILABLE"
  | "INDEX_UNAVAILABLE"
  | "WEBHOOK_ENDPOINT_NOT_FOUND"
  | "WEBHOOK_ENDPOINT_ALREADY_EXISTS"
  | "WEBHOOK_ENDPOINT_LIMIT"
  | "WEBHOOK_DELIVERY_NOT_FOUND"
  | "WEBHOOKS_UNAVAILABLE"
  | "BLOB_CORRUPT"
  | "TASK_UNREADABLE"
  | "CREDENTIAL_MISSING"
  | "CREDENTIAL_INVALID"
  | "ACTION_NOT_ALLOWED"
  | "ACCESS_CHANGED"
  | "ACCESS_UNAVAILABLE"
  | "KEY_NOT_FOUND"
  | "KEY_LIMIT"
  | "AUDIT_UNAVAILABLE"
  | "RATE_LIMITED";

/** One field that is not as it must be. */
export interface Violation {
  /** The path of the field from the request. */
  readonly field: string;
  /** What was wrong and what is allowed. */
  readonly description: string;
}

/** What may stand beside an error's reason. */
export interface MeshErrorOptions {
  /** The violations, for INVALID_REQUEST. */
  readonly violations?: readonly Violation[];
  /** What was not found or already exists. */
  readonly resource?: { readonly type: string; readonly name: string };
  /** How long to wait before trying again can help, in milliseconds. */
  readonly retryDelayMs?: number;
  /** More for programs. */
  readonly metadata?: Readonly<Record<string, string>>;
  /** What led to it. */
  readonly cause?: unknown;
}

/** An error that the caller of the mesh is told as it is. */
export class MeshError extends Error {
  override readonly name = "MeshError";
  /** The stable reason. */
  readonly reason: MeshErrorReason;
  /** The violations, for INVALID_REQUEST. */
  readonly violations: readonly Violation[];
  /** What was not found or already exists. */
  readonly resource: { readonly type: string; readonly name: string } | undefined;
  /** How long to wait before trying again can help, in milliseconds. */
  readonly retryDelayMs: number | undefined;
  /** More for programs. */
  readonly metadata: Readonly<Record<string, string>>;

  constructor(reason: MeshErrorReason, message: string, options: MeshErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.reason = reason;
    this.violations = options.violations ?? [];
    this.resource = options.resource;
    this.retryDelayMs = options.retryDelayMs;
    this.metadata = options.metadata ?? {};
  }
}

/** The error for a task of which the log holds what is no work item, or no event. */
export function taskUnreadable(cause?: unknown): MeshError {
  return new MeshError("TASK_UNREADABLE", "what the log holds of the task can't be read", { cause });
}

/** Whether an error says that the log holds what can't be read: trying again does not help. */
export function isUnreadable(error: unknown): boolean {
  return error instanceof MeshError && error.reason === "TASK_UNREADABLE";
}

/** The error for a task that is not there. */
export function taskNotFound(taskId: string): MeshError {
  return new MeshError("TASK_NOT_FOUND", `no task ${JSON.stringify(taskId)}`, {
    resource: { type: "mycel.v1.Task", name: taskId },
  });
}
