// Pauses the consumers of a queue, and lets them go on, as its settings say. JetStream itself holds a paused consumer's messages back:
// pulls that stand stay, deliveries that ended unacknowledged wait, and a pull for what is there now is told that nothing is.
//
// Every coordinator does so after every change, for a change may be told by one that dies in the middle of it. And each asks for the setting
// before it touches anything: one whose watch is behind would let go on what another has just paused.

import { type ConsumerInfo, JetStreamApiError, type JetStreamManager } from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/nats-core";
import { PRIORITIES } from "../core/names.ts";
import { isPaused } from "../core/queue-pause.ts";
import { laneConsumer, TASKS_STREAM } from "../wire/subjects.ts";
import { brokerUnavailable } from "./broker-errors.ts";
import { askThrough } from "./interruptions.ts";
import { LANE_MAX_ACK_PENDING } from "./lane-config.ts";
import type { QueueSettings } from "./queue-settings.ts";

/** What pausing needs. */
export interface LanePausesParts {
  readonly connection: NatsConnection;
  readonly manager: JetStreamManager;
  /** What pauses are kept, over or not. */
  readonly settings: Pick<QueueSettings, "pauseOf" | "refresh">;
  /** Now, by the broker's clock, in milliseconds since 1970. */
  readonly now: () => number;
}

/** JetStream's pauses end at some time: one without an end, then. */
const ENDLESS_MS = Date.UTC(2200, 0, 1);

/** JetStream's code for a consumer that is not there. */
const NO_CONSUMER = 10014;

/** Keeps the consumers of queues as paused as their settings say. */
export class LanePauses {
  readonly #parts: LanePausesParts;
  /** What is done of a queue is done one after another: the last look is at the latest setting. */
  readonly #turns = new Map<string, Promise<void>>();

  constructor(parts: LanePausesParts) {
    this.#parts = parts;
  }

  /** Until when the queue is paused, in milliseconds since 1970; undefined if it is not. */
  untilMs(tenant: string, queue: string): number | undefined {
    const pause = this.#parts.settings.pauseOf(tenant, queue);
    return isPaused(pause, this.#parts.now()) ? (pause.untilMs ?? ENDLESS_MS) : undefined;
  }

  /** Whether a consumer is as paused as it should be. */
  isSettled(tenant: string, queue: string, info: Pick<ConsumerInfo, "paused" | "config">): boolean {
    const untilMs = this.untilMs(tenant, queue);
    if (untilMs === undefined) return info.paused !== true;
    return info.paused === true && Date.parse(info.config.pause_until ?? "") === untilMs;
  }

  /** Pauses the consumers of a queue, or lets them go on, as it is set now; those that are not there are left out. Throws BROKER_UNAVAILABLE. */
  async settle(tenant: string, queue: string): Promise<void> {
    const key = `${tenant}.${queue}`;
    const turn = (this.#turns.get(key) ?? Promise.resolve())
      .catch(() => undefined)
      .then(async () => {
        await this.#parts.settings.refresh(tenant, queue);
        await Promise.all(PRIORITIES.map((priority) => this.#settle(tenant, queue, priority)));
      });
    this.#turns.set(key, turn);
    try {
      await turn;
    } catch (cause) {
      throw brokerUnavailable(cause);
    } finally {
      if (this.#turns.get(key) === turn) this.#turns.delete(key);
    }
  }

  async #settle(tenant: string, queue: string, priority: number): Promise<void> {
    const { connection } = this.#parts;
    const consumer = laneConsumer(tenant, queue, priority);
    await askThrough(connection, async () => {
      try {
        const info = await this.#parts.manager.consumers.info(TASKS_STREAM, consumer);
        if (this.isSettled(tenant, queue, info)) return;
        const untilMs = this.untilMs(tenant, queue);
        if (untilMs === undefined) await this.#resume(consumer);
        else await this.#parts.manager.consumers.pause(TASKS_STREAM, consumer, new Date(untilMs));
      } catch (error) {
        if (!(error instanceof JetStreamApiError) || error.code !== NO_CONSUMER) throw error;
      }
    });
  }

  /**
   * JetStream lets a consumer go on without looking at the pulls that stand: it would look with their next sign of life, up to 10 s later
   * (tried with 2.15). It looks at once when a consumer may have another number of deliveries unacknowledged, so it is told one, and told
   * the right one again.
   */
  async #resume(consumer: string): Promise<void> {
    const { consumers } = this.#parts.manager;
    await consumers.resume(TASKS_STREAM, consumer);
    await consumers.update(TASKS_STREAM, consumer, { max_ack_pending: LANE_MAX_ACK_PENDING - 1 });
    await consumers.update(TASKS_STREAM, consumer, { max_ack_pending: LANE_MAX_ACK_PENDING });
  }
}
