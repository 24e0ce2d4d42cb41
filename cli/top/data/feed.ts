// Gathers what the dashboard shows: each look asks every part of the mesh at the same time. A part that is silent keeps its last word.
import type { Agent } from "../../../gen/mycel/v1/agent_pb.ts";
import { AgentState } from "../../../gen/mycel/v1/agent_pb.ts";
import type { Metrics } from "../../../gen/mycel/v1/metrics_service_pb.ts";
import type { Queue } from "../../../gen/mycel/v1/queue_pb.ts";
import { isTerminal, TASK_STATES, type TaskState } from "../../../lib/core/task-state.ts";
import { pause } from "../../../lib/time/pause.ts";
import { durationFromMs } from "../../../lib/wire/time-codec.ts";
import { type MeshHealth, type MycelClient, MycelError } from "../../../sdk/client/index.ts";
import { lineOf } from "../../failure.ts";
import {
  type AgentFacts,
  type Detail,
  emptySnapshot,
  type Focus,
  type RatePoint,
  type Snapshot,
  type Told,
  UNTOLD,
} from "./snapshot.ts";

/** The states of tasks that have not ended. */
export const OPEN_STATES: readonly TaskState[] = TASK_STATES.filter((state) => !isTerminal(state));

/** The states in which a task waits in a queue, or will. */
export const WAITING_STATES: readonly TaskState[] = ["submitted", "scheduled", "backing_off"];

/** The window of the pulse, in milliseconds: the shortest that the mesh has. */
export const PULSE_MS = 10_000;

/** How many agents, queues, failures and tasks of a detail are asked for at most. */
export const LIMITS: {
  readonly agents: number;
  readonly queues: number;
  readonly failures: number;
  readonly tasks: number;
} = {
  agents: 1_000,
  queues: 1_000,
  failures: 100,
  tasks: 100,
};

const HISTORY = 300;
const LOST_SHOWN_MS = 300_000;
const FLEET_PAUSE_MS = 2_000;

/** What a look asks for. */
export interface Look {
  /** Only tasks of these types, agents that can run one of them, and the queues where those wait. All if empty. */
  readonly types: readonly string[];
  readonly focus: Focus | undefined;
}

/** What a feed needs. */
export interface FeedOptions {
  readonly client: MycelClient;
  /** How far back the metrics reach, in milliseconds. */
  readonly windowMs: number;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

/** Gathers snapshots. Disposing ends what it watches. */
export class Feed implements AsyncDisposable {
  readonly #client: MycelClient;
  readonly #windowMs: number;
  readonly #now: () => number;
  readonly #closed = new AbortController();
  readonly #lost = new Map<string, { readonly agent: Agent; readonly sinceMs: number }>();
  readonly #watch: Promise<void>;
  #last: Snapshot;
  #lastTypes = "";

  constructor({ client, windowMs, now }: FeedOptions) {
    this.#client = client;
    this.#windowMs = windowMs;
    this.#now = now;
    this.#last = emptySnapshot(now());
    this.#watch = this.#watchFleet();
  }

