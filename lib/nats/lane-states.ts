// What the broker knows of lanes: how much waits, how much is out, what comes next. Asks and changes nothing.

import { type ConsumerInfo, JetStreamApiError, type JetStreamManager } from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/nats-core";
import { PRIORITIES } from "../core/names.ts";
import { PENDING } from "../wire/headers.ts";
import { laneConsumer, laneFilter, parseLaneConsumer, TASKS_STREAM } from "../wire/subjects.ts";
import { decodeDispatch } from "../wire/task-codec.ts";
import { msFromTimestamp } from "../wire/time-codec.ts";
import { brokerUnavailable } from "./broker-errors.ts";
import type { DirectReader } from "./direct-reader.ts";
import { askThrough } from "./interruptions.ts";

/** What reading needs. */
export interface LaneStatesParts {
  readonly connection: NatsConnection;
  readonly manager: JetStreamManager;
  readonly reader: Pick<DirectReader, "read">;
}

/** A lane as the broker tells of it. */
export interface LaneState {
  readonly tenant: string;
  readonly queue: string;
  readonly priority: number;
  /** How many messages were not delivered yet. */
  readonly waiting: number;
  /** How many were delivered and are not acknowledged. */
  readonly inFlight: number;
  /** How many deliveries there were. Counts repetitions; begins anew when the consumer is made anew. */
  readonly deliveries: number;
  /** The stream sequence up to which every message was delivered once. */
  readonly deliveredSequence: number;
  /** Tells one consumer of this name from the next: when it was made. */
  readonly made: string;
}

/** JetStream's code for a consumer that is not there. */
const NO_CONSUMER = 10014;

/** How long to wait for the answer to a count, in milliseconds. */
const COUNT_TIMEOUT_MS = 5_000;

/** Asks the broker about lanes. Every method throws MeshError BROKER_UNAVAILABLE. */
export class LaneStates {
  readonly #parts: LaneStatesParts;

  constructor(parts: LaneStatesParts) {
    this.#parts = parts;
  }

  /** All lanes of a tenant. One question for each 256 lanes of the mesh. */
  async all(tenant: string): Promise<LaneState[]> {
    const { connection, manager } = this.#parts;
    const infos = await askThrough(connection, async () => {
      const found: ConsumerInfo[] = [];
      for await (const info of manager.consumers.list(TASKS_STREAM)) found.push(info);
      return found;
    }).catch((cause: unknown) => {
      throw brokerUnavailable(cause);
    });
    return infos.flatMap(stateIn).filter((lane) => lane.tenant === tenant);
  }

  /** The lanes of a queue that are there, highest priority first. */
  async of(tenant: string, queue: string): Promise<LaneState[]> {
    const found = await Promise.all(PRIORITIES.map((priority) => this.#one(laneConsumer(tenant, queue, priority))));
    return found.flat();
  }

  /** When the task was accepted that waits at the head of a lane, in milliseconds since 1970; undefined if none waits. */
  async oldestMs({ tenant, queue, priority, waiting, deliveredSequence }: LaneState): Promise<number | undefined> {
    if (waiting === 0) return undefined;
    const filter = laneFilter(tenant, queue, priority);
    const query = { seq: deliveredSequence + 1, next_by_subj: filter, batch: 1 };
    const [head] = await this.#parts.reader.read(TASKS_STREAM, query);
    if (head === undefined) return undefined;
    try {
      return msFromTimestamp(decodeDispatch(head.body).task?.createTime) ?? head.storeMs;
    } catch {
      // What can't be read waits all the same, since it was stored.
      return head.storeMs;
    }
  }

  /** How many messages of a lane wait before the one with this stream sequence. */
  async ahead(lane: LaneState, sequence: number): Promise<number> {
    if (lane.waiting === 0 || sequence <= lane.deliveredSequence) return 0;
    const { connection } = this.#parts;
    const filter = laneFilter(lane.tenant, lane.queue, lane.priority);
    // The broker counts those that follow, and it has counted all that wait.
    const query = JSON.stringify({ seq: sequence, next_by_subj: filter, batch: 1 });
    try {
      const answer = await connection.request(`$JS.API.DIRECT.GET.${TASKS_STREAM}`, query, {
        timeout: COUNT_TIMEOUT_MS,
      });
      const pending = answer.headers?.get(PENDING) ?? "";
      // Without one, not even the message itself is there any more: all that wait came before.
      const following = pending === "" ? 0 : Number(pending) + 1;
      return Math.max(0, lane.waiting - following);
    } catch (cause) {
      throw brokerUnavailable(cause);
    }
  }

  async #one(consumer: string): Promise<LaneState[]> {
    const { connection, manager } = this.#parts;
    try {
      return stateIn(await askThrough(connection, () => manager.consumers.info(TASKS_STREAM, consumer)));
    } catch (cause) {
      if (cause instanceof JetStreamApiError && cause.code === NO_CONSUMER) return [];
      throw brokerUnavailable(cause);
    }
  }
}

function stateIn(info: ConsumerInfo): LaneState[] {
  const names = parseLaneConsumer(info.name);
  if (names === undefined) return [];
  return [
    {
      ...names,
      waiting: info.num_pending,
      inFlight: info.num_ack_pending,
      deliveries: info.delivered.consumer_seq,
      deliveredSequence: info.delivered.stream_seq,
      made: info.created,
    },
  ];
}
