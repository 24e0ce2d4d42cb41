// Owns the RPC hop of a trace: one interceptor for servers, one for clients. Must not decide sampling or export.
// With tracing off each call passes straight through.
import { type Span, context } from "@opentelemetry/api";
import { Code, ConnectError, type Interceptor, type StreamResponse, type UnaryResponse } from "@connectrpc/connect";
import { type Hop, startHop } from "../../wire/hop.ts";
import {
  type RpcSpanFacts,
  type RpcSystem,
  carrierFromContext,
  contextFromCarrier,
  isTracing,
  markSpanFailed,
  rpcClientSpan,
  rpcServerSpan,
} from "../../wire/trace-context.ts";
import { type StreamWatch, watched, within } from "./traced-stream.ts";

type AnyFn = ReturnType<Interceptor>;
type Request = Parameters<AnyFn>[0];
type Response = UnaryResponse | StreamResponse;
type Side = "client" | "server";

// gRPC's own spelling differs from Connect's in one name, so the table is spelled out.
const CODE_NAMES: Readonly<Record<Code, string>> = {
  [Code.Canceled]: "CANCELLED",
  [Code.Unknown]: "UNKNOWN",
  [Code.InvalidArgument]: "INVALID_ARGUMENT",
  [Code.DeadlineExceeded]: "DEADLINE_EXCEEDED",
  [Code.NotFound]: "NOT_FOUND",
  [Code.AlreadyExists]: "ALREADY_EXISTS",
  [Code.PermissionDenied]: "PERMISSION_DENIED",
  [Code.ResourceExhausted]: "RESOURCE_EXHAUSTED",
  [Code.FailedPrecondition]: "FAILED_PRECONDITION",
  [Code.Aborted]: "ABORTED",
  [Code.OutOfRange]: "OUT_OF_RANGE",
  [Code.Unimplemented]: "UNIMPLEMENTED",
  [Code.Internal]: "INTERNAL",
  [Code.Unavailable]: "UNAVAILABLE",
  [Code.DataLoss]: "DATA_LOSS",
  [Code.Unauthenticated]: "UNAUTHENTICATED",
};
// The conventions count only these as the server's own fault; NOT_FOUND and its kind are the caller's news.
const SERVER_FAULTS: ReadonlySet<Code> = new Set([
  Code.Unknown,
  Code.DeadlineExceeded,
  Code.Unimplemented,
  Code.Internal,
  Code.Unavailable,
  Code.DataLoss,
]);

/**
 * Makes the server interceptor: continues the caller's trace from the request headers, runs the handler inside a SERVER
 * span named by the full method (for a stream: until the last message is sent), and echoes `traceparent` in the
 * response headers, also on errors, so that a caller without tracing can name the trace. Put it first in the list.
 */
export function serverTracing(): Interceptor {
  return (next) => (request) => (isTracing() ? serve(request, next) : next(request));
}

async function serve(request: Request, next: AnyFn): Promise<Response> {
  const parent = contextFromCarrier(carrierFromHeaders(request.header));
  const hop = startHop(parent, () => rpcServerSpan(factsOf(request)));
  const echo = carrierFromContext(hop.inside).traceparent;
  try {
    const response = await context.with(hop.inside, next, undefined, request);
    if (echo !== undefined) response.header.set("traceparent", echo);
    return followed(response, hop, "server", request);
  } catch (error) {
    if (hop.span !== undefined) endFailed(hop.span, error, "server");
    throw echo !== undefined && error instanceof ConnectError ? withTraceparent(error, echo) : error;
  }
}

/** An error may be shared, as the one that ends all calls of a server that leaves; a trace is one caller's. */
function withTraceparent(error: ConnectError, traceparent: string): ConnectError {
  const own = new ConnectError(error.rawMessage, error.code, undefined, undefined, error.cause);
  own.details = error.details;
  for (const [name, value] of error.metadata) own.metadata.append(name, value);
  own.metadata.set("traceparent", traceparent);
  return own;
}

/**
 * Makes the client interceptor: wraps each call in a CLIENT span (for a stream: until its last message is read) and
 * injects `traceparent` and `tracestate` into the request headers. Put it last in the list, inside retries, so that
 * every try is a span of its own.
 */
export function clientTracing(): Interceptor {
  return (next) => (request) => (isTracing() ? call(request, next) : next(request));
}

async function call(request: Request, next: AnyFn): Promise<Response> {
  const active = context.active();
  const hop = startHop(active, () => rpcClientSpan(factsOf(request)));
  const { traceparent, tracestate } = carrierFromContext(hop.inside);
  if (traceparent !== undefined) request.header.set("traceparent", traceparent);
  if (tracestate !== undefined) request.header.set("tracestate", tracestate);
  // Nothing is recorded, and the call runs where it should already.
  if (hop.inside === active) return await next(request);
  try {
    const response = await context.with(hop.inside, next, undefined, request);
    return followed(response, hop, "client", request);
  } catch (error) {
    if (hop.span !== undefined) endFailed(hop.span, error, "client");
    throw error;
  }
}

function followed(response: Response, { span, inside }: Hop, side: Side, request: Request): Response {
  if (!response.stream) {
    if (span !== undefined) endOk(span, systemOf(request));
    return response;
  }
  const message = within(response.message, inside);
  if (span === undefined) return { ...response, message };
  const { signal } = request;
  // A call that lasts forgets its headers.
  const system = systemOf(request);
  let messages = 0;
  const finish = (end: () => void): void => {
    signal.removeEventListener("abort", onAbort);
    if (!span.isRecording()) return;
    span.setAttribute("mycel.rpc.response.message_count", messages);
    end();
  };
  const watch: StreamWatch = {
    message: () => (messages += 1),
    done: () => finish(() => endOk(span, system)),
    failed: (error) => finish(() => endFailed(span, error, side)),
  };
  // A call that is aborted before it is read is ended by its signal.
  const onAbort = (): void => watch.failed(signal.reason);
  if (signal.aborted) onAbort();
  else signal.addEventListener("abort", onAbort, { once: true });
  return { ...response, message: watched(message, watch) };
}

function endOk(span: Span, system: RpcSystem): void {
  // Connect has no code for success, gRPC's is OK.
  if (system === "grpc") span.setAttribute("rpc.response.status_code", "OK");
  span.end();
}

function endFailed(span: Span, error: unknown, side: Side): void {
  const failure = ConnectError.from(error);
  const name = CODE_NAMES[failure.code];
  span.setAttribute("rpc.response.status_code", name);
  if (side === "client" || SERVER_FAULTS.has(failure.code)) markSpanFailed(span, name, failure.rawMessage);
  span.end();
}

function factsOf(request: Request): RpcSpanFacts {
  const method = `${request.service.typeName}/${request.method.name}`;
  const address = URL.canParse(request.url) ? new URL(request.url) : undefined;
  const facts: RpcSpanFacts = { system: systemOf(request), method };
  if (address === undefined || address.hostname === "") return facts;
  const port = address.port === "" ? (address.protocol === "https:" ? 443 : 80) : Number(address.port);
  return { ...facts, serverAddress: address.hostname, serverPort: port };
}

function systemOf(request: Request): RpcSystem {
  return request.header.get("content-type")?.startsWith("application/grpc") === true ? "grpc" : "connectrpc";
}

function carrierFromHeaders(header: Headers): { traceparent?: string; tracestate?: string } {
  const traceparent = header.get("traceparent");
  const tracestate = header.get("tracestate");
  if (traceparent === null) return {};
  return tracestate === null ? { traceparent } : { traceparent, tracestate };
}