  /** Asks everything. Never rejects for what the mesh does; rejects when the signal aborts. */
  async look({ types, focus }: Look, signal: AbortSignal): Promise<Snapshot> {
    const client = this.#client;
    const filter = types.length === 0 ? {} : { types };
    const metricsOf = (windowMs: number) => async () => {
      const request = { window: durationFromMs(windowMs), types: [...types] };
      return (await client.metrics.getMetrics(request, { signal })).metrics;
    };
    // What was told of other types is no last word of these.
    const before =
      types.join(",") === this.#lastTypes ? this.#last : { ...emptySnapshot(0), lostSinceMs: this.#last.lostSinceMs };
    client.clearCache();
    const [health, agents, queues, open, metrics, pulse, failures, detail] = await Promise.all([
      client.health(),
      ask(UNTOLD, async () => await take(client.agents({}, { pageSize: LIMITS.agents, signal }), LIMITS.agents)),
      ask(before.queues, async () => (await client.queues.listQueues({ pageSize: LIMITS.queues }, { signal })).queues),
      ask(before.open, async () => await client.count({ ...filter, states: OPEN_STATES }, { signal })),
      ask(before.metrics, metricsOf(this.#windowMs)),
      ask(before.pulse, metricsOf(PULSE_MS)),
      ask(before.failures, async () => {
        const all = { ...filter, includeRedriven: true };
        return await take(client.deadLetters(all, { pageSize: LIMITS.failures, signal }), LIMITS.failures);
      }),
      this.#lookAt(focus, before.detail, signal),
    ]);
    signal.throwIfAborted();
    const facts =
      agents.value === undefined
        ? { ...agents, value: before.agents.value }
        : { ...agents, value: this.#factsOf(agents.value, types) };
    this.#last = {
      takenMs: this.#now(),
      coordinators: health.endpoints,
      lostSinceMs: this.#lostSince(health),
      agents: facts,
      queues:
        queues.value === undefined ? queues : { ...queues, value: inOrder(queues.value, queuesOf(facts.value, types)) },
      open,
      metrics,
      pulse,
      history: historyWith(before.history, pulse),
      failures,
      detail,
    };
    this.#lastTypes = types.join(",");
    return this.#last;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed.abort();
    await this.#watch;
  }

  async #lookAt(focus: Focus | undefined, last: Detail | undefined, signal: AbortSignal): Promise<Detail | undefined> {
    if (focus === undefined) return undefined;
    const before = last !== undefined && JSON.stringify(last.focus) === JSON.stringify(focus) ? last : undefined;
    const filter =
      focus.kind === "agent"
        ? { agentId: focus.agentId, states: ["working" as const] }
        : { queue: focus.queue, states: WAITING_STATES };
    const [tasks, queue] = await Promise.all([
      ask(
        before?.tasks ?? UNTOLD,
        async () => await take(this.#client.list(filter, { pageSize: LIMITS.tasks, signal }), LIMITS.tasks),
      ),
      focus.kind === "agent"
        ? undefined
        : ask(
            before?.queue ?? UNTOLD,
            async () => (await this.#client.queues.getQueue({ queue: focus.queue }, { signal })).queue,
          ),
    ]);
    return { focus, tasks, queue };
  }

  #lostSince({ healthy }: MeshHealth): number | undefined {
    return healthy ? undefined : (this.#last.lostSinceMs ?? this.#now());
  }

  /** The registered agents, and those that were lost of late. */
  #factsOf(agents: readonly Agent[], types: readonly string[]): AgentFacts[] {
    const registered = agents.map((agent): AgentFacts => ({
      agent,
      condition: agent.state === AgentState.DRAINING ? "draining" : "active",
    }));
    for (const { agentId } of agents) this.#lost.delete(agentId);
    for (const [agentId, { sinceMs }] of this.#lost)
      if (this.#now() - sinceMs > LOST_SHOWN_MS) this.#lost.delete(agentId);
    const lost = [...this.#lost.values()].map(({ agent }): AgentFacts => ({ agent, condition: "lost" }));
    return [...registered, ...lost]
      .filter(({ agent }) => types.length === 0 || agent.capabilities.some(({ type }) => types.includes(type)))
      .sort((a, b) => (a.agent.agentId < b.agent.agentId ? -1 : 1));
  }

  // A list of agents does not tell who is gone without a word: only the watch does.
  async #watchFleet(): Promise<void> {
    const { signal } = this.#closed;
    while (!signal.aborted) {
      try {
        for await (const event of this.#client.watchAgents({}, { signal })) {
          if (event.kind === "lost") this.#lost.set(event.agent.agentId, { agent: event.agent, sinceMs: this.#now() });
          else if (event.kind !== "synced") this.#lost.delete(event.agent.agentId);
        }
      } catch {
        // The looks tell what is wrong with the mesh.
      }
      await pause(FLEET_PAUSE_MS, signal);
    }
  }
}

/** Asks one part; what it said before stays when it says nothing. */
async function ask<T>(before: Told<T>, question: () => Promise<T | undefined>): Promise<Told<T>> {
  try {
    return { value: await question(), error: undefined, served: true };
  } catch (error) {
    if (!(error instanceof MycelError)) throw error;
    if (error.code === "unimplemented") return { value: undefined, error: undefined, served: false };
    return { ...before, error: lineOf(error) };
  }
}

async function take<Item>(source: AsyncIterable<Item>, limit: number): Promise<Item[]> {
  const items: Item[] = [];
  for await (const item of source) {
    items.push(item);
    if (items.length === limit) break;
  }
  return items;
}

function historyWith(before: readonly RatePoint[], { value, error }: Told<Metrics>): RatePoint[] {
  if (value?.total === undefined || error !== undefined) return [...before];
  const { submitRate, endRate } = value.total;
  return [...before.slice(1 - HISTORY), { submitted: submitRate, ended: endRate }];
}

/** The queues in which tasks of these types wait; undefined for all. */
function queuesOf(
  agents: readonly AgentFacts[] | undefined,
  types: readonly string[],
): ReadonlySet<string> | undefined {
  if (types.length === 0) return undefined;
  const capabilities = (agents ?? []).flatMap(({ agent }) => agent.capabilities);
  return new Set([
    ...types,
    ...capabilities.filter(({ type }) => types.includes(type)).map(({ type, queue }) => queue || type),
  ]);
}

function inOrder(queues: readonly Queue[], wanted: ReadonlySet<string> | undefined): Queue[] {
  return queues
    .filter(({ name }) => wanted === undefined || wanted.has(name))
    .sort(
      (a, b) =>
        Number(b.pause !== undefined) - Number(a.pause !== undefined) ||
        Number(b.waitingCount - a.waitingCount) ||
        Number(b.inFlightCount > 0n) - Number(a.inFlightCount > 0n) ||
        (a.name < b.name ? -1 : 1),
    );
}
