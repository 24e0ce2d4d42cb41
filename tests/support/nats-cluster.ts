// Owns JetStream clusters for tests: several real nats-servers of this machine that elect leaders among themselves.
// Every route is an explicit one, so that a proxy between two nodes cannot be gone around.
import { jetstreamManager, type JetStreamManager } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";

import { pause } from "../../lib/time/pause.ts";
import { fixedPort } from "./fixed-port.ts";
import { openTestNats, type TestNats, type TestNatsSettings } from "./nats.ts";

/** How a cluster is built. */
export interface NatsClusterOptions {
  /** How many servers: 1 to 5. Default 3. */
  readonly nodes?: number;
  /** Settings of every server; its port is chosen by the cluster. */
  readonly settings?: Omit<TestNatsSettings, "port">;
  /** Where each node keeps its data: a new folder in the folder of its place here. Default: the system's folder of temporary files. */
  readonly parentDirs?: readonly string[];
  /**
   * Puts something between two nodes: called once for each ordered pair with the port that node `to` listens on for
   * routes; node `from` dials the returned port of 127.0.0.1 instead. A node is cut off when both directions of all
   * its pairs are cut: what a server learns of the others by gossip leads nowhere.
   */
  readonly routeVia?: (from: number, to: number, targetPort: number) => Promise<number>;
}

/** One server of a cluster. Its ports stay the same over restarts; {@link TestNats.restart} waits until it is healthy. */
export interface NatsNode extends TestNats {
  /** Its place in {@link NatsCluster.nodes}. */
  readonly index: number;
  /** How it calls itself in the cluster: `n0`, `n1`, … */
  readonly serverName: string;
  /** The process that runs now, or that ended last. */
  readonly pid: number;
  /** Ends the server cleanly; {@link TestNats.restart} brings it back. */
  stop(): Promise<void>;
  /** Stops the process where it stands (SIGSTOP): its sockets stay open and say nothing. */
  pause(): void;
  /** Lets a paused process go on. */
  resume(): void;
}

/** A cluster that has a leader. */
export interface NatsCluster extends AsyncDisposable {
  readonly nodes: readonly NatsNode[];
  /** All nodes, comma-separated. */
  readonly url: string;
  /** The node that leads a stream. Waits for an election, for at most 30 s. */
  leaderOf(stream: string): Promise<NatsNode>;
  /** Makes the leader of a stream hand over to another node, and resolves with that one. */
  stepDown(stream: string): Promise<NatsNode>;
}

/** JetStream elects within ten seconds; a busy machine needs longer. */
const ELECTION_TIMEOUT_MS = 30_000;
const POLL_MS = 50;
const CONNECT_TIMEOUT_MS = 1_000;
const REQUEST_TIMEOUT_MS = 2_000;

/** How often ports are chosen anew when another process took one between the choice and the start. */
const MAX_STARTS = 3;

/** Starts the servers, and resolves when a stream with a replica on each of them can be made. */
export async function openNatsCluster(options: NatsClusterOptions = {}): Promise<NatsCluster> {
  for (let start = 1; ; start += 1) {
    try {
      return await open(options);
    } catch (error) {
      if (start === MAX_STARTS || !(error instanceof Error && error.message.includes("already in use"))) throw error;
    }
  }
}

async function open(options: NatsClusterOptions): Promise<NatsCluster> {
  const size = options.nodes ?? 3;
  const routePorts = await Promise.all(Array.from({ length: size }, fixedPort));
  const clientPorts = await Promise.all(Array.from({ length: size }, fixedPort));
  // Together: none of them is healthy before a majority has elected a leader.
  const starts = await Promise.allSettled(
    routePorts.map(async (_, index) => {
      const routes = await routesFrom(index, routePorts, options.routeVia);
      const config = clusterConfig(index, routePorts[index]!, routes, options);
      return await openNode(index, { ...config, port: clientPorts[index]! }, options.parentDirs?.[index]);
    }),
  );
  const nodes = starts.flatMap((start) => (start.status === "fulfilled" ? [start.value] : []));
  const cluster: NatsCluster = {
    nodes,
    url: nodes.map(({ url }) => url).join(","),
    leaderOf: async (stream) => await leaderOf(nodes, stream),
    stepDown: async (stream) => await stepDown(nodes, stream),
    [Symbol.asyncDispose]: async () => {
      await Promise.all(nodes.map((node) => node[Symbol.asyncDispose]()));
    },
  };
  try {
    for (const start of starts) if (start.status === "rejected") throw start.reason;
    await proveReplication(nodes);
  } catch (error) {
    await cluster[Symbol.asyncDispose]();
    throw error;
  }
  return cluster;
}

