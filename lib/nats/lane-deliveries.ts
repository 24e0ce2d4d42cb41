// What a lane has delivered and nobody has acknowledged, seen from beside: the broker does not say who holds what. Knows nothing of tasks.

import { type JetStreamManager, JetStreamApiError } from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/nats-core";
import { laneFilter, parseLaneConsumer, TASKS_STREAM } from "../wire/subjects.ts";
import { brokerUnavailable } from "./broker-errors.ts";
import type { DirectReader, StoredMessage } from "./direct-reader.ts";

/** A lane. */
export interface LaneName {
  readonly tenant: string;
  readonly queue: string;
  readonly priority: number;
  readonly consumer: string;
}

/** How far a lane has delivered. */
export interface LaneDeliveries {
  /** Everything up to this stream sequence is acknowledged. */
  readonly floor: number;
  /** The stream sequence of the last message that was delivered. */
  readonly delivered: number;
  /** How many deliveries are not acknowledged. */
  readonly pending: number;
}

/** How many messages are read at a time, and at most of them in bytes. */
const BATCH = 256;
const BATCH_BYTES = 4 * 1024 * 1024;

/** JetStream's code for a consumer that is not there. */
const CONSUMER_NOT_FOUND = 10014;

const NAK = new TextEncoder().encode("-NAK");

/** Looks at deliveries, and offers them again. */
export class LaneWatch {
  readonly #connection: NatsConnection;
  readonly #manager: JetStreamManager;
  readonly #reader: Pick<DirectReader, "read">;

  constructor(parts: {
    readonly connection: NatsConnection;
    readonly manager: JetStreamManager;
    readonly reader: Pick<DirectReader, "read">;
  }) {
    this.#connection = parts.connection;
    this.#manager = parts.manager;
    this.#reader = parts.reader;
  }

  /** All lanes of a tenant. Throws BROKER_UNAVAILABLE. */
  async lanesOf(tenant: string): Promise<readonly LaneName[]> {
    const found: LaneName[] = [];
    try {
      for await (const { name } of this.#manager.consumers.list(TASKS_STREAM)) {
        const lane = parseLaneConsumer(name);
        if (lane?.tenant === tenant) found.push({ ...lane, consumer: name });
      }
    } catch (error) {
      throw brokerUnavailable(error);
    }
    return found;
  }

  /** How far a lane is; undefined if there is none. Throws BROKER_UNAVAILABLE. */
  async look({ consumer }: Pick<LaneName, "consumer">): Promise<LaneDeliveries | undefined> {
    try {
      const info = await this.#manager.consumers.info(TASKS_STREAM, consumer);
      return {
        floor: info.ack_floor.stream_seq,
        delivered: info.delivered.stream_seq,
        pending: info.num_ack_pending,
      };
    } catch (error) {
      if (error instanceof JetStreamApiError && error.code === CONSUMER_NOT_FOUND) return undefined;
      throw brokerUnavailable(error);
    }
  }

  /**
   * The messages of a lane behind its floor up to a stream sequence, acknowledged or not, the oldest first; no more than `most`. Throws
   * BROKER_UNAVAILABLE.
   */
  async *delivered(
    lane: LaneName,
    { floor }: LaneDeliveries,
    upTo: number,
    most: number,
  ): AsyncGenerator<StoredMessage> {
    const filter = laneFilter(lane.tenant, lane.queue, lane.priority);
    let seen = 0;
    for (let seq = floor + 1; seq <= upTo && seen < most;) {
      const query = { seq, next_by_subj: filter, batch: Math.min(BATCH, most - seen), max_bytes: BATCH_BYTES };
      const found = await this.#reader.read(TASKS_STREAM, query);
      if (found.length === 0) return;
      for (const message of found) {
        if (message.sequence > upTo) return;
        yield message;
        seq = message.sequence + 1;
      }
      seen += found.length;
    }
  }

  /**
   * Offers messages to others now, instead of when their leases end; those that nobody holds are left as they are. Best effort: what gets
   * lost comes by itself with the lease.
   */
  async offer(lane: Pick<LaneName, "consumer">, sequences: readonly number[]): Promise<void> {
    if (sequences.length === 0) return;
    let last: number;
    try {
      ({ consumer_seq: last } = (await this.#manager.consumers.info(TASKS_STREAM, lane.consumer)).delivered);
    } catch (error) {
      throw brokerUnavailable(error);
    }
    // The broker goes by the stream sequence, and asks of the consumer's only that it is one that it may have given.
    for (const sequence of sequences) {
      const subject = `$JS.ACK.${TASKS_STREAM}.${lane.consumer}.1.${sequence}.${last}.0.0`;
      this.#connection.publish(subject, NAK);
    }
  }
}
