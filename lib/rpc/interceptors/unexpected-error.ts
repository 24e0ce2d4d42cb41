// A server interceptor that keeps what a client must not see (messages, stacks of unforeseen errors) on this side, and
// gives both sides a request id to talk about. It must not touch errors that a handler raised on purpose.
import { randomUUID } from "node:crypto";
import { Code, ConnectError } from "@connectrpc/connect";
import type { Interceptor, StreamRequest, UnaryRequest } from "@connectrpc/connect";
import { withError } from "../pushed-messages.ts";
import { richError } from "../rich-error.ts";

/** Which call an unexpected error happened in. */
export interface UnexpectedErrorContext {
  /** Id that the client was told. */
  readonly requestId: string;
  /** Fully qualified service name. */
  readonly service: string;
  /** Method name as in the proto. */
  readonly method: string;
}

/** Options of {@link unexpectedErrors}. */
export interface UnexpectedErrorOptions {
  /** Told once of each unexpected error, e.g. to log it. What it throws is ignored: the call is answered anyway. */
  readonly onUnexpected: (error: unknown, context: UnexpectedErrorContext) => void;
  /** The id of a request; default a random UUID. */
  readonly requestId?: (request: UnaryRequest | StreamRequest) => string;
}

// A client may leave while a message is written to it, which is known before the call's signal is.
const WRITES_TO_NOBODY: ReadonlySet<unknown> = new Set([
  "ERR_HTTP2_INVALID_STREAM",
  "ERR_STREAM_DESTROYED",
  "ERR_STREAM_WRITE_AFTER_END",
  "ERR_STREAM_PREMATURE_CLOSE",
  "EPIPE",
  "ECONNRESET",
]);

/**
 * Turns everything that is not a ConnectError into INTERNAL with a request id. Errors that follow from the call's own
 * end (the client left, its deadline passed, the server drains) become the reason of that end, and are not reported.
 * Put it first in the list of interceptors, so that it sees the errors of all others.
 */
export function unexpectedErrors(options: UnexpectedErrorOptions): Interceptor {
  return (next) => async (request) => {
    const concealed = (error: unknown): ConnectError => conceal(error, request, options);
    try {
      const response = await next(request);
      return response.stream ? { ...response, message: withError(response.message, concealed) } : response;
    } catch (error) {
      throw concealed(error);
    }
  };
}

function conceal(
  error: unknown,
  request: UnaryRequest | StreamRequest,
  { onUnexpected, requestId = () => randomUUID() }: UnexpectedErrorOptions,
): ConnectError {
  if (error instanceof ConnectError) {
    return error;
  }
  if (request.signal.aborted && isAbort(error, request.signal)) {
    const reason: unknown = request.signal.reason;
    return reason instanceof ConnectError ? reason : new ConnectError("the call was aborted", Code.Canceled);
  }
  if (error instanceof Error && "code" in error && WRITES_TO_NOBODY.has(error.code)) {
    return new ConnectError("the client left", Code.Canceled);
  }
  const id = requestId(request);
  try {
    onUnexpected(error, { requestId: id, service: request.service.typeName, method: request.method.name });
  } catch {
    // The hook only observes; the client is owed its answer.
  }
  return richError({
    code: Code.Internal,
    reason: "INTERNAL",
    message: `internal error, request id ${id}`,
    requestId: id,
    cause: error,
  });
}

function isAbort(error: unknown, signal: AbortSignal): boolean {
  return error === signal.reason || (error instanceof Error && error.name === "AbortError");
}
