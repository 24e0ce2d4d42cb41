// Shows queues: what the broker counts in their lanes, who pulls from them, and how they are set. The broker is asked once a second at
// most, however many look.

import { create } from "@bufbuild/protobuf";
import { type Agent, AgentState } from "../../../gen/mycel/v1/agent_pb.ts";
import {
  type Queue,
  QueueLaneSchema,
  type QueueRates,
  QueueRatesSchema,
  QueueSchema,
} from "../../../gen/mycel/v1/queue_pb.ts";
import type { Clock } from "../../../lib/core/clock.ts";
import { MeshError } from "../../../lib/core/mesh-error.ts";
import { PRIORITIES } from "../../../lib/core/names.ts";
import { isPaused, type QueuePause } from "../../../lib/core/queue-pause.ts";
import type { LaneState, LaneStates } from "../../../lib/nats/lane-states.ts";
import type { Registry } from "../../../lib/nats/registry.ts";
import { pauseToWire } from "../../../lib/wire/queue-codec.ts";
import { priorityToWire } from "../../../lib/wire/state-codec.ts";
import { durationFromMs, timestampFromMs } from "../../../lib/wire/time-codec.ts";
import { LaneRates, type Rates, sumOfRates } from "./lane-rates.ts";

/** What showing queues needs. */
export interface QueueBoardParts {
  readonly states: Pick<LaneStates, "all" | "of" | "oldestMs">;
  readonly settings: {
    pauseOf(tenant: string, queue: string): QueuePause | undefined;
    readonly known: readonly { readonly tenant: string; readonly queue: string }[];
  };
  readonly registry: Pick<Registry, "list">;
  readonly clock: Clock;
}

/** A page of queues. */
export interface QueuePage {
  readonly queues: Queue[];
  readonly nextPageToken: string;
}

/** A lane with the head of its line. */
interface SeenLane {
  readonly state: LaneState;
  readonly oldestMs: number | undefined;
  readonly rates: Rates | undefined;
}

/** A queue's lanes as the broker told of them. */
interface SeenQueue {
  readonly lanes: readonly SeenLane[];
  /** When it was asked, in milliseconds since 1970. */
  readonly asOfMs: number;
}

/** All lanes of a tenant, and what was asked about some of its queues beyond that. */
interface SeenTenant {
  readonly queues: ReadonlyMap<string, readonly LaneState[]>;
  readonly seen: Map<string, Promise<SeenQueue>>;
  readonly asOfMs: number;
}

/** What the broker said, and when, by the monotonic clock. */
interface Answer<T> {
  readonly atMs: number;
  readonly value: Promise<T>;
}

/** How long what the broker said is good enough, in milliseconds. */
const FRESH_MS = 1_000;

/** How many agents' ids are told. */
const MAX_AGENT_IDS = 100;

/** Shows queues. Every method throws BROKER_UNAVAILABLE. */
export class QueueBoard {
  readonly #parts: QueueBoardParts;
  readonly #rates = new LaneRates();
  readonly #tenants = new Map<string, Answer<SeenTenant>>();
  readonly #queues = new Map<string, Answer<SeenQueue>>();

  constructor(parts: QueueBoardParts) {
    this.#parts = parts;
  }

  /** The queues of a tenant whose names follow `after`, ordered by name. */
  async list(tenant: string, after: string, pageSize: number): Promise<QueuePage> {
    const all = await this.#remember(this.#tenants, tenant, () => this.#readAll(tenant));
    const names = [...all.queues.keys()].filter((name) => name > after).toSorted();
    const page = names.slice(0, pageSize);
    const agents = this.#parts.registry.list(tenant);
    const queues = await Promise.all(
      page.map(async (name) => {
        const queue = this.#queue(tenant, name, await this.#seeOneOf(all, name), agents);
        // A thousand queues with a hundred ids each would be more than many clients take.
        return { ...queue, agentIds: [] };
      }),
    );
    return { queues, nextPageToken: names.length > page.length ? (page.at(-1) ?? "") : "" };
  }

  /** One queue. Throws QUEUE_NOT_FOUND. */
  async get(tenant: string, name: string): Promise<Queue> {
    const seen = await this.#remember(this.#queues, `${tenant}.${name}`, () => this.#read(tenant, name));
    return this.#queue(tenant, name, seen, this.#parts.registry.list(tenant));
  }

  /** One queue as it is now. Throws QUEUE_NOT_FOUND. */
  async getNow(tenant: string, name: string): Promise<Queue> {
    this.#queues.delete(`${tenant}.${name}`);
    return this.get(tenant, name);
  }

