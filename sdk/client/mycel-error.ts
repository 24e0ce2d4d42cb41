// The errors of the client: every call that does not succeed ends in one of these. Decides nothing about retries.
import type { Message } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import type { ItemError } from "../../gen/mycel/v1/agent_service_pb.ts";
import type { TaskState } from "../../lib/core/task-state.ts";
import { readDetails } from "../../lib/rpc/rich-error.ts";
import { msFromDuration } from "../../lib/wire/time-codec.ts";

/** The codes of Connect and gRPC, spelled as Connect does. */
export type ErrorCode =
  | "canceled"
  | "unknown"
  | "invalid_argument"
  | "deadline_exceeded"
  | "not_found"
  | "already_exists"
  | "permission_denied"
  | "resource_exhausted"
  | "failed_precondition"
  | "aborted"
  | "out_of_range"
  | "unimplemented"
  | "internal"
  | "unavailable"
  | "data_loss"
  | "unauthenticated";

const CODE_NAMES: ReadonlyMap<number, ErrorCode> = new Map([
  [Code.Canceled, "canceled"],
  [Code.Unknown, "unknown"],
  [Code.InvalidArgument, "invalid_argument"],
  [Code.DeadlineExceeded, "deadline_exceeded"],
  [Code.NotFound, "not_found"],
  [Code.AlreadyExists, "already_exists"],
  [Code.PermissionDenied, "permission_denied"],
  [Code.ResourceExhausted, "resource_exhausted"],
  [Code.FailedPrecondition, "failed_precondition"],
  [Code.Aborted, "aborted"],
  [Code.OutOfRange, "out_of_range"],
  [Code.Unimplemented, "unimplemented"],
  [Code.Internal, "internal"],
  [Code.Unavailable, "unavailable"],
  [Code.DataLoss, "data_loss"],
  [Code.Unauthenticated, "unauthenticated"],
]);

/** One field of a request that is not as it must be. */
export interface Violation {
  /** The path of the field, e.g. `tasks[3].priority`. */
  readonly field: string;
  /** What was wrong and what is allowed. */
  readonly description: string;
}

/** What may stand beside an error's code. */
export interface MycelErrorOptions {
  /** The stable reason. */
  readonly reason?: string | undefined;
  /** The fields that are not as they must be. */
  readonly violations?: readonly Violation[];
  /** How long to wait before the same call may succeed, in milliseconds. */
  readonly retryDelayMs?: number | undefined;
  /** More for programs. */
  readonly metadata?: Readonly<Record<string, string>>;
  /** Whether it is certain that nothing was begun. */
  readonly unaccepted?: boolean;
  /** What led to it: usually the ConnectError. */
  readonly cause?: unknown;
}

/** A call that did not succeed. A task's own failure is a {@link TaskFailedError} instead. */
export class MycelError extends Error {
  override readonly name = "MycelError";
  /** The code, for deciding what to do. */
  readonly code: ErrorCode;
  /**
   * The stable UPPER_SNAKE reason, e.g. `TASK_NOT_FOUND`; undefined if the server gave none. The client's own reasons: `INVALID_OPTION`,
   * `CLIENT_CLOSED`, `CONNECTION_LOST`, `CIRCUIT_OPEN`, `SEQUENCE_GAP`, `WAIT_TIMEOUT`, `CHECKSUM_MISMATCH`.
   */
  readonly reason: string | undefined;
  /** The fields that are not as they must be; empty unless the code is `invalid_argument`. */
  readonly violations: readonly Violation[];
  /** How long to wait before the same call may succeed, in milliseconds; undefined if the server did not say. */
  readonly retryDelayMs: number | undefined;
  /** More for programs, from the server's ErrorInfo. */
  readonly metadata: Readonly<Record<string, string>>;
  /**
   * True if it is certain that no coordinator took the call up: none was reached, or every one refused. False if that is not known, as when
   * an answer was lost.
   */
  readonly unaccepted: boolean;

  constructor(code: ErrorCode, message: string, options: MycelErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.reason = options.reason;
    this.violations = options.violations ?? [];
    this.retryDelayMs = options.retryDelayMs;
    this.metadata = options.metadata ?? {};
    this.unaccepted = options.unaccepted ?? false;
  }
}

