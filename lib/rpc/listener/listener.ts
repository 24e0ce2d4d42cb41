// One port for HTTP/1.1 and HTTP/2, in cleartext (HTTP/2 by prior knowledge) or by TLS (ALPN), with limits and a graceful end. It knows
// nothing of RPC: what a request means is the handler's business.
import { createServer } from "node:net";
import type { Server, Socket } from "node:net";
import { respondText } from "../http-handler.ts";
import type { DirectHandler, HttpHandler, HttpRequest } from "../http-handler.ts";
import { createHttp1Side } from "./http1-side.ts";
import { createHttp2Side } from "./http2-side.ts";
import { resolveLimits } from "./limits.ts";
import type { ListenerLimits } from "./limits.ts";
import { ListenError } from "./listen-error.ts";
import { readPeerAllowList } from "./peer-allow-list.ts";
import { peekProtocol } from "./protocol-peek.ts";
import { UnsentWatch } from "./unsent.ts";
import { createTlsSide } from "./tls-side.ts";
import type { ServerCredentials } from "../../tls/server-credentials.ts";

/** Options of {@link openListener}. */
export interface ListenerOptions {
  /** Answers requests of both HTTP versions, e.g. from `connectNodeAdapter()`. */
  readonly handler: HttpHandler;
  /** Answers HTTP/2 requests before `handler` sees them, where it can. */
  readonly direct?: DirectHandler;
  /** Address to bind to, default `127.0.0.1`. */
  readonly host?: string;
  /** Port to bind to, 0 to 65535; default 0, which picks a free one. */
  readonly port?: number;
  /** Speaks TLS with these; stays the caller's to dispose. Cleartext if left out. */
  readonly tls?: ServerCredentials;
  /** Addresses and ranges that may connect, e.g. `10.0.0.0/8`; all others are cut off at once. Empty or left out: everybody. */
  readonly allow?: readonly string[];
  /** Overrides of single limits. */
  readonly limits?: Partial<ListenerLimits>;
  /**
   * Told of what should not happen: a handler that throws, a connection that cannot be accepted. Default: a process
   * warning.
   */
  readonly onUnexpected?: (error: unknown) => void;
  /** Told of connections that were refused before any request: by address, or in the handshake. Anyone can cause these. Default: nothing. */
  readonly onRefused?: (why: string, address: string) => void;
}

/** Where a listener is bound. */
export interface ListenerAddress {
  /** IP address. */
  readonly host: string;
  /** Port, never 0. */
  readonly port: number;
}

/** How a drain ended. */
export interface DrainResult {
  /** Connections that were still busy when the grace ended, and were cut. */
  readonly forced: number;
}

/** An open port. Disposing it is a drain without grace. */
export interface Listener extends AsyncDisposable {
  /** Where it is bound. */
  readonly address: ListenerAddress;
  /** A URL that reaches it from this machine, e.g. `http://127.0.0.1:8080`; with TLS, `https:`. */
  readonly url: string;
  /** Open connections. */
  readonly connections: number;
  /**
   * Stops accepting, tells peers to go (GOAWAY, `connection: close`), lets requests that have begun finish for at most
   * `graceMs` (at least 0), then cuts what is left. Resolves when every socket is closed. May be called again, also with
   * a shorter grace; it never rejects after validation.
   *
   * @throws RangeError when `graceMs` is negative or not a number.
   */
  drain(graceMs: number): Promise<DrainResult>;
}

// Finds peers whose machine is gone, which HTTP/1 has no ping for.
const TCP_KEEP_ALIVE_DELAY_MS = 60_000;

/**
 * Opens a port.
 *
 * @throws ListenError when the port is taken or cannot be bound; RangeError when an option is out of range.
 */
