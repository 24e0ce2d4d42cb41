// The TLS part of a listener: shakes hands on accepted sockets and says which HTTP version was agreed on. What is shown and believed is the
// credentials' business; it must not speak HTTP.
import type { Socket } from "node:net";
import { createServer, type TLSSocket } from "node:tls";
import type { ServerCredentials, ServerMaterial } from "../../tls/server-credentials.ts";
import { serialOf } from "../../tls/revoked-serials.ts";

/** What becomes of handshakes. */
export interface TlsSideOptions {
  readonly credentials: ServerCredentials;
  /** A handshake is done. */
  readonly onSecure: (socket: TLSSocket, protocol: "http1" | "http2") => void;
  /** One went wrong; its socket is gone or about to be. */
  readonly onRefused: (why: string, socket: Socket) => void;
}

/** The TLS part. */
export interface TlsSide {
  /** Takes over a socket from which nothing was read. */
  accept(socket: Socket): void;
  /** Ends the handshakes that are under way. */
  drain(): void;
}

/** Opens it. */
export function createTlsSide({ credentials, onSecure, onRefused }: TlsSideOptions): TlsSide {
  const { clientCertificates } = credentials;
  // By the peer's address and port: TLS gives its own sockets, and does not tell of which accepted one.
  const handshaking = new Map<string, Socket>();
  // Those whose client showed a certificate.
  const identified = new Map<TLSSocket, string>();

  const server = createServer({
    ...credentials.current.context,
    ALPNProtocols: ["h2", "http/1.1"],
    requestCert: clientCertificates !== "off",
    rejectUnauthorized: clientCertificates === "required",
    handshakeTimeout: credentials.handshakeTimeoutMs,
    allowHalfOpen: true,
    noDelay: true,
  });
  server.on("secureConnection", (socket) => {
    socket.on("error", () => undefined);
    handshaking.delete(placeOf(socket));
    const shown = clientCertificates === "off" ? undefined : socket.getPeerX509Certificate();
    if (shown !== undefined) {
      // Where none is required, one that is not good is refused all the same: whoever shows one wants to be known by it. And a session from
      // before a reload is not asked again.
      if (!socket.authorized || credentials.current.revoked.has(serialOf(shown))) {
        onRefused(`client certificate: ${String(socket.authorizationError ?? "revoked")}`, socket);
        socket.destroy();
        return;
      }
      identified.set(socket, serialOf(shown));
      socket.once("close", () => identified.delete(socket));
    }
    onSecure(socket, socket.alpnProtocol === "h2" ? "http2" : "http1");
  });
  server.on("tlsClientError", (error, socket) => {
    onRefused(`handshake: ${reasonOf(error)}`, socket);
    // Node leaves open what took too long.
    socket.destroy();
  });

  credentials.onChange((material: ServerMaterial) => {
    server.setSecureContext(material.context);
    for (const [socket, serial] of identified) {
      if (material.revoked.has(serial)) {
        onRefused("client certificate: revoked", socket);
        socket.destroy();
      }
    }
  });

  return {
    accept(socket) {
      const place = placeOf(socket);
      handshaking.set(place, socket);
      socket.once("close", () => {
        if (handshaking.get(place) === socket) handshaking.delete(place);
      });
      server.emit("connection", socket);
    },
    drain() {
      for (const socket of handshaking.values()) socket.destroy();
    },
  };
}

function placeOf({ remoteAddress = "", remotePort = 0 }: Socket): string {
  return `${remoteAddress}|${remotePort}`;
}

function reasonOf(error: Error & { readonly code?: string }): string {
  return error.code ?? error.message;
}
