// A TCP proxy that stands between two parties of a mesh and spoils their connections on demand. `out` is from whoever connects to the
// target, `in` is back.
import { once } from "node:events";
import { connect, createServer, type Server, type Socket } from "node:net";
import { fixedPort } from "../../support/fixed-port.ts";
import type { Flow, LinkFaults } from "./link-faults.ts";
import { type FlowFaults, noFaults, openFlow, type TcpFlow } from "./tcp-flow.ts";

/** Where a proxy stands. */
export interface TcpProxyOptions {
  /** The port of 127.0.0.1 that it leads to. */
  readonly targetPort: number;
  /** The port of 127.0.0.1 that it listens on; a free one if left out. It is the same after a cut. */
  readonly port?: number;
}

/** A running proxy. Disposing it resets every connection. */
export interface TcpProxy extends LinkFaults, AsyncDisposable {
  readonly port: number;
  readonly targetPort: number;
  /** How many connections stand. */
  readonly connections: number;
}

/** Starts a proxy. */
export async function openTcpProxy(options: TcpProxyOptions): Promise<TcpProxy> {
  const proxy = new Proxy(options.targetPort, options.port ?? (await fixedPort()));
  await proxy.listen();
  return proxy;
}

/** One connection: the party that opened it, and the target once it is reached. */
interface Connection {
  readonly client: Socket;
  target: Socket | undefined;
  flows: { readonly out: TcpFlow; readonly in: TcpFlow } | undefined;
  /** One side is gone, and the other must not know yet. */
  broken: boolean;
}

class Proxy implements TcpProxy {
  readonly port: number;
  readonly targetPort: number;
  readonly #connections = new Set<Connection>();
  readonly #out: FlowFaults = noFaults();
  readonly #in: FlowFaults = noFaults();
  #server: Server | undefined;

  constructor(targetPort: number, port: number) {
    this.targetPort = targetPort;
    this.port = port;
  }

  get connections(): number {
    return this.#connections.size;
  }

  async listen(): Promise<void> {
    if (this.#server !== undefined) return;
    const server = createServer({ allowHalfOpen: true, pauseOnConnect: true, noDelay: true }, (client) => {
      this.#accept(client);
    });
    this.#server = server;
    server.listen(this.port, "127.0.0.1");
    await once(server, "listening");
  }

  delay(ms: number, jitterMs: number = 0, flow: Flow = "both"): void {
    this.#change(flow, (faults) => Object.assign(faults, { delayMs: ms, jitterMs }));
  }

  throttle(bytesPerSecond: number, flow: Flow = "both"): void {
    this.#change(flow, (faults) => Object.assign(faults, { bytesPerSecond, rateFreeMs: 0 }));
  }

  blackhole(flow: Flow = "both"): void {
    this.#change(flow, (faults) => Object.assign(faults, { stopped: true }));
  }

  drop(flow: Flow = "both"): void {
    this.dropAfter(0, flow);
  }

  dropAfter(bytes: number, flow: Flow = "both"): void {
    this.#change(flow, (faults) => Object.assign(faults, { passBytes: bytes }));
  }

  async cut(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    if (server === undefined) return;
    server.close();
    this.reset();
    await once(server, "close");
  }

  reset(): void {
    for (const connection of this.#connections) this.#drop(connection);
  }

  halfClose(flow: "out" | "in"): void {
    for (const { flows } of this.#connections) flows?.[flow].end();
  }

  async heal(): Promise<void> {
    Object.assign(this.#out, noFaults());
    Object.assign(this.#in, noFaults());
    for (const connection of this.#connections) {
      const { flows, broken } = connection;
      if (broken || flows?.out.lossy === true || flows?.in.lossy === true) this.#drop(connection);
      else {
        this.#wake(connection);
        flows?.out.heal();
        flows?.in.heal();
      }
    }
    await this.listen();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.cut();
  }

  #change(flow: Flow, change: (faults: FlowFaults) => void): void {
    if (flow !== "in") change(this.#out);
    if (flow !== "out") change(this.#in);
    for (const connection of this.#connections) this.#wake(connection);
  }

  #wake(connection: Connection): void {
    if (connection.target === undefined) this.#reach(connection);
    connection.flows?.out.wake();
    connection.flows?.in.wake();
  }

  #accept(client: Socket): void {
    const connection: Connection = { client, target: undefined, flows: undefined, broken: false };
    this.#connections.add(connection);
    this.#watch(connection, client);
    this.#reach(connection);
  }

  /** Opens the way to the target, unless there is none: what is sent meanwhile waits in the sockets. */
  #reach(connection: Connection): void {
    if (this.#out.stopped && this.#in.stopped) return;
    const { client } = connection;
    const target = connect({ port: this.targetPort, host: "127.0.0.1", allowHalfOpen: true, noDelay: true });
    connection.target = target;
    this.#watch(connection, target);
    target.once("connect", () => {
      if (!this.#connections.has(connection)) return;
      connection.flows = { out: openFlow(client, target, this.#out), in: openFlow(target, client, this.#in) };
    });
  }

  #watch(connection: Connection, socket: Socket): void {
    // Without a listener an error would end the test; the close that follows is what counts.
    socket.on("error", () => undefined);
    socket.once("close", (hadError: boolean) => {
      if (!this.#connections.has(connection)) return;
      // The news of a connection's end does not get through either.
      const away = socket === connection.client ? this.#out : this.#in;
      if (away.stopped || away.passBytes <= 0) connection.broken = true;
      else if (hadError) this.#drop(connection);
      // One that ended in order is over when both sides have said all.
      else if (connection.client.destroyed && connection.target?.destroyed === true) this.#forget(connection);
    });
  }

  #drop(connection: Connection): void {
    this.#forget(connection);
    connection.client.resetAndDestroy();
    connection.target?.resetAndDestroy();
  }

  #forget(connection: Connection): void {
    this.#connections.delete(connection);
    connection.flows?.out.close();
    connection.flows?.in.close();
  }
}
