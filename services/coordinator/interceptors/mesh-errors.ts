// Where the mesh's own errors become RPC errors: the one table of reasons and codes.

import { Code, type ConnectError, type Interceptor } from "@connectrpc/connect";
import { MeshError, type MeshErrorReason } from "../../../lib/core/mesh-error.ts";
import { withError } from "../../../lib/rpc/pushed-messages.ts";
import { richError, type RichErrorOptions } from "../../../lib/rpc/rich-error.ts";

const CODES: Readonly<Record<MeshErrorReason, Code>> = {
  INVALID_REQUEST: Code.InvalidArgument,
  PAYLOAD_TOO_LARGE: Code.InvalidArgument,
  CHECKSUM_MISMATCH: Code.InvalidArgument,
  TASK_NOT_FOUND: Code.NotFound,
  AGENT_NOT_FOUND: Code.NotFound,
  AGENT_ID_TAKEN: Code.AlreadyExists,
  AGENT_REVOKED: Code.PermissionDenied,
  BLOB_NOT_FOUND: Code.NotFound,
  QUEUE_NOT_FOUND: Code.NotFound,
  TASK_ALREADY_EXISTS: Code.AlreadyExists,
  TASK_NOT_CANCELABLE: Code.FailedPrecondition,
  TASK_NOT_DEAD: Code.FailedPrecondition,
  QUEUE_FULL: Code.ResourceExhausted,
  QUEUE_LIMIT: Code.ResourceExhausted,
  STORAGE_FULL: Code.ResourceExhausted,
  TOO_MANY_STREAMS: Code.ResourceExhausted,
  CURSOR_EXPIRED: Code.OutOfRange,
  CONFLICT: Code.Aborted,
  DRAINING: Code.Unavailable,
  BROKER_UNAVAILABLE: Code.Unavailable,
  INDEX_UNAVAILABLE: Code.Unavailable,
  WEBHOOK_ENDPOINT_NOT_FOUND: Code.NotFound,
  WEBHOOK_ENDPOINT_ALREADY_EXISTS: Code.AlreadyExists,
  WEBHOOK_ENDPOINT_LIMIT: Code.ResourceExhausted,
  WEBHOOK_DELIVERY_NOT_FOUND: Code.NotFound,
  WEBHOOKS_UNAVAILABLE: Code.Unavailable,
  BLOB_CORRUPT: Code.DataLoss,
  TASK_UNREADABLE: Code.DataLoss,
  CREDENTIAL_MISSING: Code.Unauthenticated,
  CREDENTIAL_INVALID: Code.Unauthenticated,
  ACTION_NOT_ALLOWED: Code.PermissionDenied,
  ACCESS_CHANGED: Code.Unavailable,
  ACCESS_UNAVAILABLE: Code.Unavailable,
  KEY_NOT_FOUND: Code.NotFound,
  KEY_LIMIT: Code.ResourceExhausted,
  AUDIT_UNAVAILABLE: Code.Unavailable,
  RATE_LIMITED: Code.ResourceExhausted,
};

/** What ends calls though nothing is out of order. */
const ON_PURPOSE: ReadonlySet<MeshErrorReason> = new Set(["DRAINING", "ACCESS_CHANGED"]);

/** The RPC code of a reason. */
export function codeOf(reason: MeshErrorReason): Code {
  return CODES[reason];
}

/** The RPC error that says what a mesh error says. */
export function rpcErrorOf(error: MeshError): ConnectError {
  const code = CODES[error.reason];
  const subject = error.metadata["subject"] ?? error.resource?.name ?? "mesh";
  const options: RichErrorOptions = {
    code,
    reason: error.reason,
    message: error.message,
    metadata: error.metadata,
    cause: error,
    ...(error.violations.length === 0 ? {} : { violations: error.violations }),
    ...(error.retryDelayMs === undefined ? {} : { retryDelayMs: error.retryDelayMs }),
    ...(error.resource === undefined ? {} : { resource: error.resource }),
    ...(code === Code.ResourceExhausted ? { quota: [{ subject, description: error.message }] } : {}),
    ...(code === Code.FailedPrecondition
      ? { preconditions: [{ type: error.reason, subject, description: error.message }] }
      : {}),
  };
  return richError(options);
}

/** A call, as interceptors see it. */
export type InterceptedCall = Parameters<ReturnType<Interceptor>>[0];

/**
 * Turns mesh errors into RPC errors, in unary answers and in streams. `onUnavailable` hears of those that are nobody's mistake, `onError`
 * of all.
 */
export function meshErrors(
  onUnavailable: (error: MeshError) => void,
  onError: (error: MeshError, call: InterceptedCall) => void = () => undefined,
): Interceptor {
  const translated = (error: unknown, call: InterceptedCall): unknown => {
    if (!(error instanceof MeshError)) return error;
    if (CODES[error.reason] === Code.Unavailable && !ON_PURPOSE.has(error.reason)) onUnavailable(error);
    onError(error, call);
    return rpcErrorOf(error);
  };
  return (next) => async (request) => {
    try {
      const response = await next(request);
      if (!response.stream) return response;
      return { ...response, message: withError(response.message, (error) => translated(error, request)) };
    } catch (error) {
      throw translated(error, request);
    }
  };
}
