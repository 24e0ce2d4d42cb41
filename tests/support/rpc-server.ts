// A real server for tests of the RPC pieces: health and reflection behind the listener, on a free port.
import { connectNodeAdapter } from "@connectrpc/connect-node";
import type { ConnectRouter, ConnectRouterOptions } from "@connectrpc/connect";
import { Health as HealthService } from "../../gen/health/v1/health_pb.ts";
import { createHealth } from "../../lib/rpc/health/health.ts";
import type { Health } from "../../lib/rpc/health/health.ts";
import { openListener } from "../../lib/rpc/listener/listener.ts";
import type { Listener, ListenerOptions } from "../../lib/rpc/listener/listener.ts";
import { addReflection } from "../../lib/rpc/reflection/reflection.ts";
import type { ReflectionOptions } from "../../lib/rpc/reflection/reflection.ts";

/** A running server. */
export interface RpcServer extends AsyncDisposable {
  readonly listener: Listener;
  readonly health: Health;
  readonly url: string;
  readonly port: number;
}

/** Starts a server; with `routes`, these replace health and reflection. */
export async function openRpcServer(
  options: {
    readonly listener?: Partial<ListenerOptions>;
    readonly router?: ConnectRouterOptions;
    readonly routes?: (router: ConnectRouter) => void;
    readonly reflection?: Partial<ReflectionOptions>;
  } = {},
): Promise<RpcServer> {
  const health = createHealth({ services: [HealthService] });
  const routes = (router: ConnectRouter): void => {
    health.register(router);
    addReflection(router, { services: [HealthService], ...options.reflection });
  };
  const listener = await openListener({
    handler: connectNodeAdapter({ ...options.router, routes: options.routes ?? routes }),
    ...options.listener,
  });
  return {
    listener,
    health,
    url: listener.url,
    port: listener.address.port,
    [Symbol.asyncDispose]: () => listener[Symbol.asyncDispose](),
  };
}
