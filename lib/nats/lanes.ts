// The durable consumers from which agents pull: one for each tenant, queue and priority. They are made before the first dispatch is
// written, they are what agents are told of, and they know how much is waiting.

import { type ConsumerInfo, JetStreamApiError, type JetStreamManager } from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/nats-core";
import { MeshError } from "../core/mesh-error.ts";
import { PRIORITIES } from "../core/names.ts";
import { TASKS_STREAM } from "../wire/subjects.ts";
import { brokerUnavailable } from "./broker-errors.ts";
import { askThrough } from "./interruptions.ts";
import { isSetSo, laneConfig, type LaneConfig } from "./lane-config.ts";
import type { LanePauses } from "./lane-pauses.ts";

/** What lanes need. */
export interface LanesParts {
  readonly connection: NatsConnection;
  readonly manager: JetStreamManager;
  /** Which queues are paused. None is if it is left out. */
  readonly pauses?: Pick<LanePauses, "untilMs" | "isSettled" | "settle">;
}

/** What an operator can choose about queues. */
export interface LanesOptions {
  /** How long a delivery is its agent's without a sign of life, in milliseconds. */
  readonly leaseMs: number;
  /** How many tasks may wait or run in a queue, over all priorities, before submissions are refused. */
  readonly depthLimit: number;
  /** How many queues there may be. */
  readonly maxQueues: number;
}

/** A durable consumer as agents are told of it. */
export interface LaneInfo {
  readonly queue: string;
  readonly priority: number;
  readonly consumer: string;
  /** When it was made. */
  readonly createMs: number;
}

/** The waiting and running work of one queue, as this process knows it. */
interface Queue {
  readonly lanes: readonly LaneInfo[];
  /** What the broker said last. */
  depth: number;
  /** Stored by this process since then. What agents finished since is not known, so the sum errs on the safe side. */
  storedSince: number;
  /** How many of those, and of those in flight, may have been in the broker's answer as well. */
  maybeTwice: number;
  /** Admitted, but not known to be stored yet. */
  inFlight: number;
  readMs: number;
  reading: Promise<void> | undefined;
}

/** JetStream's code for a consumer that exists with other settings. */
const CONSUMER_EXISTS = 10148;

/** How old a depth must be to be measured anew, in milliseconds. */
const DEPTH_FRESH_MS = 100;
/** How much of its limit one process adds to a queue before it measures it again, though by its own count there is room. */
const UNSEEN_SHARE = 0.05;
/** How long a caller should wait when a queue is full, in milliseconds. */
const QUEUE_FULL_RETRY_MS = 1_000;

/** Room in a queue that was taken and must be settled once. */
export interface Room {
  /** Says how many of the admitted tasks were stored. */
  settle(stored: number): void;
}

/** Makes, remembers and measures lanes. */
export class Lanes {
  readonly #parts: LanesParts;
  readonly #options: LanesOptions;
  readonly #monotonicMs: () => number;
  readonly #queues = new Map<string, Promise<Queue>>();

  constructor(parts: LanesParts, options: LanesOptions, monotonicMs: () => number) {
    this.#parts = parts;
    this.#options = options;
    this.#monotonicMs = monotonicMs;
  }

