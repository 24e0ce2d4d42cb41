// The HTTP/2 half of a listener: feeds accepted sockets to Node's HTTP/2 server, finds dead peers by ping, and sends
// everyone away on drain. It must not listen on a port itself.
import { createServer } from "node:http2";
import type { Http2Session, IncomingHttpHeaders, ServerHttp2Session, ServerHttp2Stream } from "node:http2";
import { respondText } from "../http-handler.ts";
import type { DirectHandler, HttpHandler, HttpRequest } from "../http-handler.ts";
import type { ProtocolSide } from "./http1-side.ts";
import type { ListenerLimits } from "./limits.ts";
import type { UnsentConnection, UnsentWatch } from "./unsent.ts";

// A client may drop all its streams at once, e.g. when its own caller goes: that must not look like a rapid-reset
// attack (CVE-2023-44487), which runs at many thousands of resets a second.
const RESET_BURST_FACTOR = 2;
const RESETS_PER_SECOND = 200;

/** How often is looked for connections without calls, in milliseconds, at most. */
const IDLE_LOOK_MS = 60_000;

/** Opens the HTTP/2 half. */
export function createHttp2Side(
  handler: HttpHandler,
  limits: ListenerLimits,
  unsent: UnsentWatch,
  direct: DirectHandler = () => false,
): ProtocolSide {
  const sessions = new Map<Http2Session, SessionState>();
  const unacknowledged = new WeakSet<Http2Session>();
  let draining = false;

  const server = createServer(
    {
      settings: {
        maxConcurrentStreams: limits.maxConcurrentStreams,
        maxHeaderListSize: limits.maxHeaderBytes,
        enablePush: false,
      },
      maxSessionMemory: limits.maxSessionMemoryMb,
      maxHeaderListPairs: limits.maxHeaderPairs,
      maxSessionInvalidFrames: 100,
      maxSessionRejectedStreams: 100,
      maxSettings: 32,
      streamResetBurst: limits.maxConcurrentStreams * RESET_BURST_FACTOR,
      streamResetRate: RESETS_PER_SECOND,
    },
    (request, response) => {
      const { session } = request.stream;
      if (session !== undefined && unacknowledged.has(session) && headerBytes(request) > limits.maxHeaderBytes) {
        respondText(response, 431, "the headers are too large");
        return;
      }
      handler(request, response);
    },
  );

  // Node's own listener makes a request and a response of each stream; what is answered directly needs neither.
  const ordinary = server.listeners("stream");
  server.removeAllListeners("stream");
  server.on("stream", (stream, headers, ...rest) => {
    const { session } = stream;
    if (session !== undefined) sessions.get(session)?.begin(stream);
    bracketAuthority(headers);
    // Whoever may have sent more headers than allowed is looked at more closely.
    if (session !== undefined && !unacknowledged.has(session) && direct(stream, headers)) return;
    for (const listener of ordinary) listener.call(server, stream, headers, ...rest);
  });

  server.on("session", (session) => {
    if (draining) {
      session.close();
      return;
    }
    const state = new SessionState(session);
    sessions.set(session, state);
    unsent.add(state);
    // The settings above bind the peer only once it has acknowledged them, which its first requests need not wait for.
    unacknowledged.add(session);
    const handshake = setTimeout(() => session.destroy(), limits.firstByteTimeoutMs);
    session.once("localSettings", () => {
      clearTimeout(handshake);
      unacknowledged.delete(session);
    });
    session.once("close", () => {
      clearTimeout(handshake);
      unsent.remove(state);
      sessions.delete(session);
    });
  });

  const pinging = setInterval(() => {
    for (const [session, state] of sessions) {
      if (session.destroyed) {
        continue;
      }
      const { bytesRead } = session.socket;
      if (bytesRead === state.bytesSeen) {
        ping(session, limits.pingTimeoutMs);
      }
      state.bytesSeen = bytesRead;
    }
  }, limits.pingIntervalMs);
  pinging.unref();

  // A call may just have begun when its connection is told to go: it is answered, and what comes after it goes elsewhere.
  const leaving = setInterval(
    () => {
      const beforeMs = performance.now() - limits.idleTimeoutMs;
      for (const [session, state] of sessions) {
        if (state.idleSinceMs < beforeMs && !session.closed) session.close();
      }
    },
    Math.min(IDLE_LOOK_MS, Math.ceil(limits.idleTimeoutMs / 4)),
  );
  leaving.unref();

  return {
    accept(socket) {
      // A peer that has ended its side can answer nothing any more, and nobody else would end the connection before the next ping.
      socket.allowHalfOpen = false;
      server.emit("connection", socket);
    },
    drain() {
      draining = true;
      for (const session of sessions.keys()) {
        session.close();
      }
    },
    close() {
      clearInterval(pinging);
      clearInterval(leaving);
    },
  };
}

/** What is known of a connection. */
class SessionState implements UnsentConnection {
  /** How many bytes had come when it was looked at last. */
  bytesSeen = 0;
  readonly #session: ServerHttp2Session;
  readonly #streams = new Set<ServerHttp2Stream>();
  #emptySinceMs: number = performance.now();

  constructor(session: ServerHttp2Session) {
    this.#session = session;
  }

  /** Since when it carries no call; Infinity while it does. */
  get idleSinceMs(): number {
    return this.#streams.size === 0 ? this.#emptySinceMs : Infinity;
  }

  begin(stream: ServerHttp2Stream): void {
    this.#streams.add(stream);
    stream.on("close", () => {
      this.#streams.delete(stream);
      if (this.#streams.size === 0) this.#emptySinceMs = performance.now();
    });
  }

  unsentBytes(): number {
    if (this.#session.destroyed) return 0;
    let bytes = this.#session.socket.writableLength ?? 0;
    for (const stream of this.#streams) bytes += stream.writableLength;
    return bytes;
  }

  sentBytes(): number {
    if (this.#session.destroyed) return 0;
    const { bytesWritten, writableLength } = this.#session.socket;
    return (bytesWritten ?? 0) - (writableLength ?? 0);
  }

  cut(): void {
    this.#session.destroy();
  }
}

// Node's own HTTP/2 client (24.21 and before) sends an IPv6 authority without its brackets: `::1:8080`.
function bracketAuthority(headers: IncomingHttpHeaders): void {
  const { ":authority": authority } = headers;
  if (authority === undefined || authority.startsWith("[")) {
    return;
  }
  const portAt = authority.lastIndexOf(":");
  if (authority.indexOf(":") !== portAt) {
    headers[":authority"] = `[${authority.slice(0, portAt)}]${authority.slice(portAt)}`;
  }
}

function ping(session: Http2Session, timeoutMs: number): void {
  // Looks once more after the next round of I/O: when this process itself stalled, the answer may be waiting unread.
  let answered = false;
  const closeUnlessAnswered = (): void => {
    if (!answered) {
      session.destroy();
    }
  };
  const dead = setTimeout(() => setImmediate(closeUnlessAnswered), timeoutMs);
  dead.unref();
  const sent = session.ping(() => {
    answered = true;
    clearTimeout(dead);
  });
  if (!sent) {
    // Too many pings are unanswered already; the timer of the first one decides.
    clearTimeout(dead);
  }
}

// As RFC 9113 section 10.5.1 counts them.
function headerBytes({ rawHeaders }: HttpRequest): number {
  return rawHeaders.reduce((bytes, text) => bytes + Buffer.byteLength(text) + 16, 0);
}
