// Real web servers for what goes out of the mesh: plain or TLS, on any loopback address, each counting who came.
import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { createServer as createTlsServer } from "node:https";
import { generate } from "selfsigned";

/** Answers a request; may take its time. */
export type WebListener = (request: IncomingMessage, response: ServerResponse) => unknown;

/** A certificate and its key, in PEM. */
export interface TestCertificate {
  readonly cert: string;
  readonly key: string;
}

/** A server that runs. */
export interface WebServer extends AsyncDisposable {
  /** Without a slash at its end. */
  readonly url: string;
  readonly port: number;
  /** How many connections it has taken. */
  connections(): number;
  /** Resolves when all connections that it has taken are closed. */
  closed(): Promise<void>;
}

/** How a server is opened. */
export interface WebServerOptions {
  /** The address it listens at; 127.0.0.1 if left out. */
  readonly host?: string;
  /** Any free one if left out. */
  readonly port?: number;
  /** Speaks TLS with it. */
  readonly certificate?: TestCertificate;
}

/** Opens a server that answers by `listener`. */
export async function openWebServer(listener: WebListener, options: WebServerOptions = {}): Promise<WebServer> {
  const { host = "127.0.0.1", port = 0, certificate } = options;
  const listen = (request: IncomingMessage, response: ServerResponse): void => void listener(request, response);
  const server: Server = certificate === undefined ? createServer(listen) : createTlsServer(certificate, listen);
  const open = new Set<Promise<unknown>>();
  let connections = 0;
  server.on("connection", (socket) => {
    connections += 1;
    socket.on("error", () => {});
    open.add(new Promise((resolve) => void socket.once("close", resolve)));
  });
  server.on("tlsClientError", () => {});
  server.listen(port, host);
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("the server has no port");
  const shown = host.includes(":") ? `[${host}]` : host;
  return {
    url: `${certificate === undefined ? "http" : "https"}://${shown}:${address.port}`,
    port: address.port,
    connections: () => connections,
    async closed() {
      await Promise.all(open);
    },
    async [Symbol.asyncDispose]() {
      server.close();
      server.closeAllConnections();
      if (server.listening) await once(server, "close");
    },
  };
}

/** Makes a certificate that signs itself, for 127.0.0.1 and `a.test` unless told otherwise. */
export async function makeCertificate(
  options: { readonly names?: readonly string[]; readonly from?: Date; readonly to?: Date } = {},
): Promise<TestCertificate> {
  const { names = ["127.0.0.1", "a.test"], from, to } = options;
  const made = await generate([{ name: "commonName", value: names.at(-1)! }], {
    keyType: "ec",
    algorithm: "sha256",
    ...(from === undefined ? {} : { notBeforeDate: from }),
    ...(to === undefined ? {} : { notAfterDate: to }),
    extensions: [
      { name: "basicConstraints", cA: true },
      {
        name: "subjectAltName",
        altNames: names.map((name) => (/^[\d.]+$/.test(name) ? { type: 7, ip: name } : { type: 2, value: name })),
      },
    ],
  });
  return { cert: made.cert, key: made.private };
}