async function routesFrom(
  from: number,
  routePorts: readonly number[],
  via: NatsClusterOptions["routeVia"],
): Promise<readonly number[]> {
  const others = routePorts.map((port, to) => ({ port, to })).filter(({ to }) => to !== from);
  return await Promise.all(others.map(({ port, to }) => via?.(from, to, port) ?? Promise.resolve(port)));
}

function clusterConfig(
  index: number,
  routePort: number,
  routes: readonly number[],
  { settings = {}, routeVia }: NatsClusterOptions,
): TestNatsSettings {
  const lines = [
    `server_name: n${index}`,
    "cluster {",
    "  name: mycel-test",
    `  listen: "127.0.0.1:${routePort}"`,
    `  routes: [${routes.map((port) => `"nats://127.0.0.1:${port}"`).join(", ")}]`,
    // Clients keep to the URLs they were given: a test puts proxies there too.
    "  no_advertise: true",
    // What a server tells the others of itself; port 1 answers nobody, so the only ways are the routes above.
    ...(routeVia === undefined ? [] : ['  cluster_advertise: "127.0.0.1:1"']),
    "}",
  ];
  return { ...settings, extraConfig: [...lines, settings.extraConfig ?? ""].join("\n") };
}

async function openNode(index: number, settings: TestNatsSettings, parentDir?: string): Promise<NatsNode> {
  const nats = await openTestNats(settings, parentDir);
  const node = {
    index,
    serverName: `n${index}`,
    get pid(): number {
      return nats.process.pid;
    },
    stop: async (): Promise<void> => await nats.process.stop(),
    pause: (): void => void process.kill(nats.process.pid, "SIGSTOP"),
    resume: (): void => void process.kill(nats.process.pid, "SIGCONT"),
  };
  // The server's own members are read at each use: its process changes with every restart.
  return Object.create(nats, Object.getOwnPropertyDescriptors(node)) as NatsNode;
}

async function leaderOf(nodes: readonly NatsNode[], stream: string): Promise<NatsNode> {
  return await untilElected(`no leader of ${stream}`, nodes, async (manager) => {
    const { cluster } = await manager.streams.info(stream);
    return nodes.find(({ serverName }) => serverName === cluster?.leader);
  });
}

async function stepDown(nodes: readonly NatsNode[], stream: string): Promise<NatsNode> {
  const before = await leaderOf(nodes, stream);
  return await untilElected(`no other leader of ${stream}`, nodes, async (manager, request) => {
    const { cluster } = await manager.streams.info(stream);
    const leader = nodes.find(({ serverName }) => serverName === cluster?.leader);
    if (leader !== before) return leader;
    await request(`$JS.API.STREAM.LEADER.STEPDOWN.${stream}`);
    return undefined;
  });
}

async function proveReplication(nodes: readonly NatsNode[]): Promise<void> {
  const name = "CLUSTER_PROBE";
  await untilElected("no replicated stream can be made", nodes, async (manager) => {
    await manager.streams.add({ name, subjects: ["cluster.probe"], num_replicas: nodes.length });
    return await manager.streams.delete(name);
  });
}

/** Asks until there is an answer; errors in between are an election's. */
async function untilElected<T>(
  what: string,
  nodes: readonly NatsNode[],
  ask: (manager: JetStreamManager, request: (subject: string) => Promise<unknown>) => Promise<T | undefined>,
): Promise<T> {
  const untilMs = performance.now() + ELECTION_TIMEOUT_MS;
  for (let last: unknown; ; await pause(POLL_MS)) {
    try {
      await using connection = await connect({
        ...nodes[0]?.access,
        servers: nodes.map(({ url }) => url),
        timeout: CONNECT_TIMEOUT_MS,
        reconnect: false,
      });
      const manager = await jetstreamManager(connection, { checkAPI: false, timeout: REQUEST_TIMEOUT_MS });
      const request = async (subject: string): Promise<unknown> =>
        await connection.request(subject, "", { timeout: REQUEST_TIMEOUT_MS });
      const found = await ask(manager, request);
      if (found !== undefined) return found;
    } catch (error) {
      last = error;
    }
    if (performance.now() > untilMs) throw new Error(`${what} within ${ELECTION_TIMEOUT_MS} ms`, { cause: last });
  }
}