  /** The lanes of a queue, highest priority first, made if they are not there. */
  async lanesOf(tenant: string, queue: string): Promise<readonly LaneInfo[]> {
    return (await this.#queue(tenant, queue)).lanes;
  }

  /** Makes sure that the lanes of a queue exist even if somebody deleted them since. */
  async renew(tenant: string, queue: string): Promise<readonly LaneInfo[]> {
    const key = keyOf(tenant, queue);
    const known = await this.#queues.get(key)?.catch(() => undefined);
    if (known === undefined) return this.lanesOf(tenant, queue);
    // While the broker does not answer, submissions go on with what is known: it is almost always still there.
    const made = await this.#make(tenant, queue, true);
    this.#queues.set(key, Promise.resolve(made));
    return made.lanes;
  }

  /** Takes room for tasks in a queue. Throws QUEUE_FULL before anything is accepted that cannot be kept. */
  async admit(tenant: string, queue: string, count: number): Promise<Room> {
    const state = await this.#queue(tenant, queue);
    const { depthLimit } = this.#options;
    if (assumedDepth(state) + count > depthLimit) {
      const old = this.#monotonicMs() - state.readMs > DEPTH_FRESH_MS;
      if (old || state.maybeTwice > 0) await this.#measure(tenant, queue, state);
      const depth = assumedDepth(state);
      if (depth + count > depthLimit) {
        const message = `queue ${queue} holds ${depth} tasks of at most ${depthLimit}`;
        throw new MeshError("QUEUE_FULL", message, {
          retryDelayMs: QUEUE_FULL_RETRY_MS,
          resource: { type: "mycel.v1.Queue", name: queue },
          metadata: { queue, limit: String(depthLimit), depth: String(depth) },
        });
      }
    }
    state.inFlight += count;
    // Others fill the same queue, which only the broker knows. Nobody has to wait for what is news to the next one.
    const unseen = state.storedSince + state.inFlight;
    if (unseen > depthLimit * UNSEEN_SHARE && this.#monotonicMs() - state.readMs > DEPTH_FRESH_MS) {
      this.#measure(tenant, queue, state).catch(() => undefined);
    }
    return {
      settle: (stored) => {
        state.inFlight -= count;
        state.storedSince += stored;
      },
    };
  }

  async #queue(tenant: string, queue: string): Promise<Queue> {
    const key = keyOf(tenant, queue);
    const known = this.#queues.get(key);
    if (known !== undefined) return known;
    if (this.#queues.size >= this.#options.maxQueues) {
      throw new MeshError("QUEUE_LIMIT", `there are ${this.#options.maxQueues} queues already, the most allowed`, {
        retryDelayMs: 60_000,
      });
    }
    const made = this.#make(tenant, queue);
    this.#queues.set(key, made);
    made.catch(() => {
      if (this.#queues.get(key) === made) this.#queues.delete(key);
    });
    return made;
  }

  async #make(tenant: string, queue: string, known = false): Promise<Queue> {
    const { pauses } = this.#parts;
    const infos = await Promise.all(
      PRIORITIES.map(async (priority) => {
        const config = laneConfig(tenant, queue, priority, this.#options.leaseMs);
        const found = known ? await this.#find(config) : undefined;
        return found ?? this.#ensure(config, pauses?.untilMs(tenant, queue));
      }),
    );
    // Somebody may have paused it, or let it go on, while they were made or away.
    if (pauses !== undefined && !infos.every((info) => pauses.isSettled(tenant, queue, info))) {
      await pauses.settle(tenant, queue);
    }
    const lanes = infos.map((info, i) => ({
      queue,
      priority: PRIORITIES[i] ?? 0,
      consumer: info.name,
      createMs: Date.parse(info.created),
    }));
    return {
      lanes,
      depth: depthOf(infos),
      storedSince: 0,
      maybeTwice: 0,
      inFlight: 0,
      readMs: this.#monotonicMs(),
      reading: undefined,
    };
  }

  /**
   * A consumer that is there, set so; undefined if it is not, or that is not known. Each agent asks for its lanes anew, and to make a
   * consumer that is there costs the broker four times as much as to tell of it (1.1 ms, 0.3 ms).
   */
  async #find(config: LaneConfig): Promise<ConsumerInfo | undefined> {
    const { connection, manager } = this.#parts;
    const asked = askThrough(connection, () => manager.consumers.info(TASKS_STREAM, config.durable_name));
    const info = await asked.catch(() => undefined);
    return info !== undefined && isSetSo(info.config, config) ? info : undefined;
  }

  /** A consumer that stands stays as paused as it is, whatever is said here: JetStream takes only a new one's pause from its settings. */
  async #ensure(config: LaneConfig, pausedUntilMs: number | undefined): Promise<ConsumerInfo> {
    const { connection, manager } = this.#parts;
    const paused = pausedUntilMs === undefined ? {} : { pause_until: new Date(pausedUntilMs).toISOString() };
    try {
      return await askThrough(connection, () => manager.consumers.add(TASKS_STREAM, { ...config, ...paused })).catch(
        (error: unknown) => {
          // It exists with another lease: an operator changed the setting.
          if (!(error instanceof JetStreamApiError) || error.code !== CONSUMER_EXISTS) throw error;
          return askThrough(connection, () => manager.consumers.update(TASKS_STREAM, config.durable_name, config));
        },
      );
    } catch (cause) {
      throw brokerUnavailable(cause);
    }
  }

  async #measure(tenant: string, queue: string, state: Queue): Promise<void> {
    state.reading ??= this.#read(tenant, queue, state).finally(() => {
      state.reading = undefined;
    });
    await state.reading;
  }

  async #read(tenant: string, queue: string, state: Queue): Promise<void> {
    // What is stored while the broker is asked may or may not be in its answer: it stays counted.
    const before = state.storedSince;
    const { connection, manager } = this.#parts;
    const infos = await askThrough(connection, () =>
      Promise.all(state.lanes.map((lane) => manager.consumers.info(TASKS_STREAM, lane.consumer))),
    ).catch((cause: unknown) => {
      this.#queues.delete(keyOf(tenant, queue));
      throw brokerUnavailable(cause);
    });
    state.depth = depthOf(infos);
    state.storedSince -= before;
    state.maybeTwice = state.storedSince + state.inFlight;
    state.readMs = this.#monotonicMs();
  }
}

function assumedDepth(state: Queue): number {
  return state.depth + state.storedSince + state.inFlight;
}

function depthOf(infos: readonly ConsumerInfo[]): number {
  return infos.reduce((sum, info) => sum + info.num_pending + info.num_ack_pending, 0);
}

function keyOf(tenant: string, queue: string): string {
  return `${tenant}.${queue}`;
}
