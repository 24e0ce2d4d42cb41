// Who is registered: a bucket whose keys expire unless a heartbeat renews them. The engine's own delete marker is the news that an
// agent was lost; nobody sweeps.
//
// What this process writes, it knows at once; what others write, it hears by its watch, a little later. Revisions decide which of two is
// the later one, and a renewal is written only upon what it renews: else the heartbeat of an agent that leaves would bring it back.

import { jetstream, type JetStreamClient, JetStreamApiError, type JetStreamPublishOptions } from "@nats-io/jetstream";
import { headers as natsHeaders, type NatsConnection } from "@nats-io/nats-core";
import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { type Agent, AgentSchema } from "../../gen/mycel/v1/agent_pb.ts";
import { pause } from "../time/pause.ts";
import { OPERATION } from "../wire/headers.ts";
import { AGENTS_BUCKET, bucketStream, bucketSubject } from "../wire/subjects.ts";
import { brokerUnavailable } from "./broker-errors.ts";
import { type BucketChange, watchBucket } from "./bucket-watch.ts";
import { askThrough } from "./interruptions.ts";
import { readFromLeader } from "./stream-leader.ts";

/** A change of the fleet. */
export interface RegistryChange {
  readonly kind: "added" | "updated" | "removed" | "lost";
  readonly tenant: string;
  readonly agent: Agent;
}

/** An agent as the bucket had it. */
interface Entry {
  readonly agent: Agent;
  readonly revision: number;
}

/** How long to wait before a watch that broke is opened again, in milliseconds. */
const RETRY_MS = 500;

/** How often the first watch is tried: while a cluster elects its leaders it may break before it has told anything. */
const MAX_OPENINGS = 10;

/** How often a renewal is tried that somebody else's write got ahead of. */
const MAX_RENEWALS = 5;

/** JetStream's codes for a message that does not follow the one it was to follow. */
const WRONG_LAST_SEQUENCE: ReadonlySet<number> = new Set([10071, 10164]);

const NOTHING = new Uint8Array();

/** Who is told of what went wrong. */
export interface RegistryObserver {
  /** The watch broke, or the broker was asked in vain whether what it did not tell of is gone; both are tried again. */
  readonly onError: (error: unknown) => void;
  /** What stands under a key is no agent; it is left out. */
  readonly onGarbage: (key: string) => void;
}

/** Hears of changes. Must not throw. */
export type RegistryListener = (change: RegistryChange) => void;

/** The registered agents, as the bucket has them; kept up to date by a watch. */
export class Registry implements AsyncDisposable {
  readonly #connection: NatsConnection;
  readonly #client: JetStreamClient;
  readonly #agents = new Map<string, Agent>();
  /** The latest revision known of a key: of each agent, and of what this process removed before its watch told. */
  readonly #revisions = new Map<string, number>();
  /** How far the watch has told. */
  #watched = 0;
  /** Known before the watch broke, and not heard of since. */
  #unconfirmed = new Set<string>();
  readonly #listeners = new Set<RegistryListener>();
  readonly #observer: RegistryObserver;
  readonly #stopping = new AbortController();
  #loop: Promise<void> = Promise.resolve();

  private constructor(connection: NatsConnection, observer: RegistryObserver) {
    this.#connection = connection;
    this.#client = jetstream(connection);
    this.#observer = observer;
  }

  /** Opens the registry; resolves when it shows everybody who is registered. */
  static async open(connection: NatsConnection, observer: RegistryObserver): Promise<Registry> {
    const registry = new Registry(connection, observer);
    const { promise: synced, resolve, reject } = Promise.withResolvers<void>();
    registry.#loop = registry.#watch(resolve, reject);
    await synced;
    return registry;
  }

  /** The agents of a tenant, ordered by id. */
  list(tenant: string): readonly Agent[] {
    const prefix = `${tenant}.`;
    return [...this.#agents]
      .filter(([key]) => key.startsWith(prefix))
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([, agent]) => agent);
  }

  /** An agent as this process knows it. */
  get(tenant: string, agentId: string): Agent | undefined {
    return this.#agents.get(keyOf(tenant, agentId));
  }

