// An HTTP/2 server of a fake: serves what it is given on a port of this machine, and ends connections on cue. Knows no service.
import { once } from "node:events";
import { createSecureServer, createServer, type SecureServerOptions, type ServerHttp2Session } from "node:http2";
import type { AddressInfo, Socket } from "node:net";
import type { TLSSocket } from "node:tls";
import type { ConnectRouter } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";

/** A running server. */
export interface CuttableServer extends AsyncDisposable {
  readonly url: string;
  readonly port: number;
  /** How many connections are open. */
  readonly connections: number;
  /** The SHA-256 of the certificates that clients showed, in the order of their connections. */
  readonly clientCertificates: readonly string[];
  /** Cuts every open connection. */
  cut(): void;
  /** Sends everybody away, as a server does that is about to stop: a connection is closed when its last call is over. */
  sendAway(): void;
  /** Stops listening and cuts everything. */
  stop(): Promise<void>;
}

/** Starts a server; on a free port unless told which. */
export async function openCuttableServer(
  routes: (router: ConnectRouter) => void,
  options: { readonly port?: number | undefined; readonly tls?: SecureServerOptions | undefined } = {},
): Promise<CuttableServer> {
  const sockets = new Set<Socket>();
  const sessions = new Set<ServerHttp2Session>();
  const adapter = connectNodeAdapter({ routes });
  const { tls } = options;
  const server = tls === undefined ? createServer(adapter) : createSecureServer(tls, adapter);
  server.on("connection", (socket: Socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket)).on("error", () => undefined);
  });
  const clientCertificates: string[] = [];
  server.on("secureConnection", (socket: TLSSocket) => {
    const shown = socket.getPeerX509Certificate()?.fingerprint256;
    if (shown !== undefined) clientCertificates.push(shown);
  });
  server.on("session", (session: ServerHttp2Session) => {
    sessions.add(session);
    session.on("close", () => sessions.delete(session));
  });
  server.on("sessionError", () => undefined);
  server.listen(options.port ?? 0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const cut = (): void => {
    for (const socket of sockets) socket.destroy();
  };
  const stop = async (): Promise<void> => {
    if (!server.listening) return;
    const closed = once(server, "close");
    server.close();
    cut();
    await closed;
  };
  return {
    url: `${tls === undefined ? "http" : "https"}://127.0.0.1:${port}`,
    port,
    get connections() {
      return sockets.size;
    },
    clientCertificates,
    cut,
    sendAway() {
      for (const session of sessions) session.close();
    },
    stop,
    [Symbol.asyncDispose]: stop,
  };
}
