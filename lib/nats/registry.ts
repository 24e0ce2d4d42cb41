// Who is registered: a bucket whose keys expire unless a heartbeat renews them. The engine's own delete marker is the news that an
// agent was lost; nobody sweeps.

import { type KV, Kvm, type KvWatchEntry } from "@nats-io/kv";
import type { NatsConnection } from "@nats-io/nats-core";
import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { type Agent, AgentSchema } from "../../gen/mycel/v1/agent_pb.ts";
import { pause } from "../time/pause.ts";
import { AGENTS_BUCKET } from "../wire/subjects.ts";
import { askThrough } from "./interruptions.ts";

/** A change of the fleet. */
export interface RegistryChange {
  readonly kind: "added" | "updated" | "removed" | "lost";
  readonly tenant: string;
  readonly agent: Agent;
}

/** How long to wait before a watch that broke is opened again, in milliseconds. */
const RETRY_MS = 1_000;

/** Who is told of what went wrong. */
export interface RegistryObserver {
  /** The watch broke; it is opened again. */
  readonly onError: (error: unknown) => void;
  /** What stands under a key is no agent; it is left out. */
  readonly onGarbage: (key: string) => void;
}

/** Hears of changes. Must not throw. */
export type RegistryListener = (change: RegistryChange) => void;

/** The registered agents, as the bucket has them; kept up to date by a watch. */
export class Registry implements AsyncDisposable {
  readonly #connection: NatsConnection;
  readonly #bucket: KV;
  readonly #agents = new Map<string, Agent>();
  readonly #listeners = new Set<RegistryListener>();
  readonly #observer: RegistryObserver;
  readonly #stopping = new AbortController();
  #loop: Promise<void> = Promise.resolve();

  private constructor(connection: NatsConnection, bucket: KV, observer: RegistryObserver) {
    this.#connection = connection;
    this.#bucket = bucket;
    this.#observer = observer;
  }

  /** Opens the registry; resolves when it shows everybody who is registered. */
  static async open(connection: NatsConnection, observer: RegistryObserver): Promise<Registry> {
    const registry = new Registry(connection, await new Kvm(connection).open(AGENTS_BUCKET), observer);
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

  /** Writes an agent and lets it live for another TTL. */
  async put(tenant: string, agent: Agent): Promise<void> {
    const entry = toBinary(AgentSchema, agent);
    await askThrough(this.#connection, () => this.#bucket.put(keyOf(tenant, agent.agentId), entry));
    this.#apply(tenant, agent);
  }

  /** Removes an agent. */
  async remove(tenant: string, agentId: string): Promise<void> {
    await askThrough(this.#connection, () => this.#bucket.delete(keyOf(tenant, agentId)));
    this.#forget(keyOf(tenant, agentId), "removed");
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

  async #watch(onSynced: () => void, onFailed: (error: unknown) => void): Promise<void> {
    const { signal } = this.#stopping;
    let first = true;
    while (!signal.aborted) {
      let stop: (() => void) | undefined;
      try {
        const entries = await this.#bucket.watch();
        stop = () => entries.stop();
        signal.addEventListener("abort", stop);
        // It may have been closed while the watch was opened.
        if (signal.aborted) stop();
        const seen = new Set<string>();
        let replaying = true;
        const synced = (): void => {
          replaying = false;
          // After a watch that broke, whoever is no longer there was lost meanwhile.
          for (const key of this.#agents.keys()) if (!seen.has(key)) this.#forget(key, "lost");
          if (first) onSynced();
          first = false;
        };
        if ((await this.#isEmpty()) && replaying) synced();
        for await (const entry of entries) {
          seen.add(entry.key);
          this.#take(entry);
          if (replaying && entry.delta === 0) synced();
        }
      } catch (error) {
        if (first) return onFailed(error);
        if (!signal.aborted) this.#observer.onError(error);
      } finally {
        stop?.();
        if (stop !== undefined) signal.removeEventListener("abort", stop);
      }
      await pause(RETRY_MS, signal);
    }
  }

  async #isEmpty(): Promise<boolean> {
    return (await this.#bucket.status()).values === 0;
  }

  #take(entry: KvWatchEntry): void {
    if (entry.operation !== "PUT") {
      this.#forget(entry.key, entry.operation === "DEL" ? "removed" : "lost");
      return;
    }
    const agent = agentIn(entry);
    const tenant = entry.key.split(".")[0] ?? "";
    if (agent !== undefined && entry.key === keyOf(tenant, agent.agentId)) this.#apply(tenant, agent);
    // The broker lets it expire as it would the agent.
    else this.#observer.onGarbage(entry.key);
  }

  #apply(tenant: string, agent: Agent): void {
    const key = keyOf(tenant, agent.agentId);
    const kind = this.#agents.has(key) ? "updated" : "added";
    this.#agents.set(key, agent);
    this.#tell({ kind, tenant, agent });
  }

  #forget(key: string, kind: "removed" | "lost"): void {
    const agent = this.#agents.get(key);
    if (agent === undefined) return;
    this.#agents.delete(key);
    this.#tell({ kind, tenant: key.split(".")[0] ?? "", agent });
  }

  #tell(change: RegistryChange): void {
    for (const listener of this.#listeners) listener(change);
  }
}

function agentIn(entry: KvWatchEntry): Agent | undefined {
  try {
    return fromBinary(AgentSchema, entry.value);
  } catch {
    return undefined;
  }
}

function keyOf(tenant: string, agentId: string): string {
  return `${tenant}.${agentId}`;
}