  /** An agent by the word of the bucket itself; undefined if it is not registered. Throws MeshError BROKER_UNAVAILABLE. */
  async read(tenant: string, agentId: string): Promise<Agent | undefined> {
    return (await this.#read(keyOf(tenant, agentId)))?.agent;
  }

  /**
   * Writes an agent if nobody is registered under its id, or one whom it may replace, and lets it live for a TTL. Returns whether it was
   * written. Throws MeshError BROKER_UNAVAILABLE.
   */
  async put(tenant: string, agent: Agent, mayReplace: (standing: Agent) => boolean = () => true): Promise<boolean> {
    const key = keyOf(tenant, agent.agentId);
    const value = toBinary(AgentSchema, agent);
    let upon: { readonly agent?: Agent; readonly revision: number } = this.#known(key) ?? { revision: 0 };
    for (let tries = 1; ; tries += 1) {
      // What this process knows may be out of date: a no is taken from the bucket itself.
      if (upon.agent !== undefined && !mayReplace(upon.agent)) {
        upon = await this.#standing(key);
        if (upon.agent !== undefined && !mayReplace(upon.agent)) return false;
      }
      try {
        this.#wrote(key, await this.#write(key, value, upon.revision), agent);
        return true;
      } catch (error) {
        if (!isConflict(error)) throw error;
        if (tries >= MAX_RENEWALS) throw brokerUnavailable(error);
      }
      upon = await this.#standing(key);
    }
  }

  /**
   * Lets an agent that is registered live for another TTL, changed in this way. Returns whether it is registered. Throws MeshError
   * BROKER_UNAVAILABLE.
   */
  async renew(tenant: string, agentId: string, change: (known: Agent) => Agent): Promise<boolean> {
    const key = keyOf(tenant, agentId);
    let known = this.#known(key) ?? (await this.#read(key));
    for (let tries = 1; known !== undefined; tries += 1) {
      const agent = change(known.agent);
      try {
        this.#wrote(key, await this.#write(key, toBinary(AgentSchema, agent), known.revision), agent);
        return true;
      } catch (error) {
        if (!isConflict(error)) throw error;
        if (tries >= MAX_RENEWALS) throw brokerUnavailable(error);
      }
      known = await this.#read(key);
    }
    return false;
  }

  /** Removes an agent. Throws MeshError BROKER_UNAVAILABLE. */
  async remove(tenant: string, agentId: string): Promise<void> {
    const key = keyOf(tenant, agentId);
    const headers = natsHeaders();
    headers.set(OPERATION, "DEL");
    this.#wrote(key, await this.#publish(key, NOTHING, { headers }), undefined);
  }

  /** Hears of every change from now on; returns how to stop. */
  listen(listener: RegistryListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping.abort();
    await this.#loop;
  }

  async #watch(onOpen: () => void, onFailed: (error: unknown) => void): Promise<void> {
    const { signal } = this.#stopping;
    let open = false;
    for (let openings = 1; !signal.aborted; openings += 1) {
      this.#watched = 0;
      // The stream may be another one: its revisions begin anew.
      this.#revisions.clear();
      this.#unconfirmed = new Set(this.#agents.keys());
      try {
        await watchBucket({
          connection: this.#connection,
          bucket: AGENTS_BUCKET,
          signal,
          onChange: (change) => this.#take(change),
          onSynced: () => {
            open = true;
            onOpen();
            for (const key of this.#unconfirmed) void this.#confirm(key);
          },
        });
      } catch (error) {
        if (!open && openings >= MAX_OPENINGS) return onFailed(error);
        this.#observer.onError(error);
        await pause(RETRY_MS, signal);
      }
    }
  }

  /** Whether an agent that a new watch has not told of is gone: a replica that lags behind may not know it yet. */
  async #confirm(key: string): Promise<void> {
    const { signal } = this.#stopping;
    const unconfirmed = this.#unconfirmed;
    while (unconfirmed.has(key) && unconfirmed === this.#unconfirmed && !signal.aborted) {
      try {
        const entry = await this.#read(key);
        if (unconfirmed === this.#unconfirmed && unconfirmed.delete(key) && entry === undefined) {
          this.#forget(key, "lost");
        }
      } catch (error) {
        this.#observer.onError(error);
        await pause(RETRY_MS, signal);
      }
    }
  }

