// The nats-servers of a mesh as its members: one alone, or a cluster that elects leaders among its servers.
import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import process from "node:process";
import type { TestNatsSettings } from "../../support/nats.ts";
import { openTestNats, type TestNats } from "../../support/nats.ts";
import { openNatsCluster } from "../../support/nats-cluster.ts";
import type { LinkProxy, ProxyBook } from "./link-proxy.ts";
import type { ExitStatus, Member } from "./member.ts";
import type { SmallDisk } from "./small-disk.ts";

/** One nats-server. {@link Member.restart} resolves when it is healthy: in a cluster, when a majority is there. */
export interface Broker extends Member {
  readonly role: "broker";
  /** Where clients reach it, past all proxies. */
  readonly url: string;
  readonly port: number;
  /** Monitoring pages of the process that runs now. */
  readonly monitorUrl: string;
  /** Where it keeps its store. */
  readonly dataDir: string;
  /** The disk under its store, if it was given one of its own. */
  readonly disk: SmallDisk | undefined;
}

/** The brokers of a mesh. */
export interface Brokers extends AsyncDisposable {
  readonly all: readonly Broker[];
  /** The broker that leads a stream. Waits for an election, for at most 30 s. */
  leaderOf(stream: string): Promise<Broker>;
  /** Makes the leader of a stream hand over, and resolves with the one that leads then. Needs a cluster. */
  stepDown(stream: string): Promise<Broker>;
}

/** How many brokers, and how they are set. */
export interface BrokersOptions {
  readonly count: 1 | 3;
  readonly settings: TestNatsSettings;
  /** Where the proxies between them are noted; there are none if it is left out. */
  readonly routes?: ProxyBook | undefined;
  /** The disks under their stores, in their order. The system's folder of temporary files if there are none. */
  readonly disks?: readonly SmallDisk[];
}

const OUTPUT_BYTES = 8_192;

/** Starts the brokers; resolves when they serve. */
export async function openBrokers({ count, settings, routes, disks = [] }: BrokersOptions): Promise<Brokers> {
  if (count === 1) {
    const [disk] = disks;
    const nats = await openTestNats(settings, disk?.dir);
    const broker = brokerOf("n0", nats, { disk, peers: undefined });
    return {
      all: [broker],
      leaderOf: () => Promise.resolve(broker),
      stepDown: (stream) => Promise.reject(new Error(`${stream} has one replica: nobody can take over`)),
      [Symbol.asyncDispose]: () => nats[Symbol.asyncDispose](),
    };
  }
  const routeVia = async (from: number, to: number, port: number): Promise<number> =>
    (await routes?.between(`n${from}`, { name: `n${to}`, port })) ?? port;
  const cluster = await openNatsCluster({
    nodes: count,
    settings,
    parentDirs: disks.map(({ dir }) => dir),
    ...(routes === undefined ? {} : { routeVia }),
  });
  const all = cluster.nodes.map((node) =>
    brokerOf(node.serverName, node, { disk: disks[node.index], peers: routes?.routesOf(node.serverName) }),
  );
  const brokerAt = (index: number): Broker => {
    const broker = all[index];
    if (broker === undefined) throw new RangeError(`there is no broker ${index}`);
    return broker;
  };
  return {
    all,
    leaderOf: async (stream) => brokerAt((await cluster.leaderOf(stream)).index),
    stepDown: async (stream) => brokerAt((await cluster.stepDown(stream)).index),
    [Symbol.asyncDispose]: () => cluster[Symbol.asyncDispose](),
  };
}

function brokerOf(
  name: string,
  nats: TestNats,
  { disk, peers }: { readonly disk: SmallDisk | undefined; readonly peers: LinkProxy | undefined },
): Broker {
  const ended = new WeakSet<object>();
  const status = async (): Promise<ExitStatus> => {
    const { code, signal } = await nats.process.exited;
    return signal ?? code;
  };
  const watch = (): void => {
    const { process: server } = nats;
    void server.exited.then(() => ended.add(server));
  };
  watch();
  const signal = (what: NodeJS.Signals): void => {
    if (!ended.has(nats.process)) process.kill(nats.process.pid, what);
  };
  return {
    name,
    role: "broker",
    url: nats.url,
    port: Number(new URL(nats.url).port),
    dataDir: nats.dataDir,
    disk,
    proxies: peers === undefined ? {} : { "broker-broker": peers },
    get monitorUrl() {
      return nats.monitorUrl;
    },
    get pid() {
      return nats.process.pid;
    },
    get running() {
      return !ended.has(nats.process);
    },
    get exited() {
      return status();
    },
    kill: () => nats.kill(),
    pause: () => signal("SIGSTOP"),
    resume: () => signal("SIGCONT"),
    terminate: async () => {
      await nats.process.stop();
      return await status();
    },
    restart: async () => {
      await nats.kill();
      await nats.restart();
      watch();
    },
    jumpClock: () => Promise.reject(new Error("the clock of a nats-server cannot be set from outside")),
    output: () => tailOf(nats.process.logFile),
  };
}

function tailOf(file: string): string {
  const handle = openSync(file, "r");
  try {
    const { size } = fstatSync(handle);
    const length = Math.min(size, OUTPUT_BYTES);
    const buffer = Buffer.alloc(length);
    return buffer.toString("utf8", 0, readSync(handle, buffer, 0, length, size - length));
  } finally {
    closeSync(handle);
  }
}