export async function openListener(options: ListenerOptions): Promise<Listener> {
  const limits = resolveLimits(options.limits);
  const host = options.host ?? "127.0.0.1";
  const port = options.port ?? 0;
  if (!Number.isInteger(port) || port < 0 || port > 65_535) {
    throw new RangeError(`port must be a whole number from 0 to 65535, got ${port}`);
  }
  const allows = readPeerAllowList(options.allow ?? []);
  const onUnexpected = options.onUnexpected ?? warn;
  const refused = (why: string, { remoteAddress = "" }: Socket): void => options.onRefused?.(why, remoteAddress);
  const handler = guarded(options.handler, onUnexpected);
  const unsent = new UnsentWatch(limits);
  const http1 = createHttp1Side(handler, limits, unsent);
  const http2 = createHttp2Side(handler, limits, unsent, options.direct);
  const sockets = new Set<Socket>();
  const peeking = new Set<Socket>();
  const peers = new Map<string, number>();

  const tls =
    options.tls === undefined
      ? undefined
      : createTlsSide({
          credentials: options.tls,
          onRefused: refused,
          onSecure: (socket, protocol) => (protocol === "http2" ? http2 : http1).accept(socket),
        });

  const accept = async (socket: Socket): Promise<void> => {
    if (tls !== undefined) {
      tls.accept(socket);
      return;
    }
    peeking.add(socket);
    const protocol = await peekProtocol(socket, limits.firstByteTimeoutMs);
    peeking.delete(socket);
    if (protocol === "none" || socket.destroyed) {
      socket.destroy();
    } else {
      (protocol === "http2" ? http2 : http1).accept(socket);
    }
  };

  // Half-open as Node's own HTTP/1 server has it: that side ends the socket itself, after what it still has to write.
  const server = createServer({
    allowHalfOpen: true,
    noDelay: true,
    keepAlive: true,
    keepAliveInitialDelay: TCP_KEEP_ALIVE_DELAY_MS,
  });
  server.maxConnections = limits.maxConnections;
  server.on("connection", (socket) => {
    // Resets are everyday life; whoever holds the socket sees its "close".
    socket.on("error", () => undefined);
    const peer = socket.remoteAddress ?? "";
    if (!allows(peer)) {
      refused("address", socket);
      socket.destroy();
      return;
    }
    const ofPeer = peers.get(peer) ?? 0;
    if (ofPeer >= limits.maxConnectionsPerPeer) {
      socket.destroy();
      return;
    }
    peers.set(peer, ofPeer + 1);
    sockets.add(socket);
    socket.once("close", () => {
      sockets.delete(socket);
      const left = (peers.get(peer) ?? 1) - 1;
      if (left === 0) {
        peers.delete(peer);
      } else {
        peers.set(peer, left);
      }
      finishWhenEmpty();
    });
    accept(socket).catch((error: unknown) => {
      onUnexpected(error);
      socket.destroy();
    });
  });

  // The server counts a socket as gone before that socket tells, so both are awaited.
  const closed = Promise.withResolvers<void>();
  let serverClosed = false;
  const finishWhenEmpty = (): void => {
    if (serverClosed && sockets.size === 0) {
      unsent[Symbol.dispose]();
      http1.close();
      http2.close();
      closed.resolve();
    }
  };
  server.once("close", () => {
    serverClosed = true;
    finishWhenEmpty();
  });
  let address: ListenerAddress;
  try {
    address = await listen(server, host, port);
  } catch (error) {
    unsent[Symbol.dispose]();
    http1.close();
    http2.close();
    throw new ListenError(host, port, error);
  }
  // Without a listener, a failed accept (no file descriptors left) would end the process.
  server.on("error", onUnexpected);

  let draining = false;
  let forced = 0;
  const drain = async (graceMs: number): Promise<DrainResult> => {
    if (!(graceMs >= 0)) {
      throw new RangeError(`graceMs must be at least 0, got ${graceMs}`);
    }
    if (!draining) {
      draining = true;
      server.close();
      for (const socket of peeking) {
        socket.destroy();
      }
      tls?.drain();
      http1.drain();
      http2.drain();
    }
    const graceOver = setTimeout(
      () => {
        forced += sockets.size;
        for (const socket of sockets) {
          socket.destroy();
        }
      },
      Math.min(graceMs, MAX_TIMER_MS),
    );
    await closed.promise;
    clearTimeout(graceOver);
    return { forced };
  };

  return {
    address,
    url: urlOf(address, tls === undefined ? "http" : "https"),
    get connections() {
      return sockets.size;
    },
    drain,
    async [Symbol.asyncDispose]() {
      await drain(0);
    },
  };
}

// setTimeout() fires at once beyond this.
const MAX_TIMER_MS = 2_147_483_647;

function listen(server: Server, host: string, port: number): Promise<ListenerAddress> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen({ host, port }, () => {
      server.off("error", reject);
      const bound = server.address();
      if (bound === null || typeof bound === "string") {
        reject(new Error(`unexpected address ${bound}`));
        return;
      }
      resolve({ host: bound.address, port: bound.port });
    });
  });
}

function urlOf({ host, port }: ListenerAddress, scheme: string): string {
  // A wildcard address is bound to, but not dialled.
  const dialled = host === "0.0.0.0" ? "127.0.0.1" : host === "::" ? "::1" : host;
  return `${scheme}://${dialled.includes(":") ? `[${dialled}]` : dialled}:${port}`;
}

// connectNodeAdapter() throws for a request without a usable target. In an event listener a throw ends the process, so
// one odd request would take the server down.
function guarded(handler: HttpHandler, onUnexpected: (error: unknown) => void): HttpHandler {
  return (request, response) => {
    // A write that races with the peer's leaving is reported to its writer, too.
    response.on("error", () => undefined);
    try {
      handler(request, response);
    } catch (error) {
      const hasTarget = hasUsableTarget(request);
      if (hasTarget) {
        onUnexpected(error);
      }
      if (response.headersSent) {
        request.destroy();
      } else {
        respondText(response, hasTarget ? 500 : 400, hasTarget ? "internal error" : "the request names no valid host");
      }
    }
  };
}

function hasUsableTarget(request: HttpRequest): boolean {
  // Typed as a string, but a peer may leave it out.
  const authority: string | undefined = "authority" in request ? request.authority : request.headers.host;
  return authority !== undefined && URL.canParse(request.url ?? "", `http://${authority}`);
}

function warn(error: unknown): void {
  process.emitWarning(error instanceof Error ? error : String(error));
}