/** What {@link TaskFailedError} says about the task. */
export interface TaskFailureFacts {
  /** The task. */
  readonly taskId: string;
  /** How it ended. */
  readonly state: Exclude<TaskState, "completed">;
  /** A stable word for programs, e.g. `HANDLER_ERROR`; `CANCELED` for a canceled task. */
  readonly reason: string;
  /** One sentence, from the handler or the mesh. */
  readonly message: string;
  /** The attempt that failed, from 1; 0 if none was running. */
  readonly attempt: number;
  /** More for whoever debugs, usually a stack trace; may be empty. */
  readonly details: string;
}

/** A task that ended without a result. The call itself went well. */
export class TaskFailedError extends Error {
  override readonly name = "TaskFailedError";
  /** The task. */
  readonly taskId: string;
  /** How it ended. */
  readonly state: Exclude<TaskState, "completed">;
  /** A stable word for programs, e.g. `HANDLER_ERROR`; `CANCELED` for a canceled task. */
  readonly reason: string;
  /** The attempt that failed, from 1; 0 if none was running. */
  readonly attempt: number;
  /** More for whoever debugs, usually a stack trace of the handler; may be empty. */
  readonly details: string;

  constructor(facts: TaskFailureFacts) {
    const how = facts.state.replace("_", " ");
    const why = facts.message === "" ? facts.reason : facts.message;
    super(`task ${facts.taskId} ${how}${why === "" ? "" : `: ${why}`}`);
    this.taskId = facts.taskId;
    this.state = facts.state;
    this.reason = facts.reason;
    this.attempt = facts.attempt;
    this.details = facts.details;
  }
}

/** The error for an option or argument that is not as it must be. */
export function invalidOption(name: string, description: string, cause?: unknown): MycelError {
  return new MycelError("invalid_argument", `${name} ${description}`, {
    reason: "INVALID_OPTION",
    violations: [{ field: name, description }],
    cause,
  });
}

/** Turns whatever a call threw into a MycelError; one that is one already stays as it is. */
export function toMycelError(error: unknown): MycelError {
  if (error instanceof MycelError) return error;
  if (error instanceof DOMException && error.name === "TimeoutError") {
    return new MycelError("deadline_exceeded", "the call's time is up", { cause: error });
  }
  if (error instanceof DOMException && error.name === "AbortError") {
    return new MycelError("canceled", "the call was canceled", { cause: error });
  }
  const failure = ConnectError.from(error);
  const details = readDetails(failure);
  const code = CODE_NAMES.get(failure.code) ?? "unknown";
  return new MycelError(code, failure.rawMessage === "" ? code.replaceAll("_", " ") : failure.rawMessage, {
    reason: details.reason,
    violations: details.violations,
    retryDelayMs: details.retryDelayMs,
    metadata: details.metadata,
    cause: error,
  });
}

/** The same error, with what is known of the call now. */
export function withAcceptance(error: MycelError, unaccepted: boolean): MycelError {
  if (error.unaccepted === unaccepted) return error;
  const { code, message, reason, violations, retryDelayMs, metadata, cause } = error;
  return new MycelError(code, message, { reason, violations, retryDelayMs, metadata, cause, unaccepted });
}

/** The error that a signal stands for. */
export function abortError(signal: AbortSignal): MycelError {
  const reason: unknown = signal.reason;
  return reason instanceof Error
    ? canceledBy(reason)
    : new MycelError("canceled", "the call was canceled", { cause: reason });
}

/** The error for one item of a batch or of a stream of submissions. */
export function itemError(error: Omit<ItemError, keyof Message>): MycelError {
  return new MycelError(CODE_NAMES.get(error.code) ?? "unknown", error.message, {
    reason: error.reason === "" ? undefined : error.reason,
    violations: error.violations.map(({ field, description }) => ({ field, description })),
    retryDelayMs: msFromDuration(error.retryDelay),
  });
}

function canceledBy(reason: Error): MycelError {
  if (reason instanceof DOMException || reason instanceof MycelError) return toMycelError(reason);
  return new MycelError("canceled", `the call was canceled: ${reason.message}`, { cause: reason });
}