  async #readAll(tenant: string): Promise<SeenTenant> {
    const asOfMs = this.#parts.clock.now();
    const lanes = await this.#parts.states.all(tenant);
    const set = this.#parts.settings.known.filter((one) => one.tenant === tenant);
    const paused = set.filter(({ queue }) => this.#pauseOf(tenant, queue) !== undefined);
    const queues = new Map<string, LaneState[]>(paused.map(({ queue }) => [queue, []]));
    for (const lane of lanes) {
      const known = queues.get(lane.queue);
      if (known === undefined) queues.set(lane.queue, [lane]);
      else known.push(lane);
    }
    return { queues, seen: new Map(), asOfMs };
  }

  async #read(tenant: string, queue: string): Promise<SeenQueue> {
    const asOfMs = this.#parts.clock.now();
    const lanes = await this.#parts.states.of(tenant, queue);
    if (lanes.length > 0 || this.#pauseOf(tenant, queue) !== undefined) return this.#see(lanes, asOfMs);
    throw new MeshError("QUEUE_NOT_FOUND", `no queue ${JSON.stringify(queue)}`, {
      resource: { type: "mycel.v1.Queue", name: queue },
    });
  }

  #seeOneOf({ queues, seen, asOfMs }: SeenTenant, name: string): Promise<SeenQueue> {
    const known = seen.get(name) ?? this.#see(queues.get(name) ?? [], asOfMs);
    seen.set(name, known);
    known.catch(() => seen.delete(name));
    return known;
  }

  async #see(states: readonly LaneState[], asOfMs: number): Promise<SeenQueue> {
    const nowMs = this.#parts.clock.monotonicMs();
    const lanes = await Promise.all(
      states.map(async (state) => {
        const rates = this.#rates.take(state, nowMs);
        return { state, rates, oldestMs: await this.#parts.states.oldestMs(state) };
      }),
    );
    return { lanes, asOfMs };
  }

  #pauseOf(tenant: string, queue: string): QueuePause | undefined {
    const pause = this.#parts.settings.pauseOf(tenant, queue);
    return isPaused(pause, this.#parts.clock.now()) ? pause : undefined;
  }

  #queue(tenant: string, name: string, { lanes, asOfMs }: SeenQueue, agents: readonly Agent[]): Queue {
    const pause = this.#pauseOf(tenant, name);
    const pulling = agents.filter((agent) => pullsFrom(agent, name));
    const oldest = lanes.flatMap(({ oldestMs }) => oldestMs ?? []);
    return create(QueueSchema, {
      name,
      ...(pause === undefined ? {} : { pause: pauseToWire(pause) }),
      waitingCount: BigInt(sum(lanes.map(({ state }) => state.waiting))),
      inFlightCount: BigInt(sum(lanes.map(({ state }) => state.inFlight))),
      ...(oldest.length === 0 ? {} : { oldestCreateTime: timestampFromMs(Math.min(...oldest)) }),
      agentCount: pulling.length,
      agentIds: pulling.slice(0, MAX_AGENT_IDS).map(({ agentId }) => agentId),
      slotCount: sum(pulling.map(({ concurrency }) => concurrency)),
      runningCount: sum(pulling.map(({ running }) => running)),
      ...withRates(sumOfRates(lanes.map(({ rates }) => rates))),
      lanes: PRIORITIES.map((priority) => {
        const lane = lanes.find(({ state }) => state.priority === priority);
        return create(QueueLaneSchema, {
          priority: priorityToWire(priority),
          waitingCount: BigInt(lane?.state.waiting ?? 0),
          inFlightCount: BigInt(lane?.state.inFlight ?? 0),
          ...(lane?.oldestMs === undefined ? {} : { oldestCreateTime: timestampFromMs(lane.oldestMs) }),
          ...withRates(lane?.rates),
        });
      }),
      asOfTime: timestampFromMs(asOfMs),
    });
  }

  /** What was asked for in the last second is not asked for again; nor is what is asked for just now. */
  #remember<T>(answers: Map<string, Answer<T>>, key: string, ask: () => Promise<T>): Promise<T> {
    const nowMs = this.#parts.clock.monotonicMs();
    for (const [old, { atMs }] of answers) {
      if (nowMs - atMs < FRESH_MS) break;
      answers.delete(old);
    }
    const known = answers.get(key);
    if (known !== undefined) return known.value;
    const fresh = { atMs: nowMs, value: ask() };
    answers.set(key, fresh);
    fresh.value.catch(() => {
      if (answers.get(key) === fresh) answers.delete(key);
    });
    return fresh.value;
  }
}

function pullsFrom(agent: Agent, queue: string): boolean {
  return agent.state !== AgentState.DRAINING && agent.capabilities.some((capability) => capability.queue === queue);
}

function withRates(rates: Rates | undefined): { readonly rates?: QueueRates } {
  if (rates === undefined) return {};
  const { addedPerSecond, finishedPerSecond, windowMs } = rates;
  return { rates: create(QueueRatesSchema, { addedPerSecond, finishedPerSecond, window: durationFromMs(windowMs) }) };
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
