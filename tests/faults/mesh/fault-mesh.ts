// A whole mesh of real processes that faults are injected into: brokers, coordinators and agents of fault-agent.ts, each of which can be
// killed, paused and started again. Injects nothing by itself.
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestNatsSettings } from "../../support/nats.ts";
import { fixedPort } from "../../support/fixed-port.ts";
import { type Broker, openBrokers } from "./broker.ts";
import { type Listener, type LinkProxy, openProxyBook } from "./link-proxy.ts";
import type { Link, Member } from "./member.ts";
import { type MemberProcess, type MemberProcessOptions, startMember } from "./member-process.ts";
import { openSmallDisk, type SmallDisk } from "./small-disk.ts";
import { testTrust } from "../../support/trust.ts";

type Env = Readonly<Record<string, string>>;

/** What a mesh is made of. */
export interface FaultMeshOptions {
  /** How many nats-servers: 1, or 3 as a cluster that keeps three replicas of everything. Default 1. */
  readonly brokers?: 1 | 3;
  /** Default 2. */
  readonly coordinators?: number;
  /** Default 3. */
  readonly agents?: number;
  /** The lease of a delivery, in milliseconds. Default 2,000. */
  readonly leaseMs?: number;
  /** How many attempts an agent runs at once. Default 16. */
  readonly agentConcurrency?: number;
  /** Which connections go through proxies. Default none: a proxy costs time. */
  readonly links?: readonly Link[];
  /** Settings of every broker. */
  readonly brokerSettings?: Omit<TestNatsSettings, "trust">;
  /** Each broker keeps its store on a disk of its own of this many bytes, as `disk` of the broker. Needs Linux and root. */
  readonly brokerDiskBytes?: number;
  /** Further settings of every coordinator. */
  readonly coordinatorEnv?: Env;
  /** Further settings of every agent. */
  readonly agentEnv?: Env;
}

/** A running mesh. Disposing it ends every process and removes its folder. */
export interface FaultMesh extends AsyncDisposable {
  /** A folder that goes away with the mesh. */
  readonly dir: string;
  /** Where the agents' handlers write their part of the history. */
  readonly historyDir: string;
  /** All brokers, comma-separated, past all proxies. */
  readonly natsUrl: string;
  readonly brokers: readonly Broker[];
  readonly coordinators: readonly MemberProcess[];
  readonly agents: readonly MemberProcess[];
  /** The coordinators' URLs for clients, through their proxies if there are any. They stay the same over restarts. */
  readonly urls: readonly string[];
  /** Starts another agent, called `agent-<n>` if it has no id. `env` holds for all its starts. */
  addAgent(id?: string, env?: Env): Promise<MemberProcess>;
  /** Starts another coordinator. Clients and agents that know the others hear of it only if they are told. */
  addCoordinator(env?: Env): Promise<MemberProcess>;
  /** The broker that leads a stream; the only one if there is one. */
  leaderOf(stream: string): Promise<Broker>;
  /** Makes the leader of a stream hand over, and resolves with the one that leads then. Needs three brokers. */
  stepDown(stream: string): Promise<Broker>;
  /**
   * Cuts a member off from everybody whose link to it goes through a proxy: as a broken network does, in which nobody hears of anything
   * (`silent`), or by resetting and refusing connections (`refused`). Throws a RangeError if no proxy leads to it.
   */
  isolate(member: Member, how?: "silent" | "refused"): Promise<void>;
  /** Ends all faults of all links. */
  heal(): Promise<void>;
}

/** Agents that share 2 cores start best a few at a time. */
const START_AT_ONCE = 4;
const HEARTBEAT_MS = 500;

const LINKS: readonly Link[] = [
  "client-coordinator",
  "agent-coordinator",
  "coordinator-broker",
  "agent-broker",
  "broker-broker",
];

/** Opens a mesh and resolves when all its members are ready. */
export async function openFaultMesh(options: FaultMeshOptions = {}): Promise<FaultMesh> {
  const mesh = new Mesh(options, await mkdtemp(join(tmpdir(), "mycel-faults-")));
  try {
    await mesh.open();
    return mesh;
  } catch (error) {
    await mesh[Symbol.asyncDispose]();
    throw error;
  }
}

class Mesh implements FaultMesh {
  readonly dir: string;
  readonly historyDir: string;
  readonly coordinators: MemberProcess[] = [];
  readonly agents: MemberProcess[] = [];
  readonly urls: string[] = [];
  readonly #options: FaultMeshOptions;
  readonly #stack = new AsyncDisposableStack();
  readonly #book = this.#stack.use(openProxyBook());
  #brokers: Awaited<ReturnType<typeof openBrokers>> | undefined;
  /** Where the coordinators themselves listen. */
  readonly #direct: Listener[] = [];
  #started = 0;

  constructor(options: FaultMeshOptions, dir: string) {
    this.#options = options;
    this.dir = dir;
    this.historyDir = join(dir, "history");
    this.#stack.defer(() => rm(dir, { recursive: true, force: true }));
  }

  get brokers(): readonly Broker[] {
    return this.#brokers?.all ?? [];
  }

