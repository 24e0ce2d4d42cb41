// Owns the RPC hop of a trace: one interceptor for servers, one for clients. Must not decide sampling or export.
// With tracing off each call passes straight through.
import { type Context, type Span, context, trace } from "@opentelemetry/api";
import { Code, ConnectError, type Interceptor, type StreamResponse, type UnaryResponse } from "@connectrpc/connect";
import {
  type RpcSpanFacts,
  type RpcSystem,
  carrierFromContext,
  contextFromCarrier,
  isTracing,
  markSpanFailed,
  mycelTracer,
  rpcClientSpan,
  rpcServerSpan,
} from "../../wire/trace-context.ts";

type Request = Parameters<ReturnType<Interceptor>>[0];
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
  return (next) => async (request) => {
    if (!isTracing()) return await next(request);
    const parent = contextFromCarrier(carrierFromHeaders(request.header));
    const shape = rpcServerSpan(factsOf(request));
    const span = mycelTracer().startSpan(shape.name, shape.options, parent);
    const inside = trace.setSpan(parent, span);
    const echo = carrierFromContext(inside).traceparent;
    try {
      const response = await context.with(inside, () => next(request));
      if (echo !== undefined) response.header.set("traceparent", echo);
      return followed(response, inside, span, "server", request);
    } catch (error) {
      if (echo !== undefined && error instanceof ConnectError) error.metadata.set("traceparent", echo);
      endFailed(span, error, "server");
      throw error;
    }
  };
}

/**
 * Makes the client interceptor: wraps each call in a CLIENT span (for a stream: until its last message is read) and
 * injects `traceparent` and `tracestate` into the request headers. Put it last in the list, inside retries, so that
 * every try is a span of its own.
 */
export function clientTracing(): Interceptor {
  return (next) => async (request) => {
    if (!isTracing()) return await next(request);
    const shape = rpcClientSpan(factsOf(request));
    const span = mycelTracer().startSpan(shape.name, shape.options);
    const inside = trace.setSpan(context.active(), span);
    const carrier = carrierFromContext(inside);
    if (carrier.traceparent !== undefined) request.header.set("traceparent", carrier.traceparent);
    if (carrier.tracestate !== undefined) request.header.set("tracestate", carrier.tracestate);
    try {
      const response = await context.with(inside, () => next(request));
      return followed(response, inside, span, "client", request);
    } catch (error) {
      endFailed(span, error, "client");
      throw error;
    }
  };
}

function followed(response: Response, inside: Context, span: Span, side: Side, request: Request): Response {
  if (response.stream) return { ...response, message: followStream(response.message, inside, span, side, request) };
  endOk(span, systemOf(request));
  return response;
}

// Written as an iterator object rather than a generator: each step of the handler must run inside the span's context,
// and a reader that leaves early (return) must end the span although no last message ever comes. A call that is
// aborted before it is read is ended by its signal.
function followStream<Item>(
  source: AsyncIterable<Item>,
  inside: Context,
  span: Span,
  side: Side,
  request: Request,
): AsyncIterable<Item> {
  const { signal } = request;
  let ended = false;
  let messages = 0;
  const finish = (end: () => void): void => {
    if (ended) return;
    ended = true;
    signal.removeEventListener("abort", onAbort);
    span.setAttribute("mycel.rpc.response.message_count", messages);
    end();
  };
  const fail = (error: unknown): void => finish(() => endFailed(span, error, side));
  const done = (): void => finish(() => endOk(span, systemOf(request)));
  const onAbort = (): void => fail(signal.reason);
  if (signal.aborted) onAbort();
  else signal.addEventListener("abort", onAbort, { once: true });

  return {
    [Symbol.asyncIterator](): AsyncIterator<Item> {
      const items = context.with(inside, () => source[Symbol.asyncIterator]());
      const step = async (advance: () => Promise<IteratorResult<Item>>): Promise<IteratorResult<Item>> => {
        try {
          const result = await context.with(inside, advance);
          if (result.done === true) done();
          else messages += 1;
          return result;
        } catch (error) {
          fail(error);
          throw error;
        }
      };
      return {
        next: () => step(() => items.next()),
        return: (value) => step(async () => (await items.return?.(value)) ?? { done: true, value }),
        throw: (error) =>
          step(async () => {
            if (items.throw === undefined) throw error;
            return await items.throw(error);
          }),
      };
    },
  };
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