  #take({ key, revision, kind, value }: BucketChange): void {
    this.#watched = revision;
    if (kind !== "put") {
      if (this.#isNews(key, revision)) this.#forget(key, kind === "deleted" ? "removed" : "lost");
      // Nothing that is older can come any more.
      if (!this.#agents.has(key)) this.#revisions.delete(key);
      return;
    }
    const agent = agentIn(key, value);
    // The broker lets it expire as it would the agent.
    if (agent === undefined) this.#observer.onGarbage(key);
    else if (this.#isNews(key, revision)) this.#apply(key, revision, agent);
  }

  /** What this process has written; undefined for what it removed. The watch may have told it already, and what came after it. */
  #wrote(key: string, revision: number, agent: Agent | undefined): void {
    if (revision <= this.#watched || !this.#isNews(key, revision)) return;
    if (agent !== undefined) {
      this.#apply(key, revision, agent);
      return;
    }
    this.#forget(key, "removed");
    this.#revisions.set(key, revision);
  }

  #isNews(key: string, revision: number): boolean {
    return revision > (this.#revisions.get(key) ?? 0);
  }

  #apply(key: string, revision: number, agent: Agent): void {
    const kind = this.#agents.has(key) ? "updated" : "added";
    this.#unconfirmed.delete(key);
    this.#agents.set(key, agent);
    this.#revisions.set(key, revision);
    this.#tell({ kind, tenant: tenantIn(key), agent });
  }

  #forget(key: string, kind: "removed" | "lost"): void {
    const agent = this.#agents.get(key);
    if (agent === undefined) return;
    this.#unconfirmed.delete(key);
    this.#agents.delete(key);
    this.#revisions.delete(key);
    this.#tell({ kind, tenant: tenantIn(key), agent });
  }

  #tell(change: RegistryChange): void {
    for (const listener of this.#listeners) listener(change);
  }

  #known(key: string): Entry | undefined {
    const [agent, revision] = [this.#agents.get(key), this.#revisions.get(key)];
    return agent === undefined || revision === undefined ? undefined : { agent, revision };
  }

  /** What stands under a key in the bucket: an agent, or the mark of one that is gone. */
  async #standing(key: string): Promise<{ readonly agent?: Agent; readonly revision: number }> {
    const query = { last_by_subj: bucketSubject(AGENTS_BUCKET, key) };
    const message = await readFromLeader(this.#connection, bucketStream(AGENTS_BUCKET), query);
    if (message === undefined) return { revision: 0 };
    // What says that a key is gone has no body, and an agent always has one.
    const agent = message.body.length === 0 ? undefined : agentIn(key, message.body);
    return { revision: message.sequence, ...(agent === undefined ? {} : { agent }) };
  }

  /** An agent as it stands in the bucket; undefined if there is none. */
  async #read(key: string): Promise<Entry | undefined> {
    const { agent, revision } = await this.#standing(key);
    return agent === undefined ? undefined : { agent, revision };
  }

  #write(key: string, value: Uint8Array, upon?: number): Promise<number> {
    return this.#publish(key, value, upon === undefined ? {} : { expect: { lastSubjectSequence: upon } });
  }

  async #publish(key: string, value: Uint8Array, options: Partial<JetStreamPublishOptions>): Promise<number> {
    const subject = bucketSubject(AGENTS_BUCKET, key);
    try {
      const { seq } = await askThrough(this.#connection, () => this.#client.publish(subject, value, options));
      return seq;
    } catch (cause) {
      throw isConflict(cause) ? cause : brokerUnavailable(cause);
    }
  }
}

function isConflict(error: unknown): boolean {
  return error instanceof JetStreamApiError && WRONG_LAST_SEQUENCE.has(error.code);
}

/** The agent that stands under a key; undefined for what is none, or is another one. */
function agentIn(key: string, value: Uint8Array): Agent | undefined {
  try {
    const agent = fromBinary(AgentSchema, value);
    return key === keyOf(tenantIn(key), agent.agentId) ? agent : undefined;
  } catch {
    return undefined;
  }
}

function tenantIn(key: string): string {
  return key.split(".")[0] ?? "";
}

function keyOf(tenant: string, agentId: string): string {
  return `${tenant}.${agentId}`;
}
