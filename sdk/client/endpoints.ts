// Owns the connections: one HTTP/2 session and one transport for each server, and which of them is in use.
// Decides nothing about retries.
import { Code, ConnectError, type Transport } from "@connectrpc/connect";
import {
  compressionGzip,
  createConnectTransport,
  createGrpcTransport as createConnectGrpcTransport,
  createGrpcWebTransport,
} from "@connectrpc/connect-node";
import { pause } from "../../lib/time/pause.ts";
import { ClientSession, letGo, securityOf } from "../../lib/rpc/client-session.ts";
import { tlsProblem } from "../../lib/tls/client-tls.ts";
import { clientTracing } from "../../lib/rpc/interceptors/tracing.ts";
import { withHeaders } from "../access/access-options.ts";
import type { ResolvedOptions } from "./client-options.ts";
import { createGrpcTransport } from "./grpc/grpc-transport.ts";
import { encodeLarge } from "./large-requests.ts";
import type { EndpointBreakers } from "./resilience/breakers.ts";
import type { EndpointBreaker } from "./resilience/endpoint-breaker.ts";

/** One server. */
export interface Endpoint {
  /** Where it is. */
  readonly url: string;
  /** Speaks to it, once. */
  readonly transport: Transport;
  /** Keeps calls away while it is out; undefined for a client without breakers. */
  readonly breaker: EndpointBreaker | undefined;
  /** Whether the next call needs no new connection. */
  readonly connected: boolean;
  /**
   * Opens the connection if there is none. Rejects with a ConnectError (UNAVAILABLE) if that fails, or takes longer than `limitMs` or the
   * client's `connectTimeoutMs`.
   */
  connect(limitMs: number): Promise<void>;
}

/** The servers of a client. Disposing closes their connections within a moment; calls that are still under way then fail. */
export interface Endpoints extends Disposable {
  /** All of them, in order of preference. */
  readonly all: readonly Endpoint[];
  /** How many there are. */
  readonly count: number;
  /** The one to use: the one in use, or the next whose breaker admits a call; undefined if none does. */
  readonly current: Endpoint | undefined;
  /** Leaves a server for the next, unless another call did that already. */
  leave(endpoint: Endpoint): void;
}

// A server that stands still, or a connection that died without a word, is left within the two together. Only a connection with calls
// under way is pinged, and only when it is silent.
const PING_INTERVAL_MS = 5_000;
const PING_TIMEOUT_MS = 3_000;
// How long a disposed client waits for its streams: what they end with is on its way already.
const STREAMS_END_MS = 100;
// Node's default of 10 MB refuses streams of a busy connection; this is a bound, nothing is reserved.
const MAX_SESSION_MEMORY_MB = 256;

/** Makes the connections' managers; connects nowhere yet. */
export function createEndpoints(options: ResolvedOptions, breakers: Pick<EndpointBreakers, "of">): Endpoints {
  const endpoints = options.urls.map((url) => createEndpoint(url, options, breakers.of(url)));
  let at = 0;
  const current = (): (typeof endpoints)[number] | undefined => {
    for (let passed = 0; passed < endpoints.length; passed += 1) {
      const endpoint = endpoints[(at + passed) % endpoints.length];
      if (endpoint?.breaker?.admits !== false) return endpoint;
    }
    return undefined;
  };
  return {
    all: endpoints,
    count: endpoints.length,
    get current() {
      return current();
    },
    leave(endpoint) {
      const index = endpoints.findIndex((each) => each === endpoint);
      // Its breaker may have opened over what it is left for: then it is passed over already.
      if (endpoint !== current() && index !== at) return;
      at = (index + 1) % endpoints.length;
      if (endpoints.length > 1) {
        options.logger.info({ left: endpoint.url, now: current()?.url }, "switching to another coordinator");
      }
    },
    [Symbol.dispose]() {
      for (const endpoint of endpoints) void endpoint.close();
    },
  };
}

function createEndpoint(
  url: string,
  options: ResolvedOptions,
  breaker: EndpointBreaker | undefined,
): Endpoint & { close(): Promise<void> } {
  const session = new ClientSession(
    url,
    // Pinging idle connections too would ping one that was closed with a stream open, and the error of that nobody can catch. An idle
    // one is tried before the next call.
    { pingIntervalMs: PING_INTERVAL_MS, pingTimeoutMs: PING_TIMEOUT_MS },
    { maxSessionMemory: MAX_SESSION_MEMORY_MB, ...securityOf(url, options.access.tls) },
  );
  const connected = (): boolean => session.state() === "open" || session.state() === "idle";
  return {
    url,
    transport: createTransport(url, session, options),
    breaker,
    get connected() {
      return connected();
    },
    async connect(limitMs) {
      const waitMs = Math.ceil(Math.min(limitMs, options.connectTimeoutMs));
      const state = await withinTime(session.connect(), waitMs);
      if (state === "timeout") {
        const error = new ConnectError(`no connection to ${url} within ${waitMs} ms`, Code.Unavailable);
        // A caller in a hurry must not end the attempt that others wait for.
        if (waitMs >= options.connectTimeoutMs) session.abort(error);
        throw error;
      }
      if (state === "error") {
        const cause = session.error();
        const why = cause instanceof Error ? describe(cause) : String(cause);
        throw new ConnectError(`cannot connect to ${url}: ${why}`, Code.Unavailable, undefined, undefined, cause);
      }
    },
    async close() {
      // A stream that ends after its connection was closed starts connect-node's idle timer again, and for a quarter of an hour that holds
      // the connection with everything it knows. "open" says that there is a stream.
      const untilMs = performance.now() + STREAMS_END_MS;
      while (session.state() === "open" && performance.now() < untilMs) await pause(1);
      session.abort();
    },
  };
}

function createTransport(baseUrl: string, sessionManager: ClientSession, options: ResolvedOptions): Transport {
  const { interceptor: credentials } = options.access;
  const made = [...options.interceptors, clientTracing(), ...(credentials === undefined ? [] : [credentials])];
  const interceptors = [withHeaders(options.headers), ...made, letGo];
  const compressFromBytes = options.compressFromBytes(baseUrl);
  const compression = Number.isFinite(compressFromBytes)
    ? { sendCompression: compressionGzip, compressMinBytes: compressFromBytes }
    : {};
  const connection = { baseUrl, sessionManager, interceptors, ...compression };
  switch (options.transport) {
    case "connect":
      return createConnectTransport({ ...connection, httpVersion: "2" });
    case "grpc-web":
      return createGrpcWebTransport({ ...connection, httpVersion: "2" });
    default: {
      const clientStreams = createConnectGrpcTransport(connection);
      return createGrpcTransport({
        baseUrl,
        session: sessionManager,
        headers: options.headers,
        interceptors: made,
        encode: encodeLarge,
        compressFromBytes,
        clientStreams,
      });
    }
  }
}

async function withinTime<T>(work: Promise<T>, timeoutMs: number): Promise<T | "timeout"> {
  const late = Promise.withResolvers<"timeout">();
  const timer = setTimeout(() => late.resolve("timeout"), timeoutMs);
  try {
    return await Promise.race([work, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}

// An AggregateError (IPv6 and IPv4 both refused) has no message of its own.
function describe(cause: Error): string {
  const [first]: unknown[] = cause instanceof AggregateError ? cause.errors : [];
  const root = first instanceof Error ? first : cause.cause instanceof Error ? cause.cause : cause;
  const code = "code" in root ? root.code : undefined;
  if (code === "ECONNREFUSED") return "connection refused";
  if (code === "ENOTFOUND") return "unknown host name";
  return tlsProblem(root) ?? root.message;
}
