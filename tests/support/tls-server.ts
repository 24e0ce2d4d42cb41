// Owns a TLS server of the RPC pieces for tests: health and reflection behind a listener that speaks TLS.
import type { ConnectRouter } from "@connectrpc/connect";
import { silentLogger, type Logger } from "../../lib/core/logger.ts";
import type { ListenerOptions } from "../../lib/rpc/listener/listener.ts";
import {
  openServerCredentials,
  type ServerCredentials,
  type ServerTlsOptions,
} from "../../lib/tls/server-credentials.ts";
import { openRpcServer, type RpcServer } from "./rpc-server.ts";

/** A running server. */
export interface TlsServer extends RpcServer {
  readonly credentials: ServerCredentials;
  /** Why connections were refused so far. */
  readonly refusals: readonly string[];
}

/** Starts one. It looks at its files only when told to, unless the options say how often. */
export async function openTlsServer(
  tls: ServerTlsOptions,
  options: {
    readonly listener?: Partial<ListenerOptions>;
    readonly logger?: Logger;
    readonly routes?: (router: ConnectRouter) => void;
  } = {},
): Promise<TlsServer> {
  const refusals: string[] = [];
  const credentials = await openServerCredentials(
    { reloadIntervalMs: 3_600_000, ...tls },
    options.logger ?? silentLogger,
  );
  const server = await openRpcServer({
    listener: { ...options.listener, tls: credentials, onRefused: (why) => refusals.push(why) },
    ...(options.routes === undefined ? {} : { routes: options.routes }),
  });
  return {
    listener: server.listener,
    health: server.health,
    url: server.url,
    port: server.port,
    credentials,
    refusals,
    async [Symbol.asyncDispose]() {
      credentials[Symbol.dispose]();
      await server[Symbol.asyncDispose]();
    },
  };
}
