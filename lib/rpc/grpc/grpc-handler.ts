// Answers gRPC calls that take one message right on their HTTP/2 streams, with the same interceptors, limits and errors as every other
// call. Connect's own handler takes many times as long for such a call, most of it for iterators and signals that nobody looks at.
// Whatever is out of the ordinary (unknown compressions, browsers, hosts and deadlines that cannot be read) is left to Connect.
import type { IncomingHttpHeaders } from "node:http2";
import type { Interceptor } from "@connectrpc/connect";
import { compressionNegotiate } from "@connectrpc/connect/protocol";
import { parseTimeout } from "@connectrpc/connect/protocol-grpc";
import type { DirectHandler } from "../http-handler.ts";
import { MAX_TIMER_MS } from "../interceptors/call-timeout.ts";
import type { CallGate } from "../call-gate.ts";
import type { Intake } from "../interceptors/intake.ts";
import { valuesWithPeer } from "../peer.ts";
import { GrpcCall, type Compression } from "./grpc-call.ts";
import type { MakeValues } from "./grpc-request.ts";
import { type MessageOptions, routesOf, type ServedService } from "./grpc-route.ts";

/** What is served, and how. */
export interface GrpcHandlerOptions extends MessageOptions {
  readonly services: readonly ServedService[];
  readonly interceptors: readonly Interceptor[];
  readonly acceptCompression: readonly Compression[];
  /** What the context values of a call begin with; default its peer alone. */
  readonly makeValues?: MakeValues;
  /** Lets calls in before their messages are looked at; default all. */
  readonly gate?: CallGate | undefined;
  /** Where request bodies are counted. */
  readonly intake: Intake;
  /** Its abort ends all calls, with its reason. */
  readonly shutdownSignal: AbortSignal;
}

const CONTENT_TYPES: ReadonlySet<unknown> = new Set(["application/grpc", "application/grpc+proto"]);

/** Makes the handler. */
export function createGrpcHandler(options: GrpcHandlerOptions): DirectHandler {
  const { intake, shutdownSignal, gate, makeValues = valuesWithPeer } = options;
  const routes = routesOf(options.services, options.interceptors, options);
  const accepted = [...options.acceptCompression];
  const open = new Set<GrpcCall>();
  shutdownSignal.addEventListener("abort", () => {
    for (const call of open) call.cancel(shutdownSignal.reason);
  });
  return (stream, headers) => {
    const route = routes.get(headers[":path"] ?? "");
    if (route === undefined || !isOrdinary(headers)) return false;
    const timeout = parseTimeout(headers["grpc-timeout"]?.toString() ?? null, Infinity);
    if (timeout.error !== undefined) return false;
    const timeoutMs =
      timeout.timeoutMs !== undefined && timeout.timeoutMs <= MAX_TIMER_MS ? timeout.timeoutMs : undefined;
    const encoding = headers["grpc-encoding"]?.toString() ?? null;
    const accept = headers["grpc-accept-encoding"]?.toString() ?? null;
    const { request, response, error } = compressionNegotiate(accepted, encoding, accept, "grpc-accept-encoding");
    if (error !== undefined) return false;
    const call = new GrpcCall({
      route,
      stream,
      headers,
      timeoutMs,
      requestCompression: request,
      compression: response,
      makeValues,
      gate,
      intake,
      open,
      readMaxBytes: options.readMaxBytes,
    });
    if (shutdownSignal.aborted) call.cancel(shutdownSignal.reason);
    call.start();
    return true;
  };
}

function isOrdinary(headers: IncomingHttpHeaders): boolean {
  const { ":authority": authority } = headers;
  return (
    headers[":method"] === "POST" &&
    CONTENT_TYPES.has(headers["content-type"]) &&
    headers.origin === undefined &&
    headers.expect === undefined &&
    authority !== undefined &&
    URL.canParse(`http://${authority}`)
  );
}
