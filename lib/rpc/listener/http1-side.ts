// The HTTP/1.1 half of a listener: feeds accepted sockets to Node's HTTP/1 server and empties them on drain.
// It must not listen on a port itself.
import { createServer } from "node:http";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { respondText } from "../http-handler.ts";
import type { HttpHandler } from "../http-handler.ts";
import type { ListenerLimits } from "./limits.ts";
import type { UnsentWatch } from "./unsent.ts";

/** One half of a listener: it owns the connections of one HTTP version. */
export interface ProtocolSide {
  /** Takes over a socket whose first bytes were put back. */
  accept(socket: Socket): void;
  /** Tells peers to go, refuses new requests, and closes each connection when its last request is done. */
  drain(): void;
  /** Frees what is left once all sockets are closed. */
  close(): void;
}

/** Opens the HTTP/1.1 half. */
export function createHttp1Side(handler: HttpHandler, limits: ListenerLimits, unsent: UnsentWatch): ProtocolSide {
  const responses = new Map<Socket, Set<ServerResponse>>();
  let draining = false;

  const serve = (request: IncomingMessage, response: ServerResponse): void => {
    const { socket } = request;
    const open = responses.get(socket);
    open?.add(response);
    response.once("close", () => {
      open?.delete(response);
      if (draining && open?.size === 0) {
        socket.destroySoon();
      }
    });
    if (draining) {
      response.setHeader("connection", "close");
      respondText(response, 503, "draining");
      return;
    }
    handler(request, response);
  };

  const server = createServer(
    {
      maxHeaderSize: limits.maxHeaderBytes,
      headersTimeout: limits.headersTimeoutMs,
      requestTimeout: limits.requestTimeoutMs,
      keepAliveTimeout: limits.keepAliveTimeoutMs,
      connectionsCheckingInterval: Math.max(10, Math.min(5000, Math.floor(limits.headersTimeoutMs / 4))),
    },
    serve,
  );
  server.maxHeadersCount = limits.maxHeaderPairs;
  // A server enforces its timeouts only from this event on, and this one never listens: it is handed its sockets.
  server.emit("listening");

  return {
    accept(socket) {
      responses.set(socket, new Set());
      const connection = {
        unsentBytes: () => {
          let bytes = socket.writableLength;
          // Of pipelined answers, those behind the first wait outside the socket.
          for (const response of responses.get(socket) ?? []) bytes += response.writableLength;
          return bytes;
        },
        sentBytes: () => socket.bytesWritten - socket.writableLength,
        cut: () => void socket.destroy(),
      };
      unsent.add(connection);
      socket.once("close", () => {
        unsent.remove(connection);
        responses.delete(socket);
      });
      server.emit("connection", socket);
    },
    drain() {
      draining = true;
      for (const [socket, open] of responses) {
        if (open.size === 0) {
          socket.destroySoon();
        }
        for (const response of open) {
          if (!response.headersSent) {
            response.setHeader("connection", "close");
          }
        }
      }
    },
    close() {
      server.close();
    },
  };
}