  get natsUrl(): string {
    return this.brokers.map(({ url }) => url).join(",");
  }

  async open(): Promise<void> {
    const { brokers = 1, coordinators = 2, agents = 3, brokerSettings = {}, brokerDiskBytes } = this.#options;
    await mkdir(this.historyDir);
    const disks: SmallDisk[] = [];
    while (brokerDiskBytes !== undefined && disks.length < brokers) {
      disks.push(this.#stack.use(await openSmallDisk({ bytes: brokerDiskBytes })));
    }
    this.#brokers = this.#stack.use(
      await openBrokers({
        count: brokers,
        settings: { ...brokerSettings, trust: await testTrust() },
        disks,
        routes: this.#has("broker-broker") ? this.#book : undefined,
      }),
    );
    for (let i = 0; i < coordinators; i += 1) await this.addCoordinator();
    for (let i = 0; i < agents; i += START_AT_ONCE) {
      const next = Array.from({ length: Math.min(START_AT_ONCE, agents - i) }, () => this.addAgent());
      await Promise.all(next);
    }
  }

  async addAgent(id?: string, env: Env = {}): Promise<MemberProcess> {
    this.#started += 1;
    const name = id ?? `agent-${this.#started}`;
    const agent = await startMember({
      name,
      role: "agent",
      entry: "tests/faults/fault-agent.ts",
      env: {
        MYCEL_URL: this.#direct.map(({ port }) => urlOf(port)).join(","),
        MYCEL_AGENT_ID: name,
        MYCEL_CONCURRENCY: String(this.#options.agentConcurrency ?? 16),
        FAULT_HISTORY_DIR: this.historyDir,
        ...this.#options.agentEnv,
        ...env,
      },
      ...(await this.#outgoing({ "agent-coordinator": this.#direct, "agent-broker": this.brokers })),
    });
    this.agents.push(agent);
    return agent;
  }

  async addCoordinator(env: Env = {}): Promise<MemberProcess> {
    const { brokers = 1, leaseMs = 2_000 } = this.#options;
    const name = `coordinator-${this.coordinators.length + 1}`;
    const direct = { name, port: await fixedPort() };
    const { proxies, redirect } = await this.#outgoing({ "coordinator-broker": this.brokers });
    const clients = this.#has("client-coordinator") ? await this.#book.inFrontOf(direct, "clients") : undefined;
    const coordinator = await startMember({
      name,
      role: "coordinator",
      entry: "services/coordinator/main.ts",
      env: {
        NATS_URL: this.natsUrl,
        MYCEL_NATS_TRUST: (await testTrust()).coordinatorDir,
        MYCEL_LISTEN: `127.0.0.1:${direct.port}`,
        MYCEL_LEASE: String(leaseMs),
        MYCEL_HEARTBEAT: String(HEARTBEAT_MS),
        MYCEL_REPLICAS: String(brokers),
        ...this.#options.coordinatorEnv,
        ...env,
      },
      proxies: clients === undefined ? proxies : { ...proxies, "client-coordinator": clients.link },
      redirect,
    });
    this.coordinators.push(coordinator);
    this.#direct.push(direct);
    this.urls.push(urlOf(clients?.port ?? direct.port));
    return coordinator;
  }

  async leaderOf(stream: string): Promise<Broker> {
    return await this.#opened().leaderOf(stream);
  }

  async stepDown(stream: string): Promise<Broker> {
    return await this.#opened().stepDown(stream);
  }

  async isolate(member: Member, how: "silent" | "refused" = "silent"): Promise<void> {
    const links = [...Object.values(member.proxies), ...this.#book.leadingTo(member.name)];
    if (links.length === 0) throw new RangeError(`no proxy leads to ${member.name}: ask for its links`);
    await Promise.all(links.map(async (link) => (how === "silent" ? link.blackhole() : await link.cut())));
  }

  async heal(): Promise<void> {
    await this.#book.heal();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.agents, ...this.coordinators].map((member) => member.kill()));
    await this.#stack.disposeAsync();
  }

  #has(link: Link): boolean {
    return this.#options.links?.includes(link) ?? false;
  }

  /** Puts proxies on the links that a member opens itself, where they were asked for. */
  async #outgoing(
    wanted: Readonly<Partial<Record<Link, readonly Listener[]>>>,
  ): Promise<Pick<MemberProcessOptions, "proxies" | "redirect">> {
    const proxies: Partial<Record<Link, LinkProxy>> = {};
    const redirect = new Map<number, number>();
    for (const [kind, targets] of Object.entries(wanted)) {
      const link = LINKS.find((known) => known === kind);
      if (link === undefined || !this.#has(link)) continue;
      const { link: proxy, ports } = await this.#book.towards(targets);
      proxies[link] = proxy;
      for (const [from, to] of ports) redirect.set(from, to);
    }
    return { proxies, redirect };
  }

  #opened(): Awaited<ReturnType<typeof openBrokers>> {
    if (this.#brokers === undefined) throw new Error("the mesh is not open");
    return this.#brokers;
  }
}

function urlOf(port: number): string {
  return `http://127.0.0.1:${port}`;
}
