// A coordinator's own pull from a durable consumer: timers that are due, and delayed submissions.

import { type ConsumerMessages, jetstream, type JetStreamClient, type JsMsg } from "@nats-io/jetstream";
import { JetStreamStatusError } from "@nats-io/jetstream/internal";
import type { NatsConnection } from "@nats-io/nats-core";
import { pause } from "../time/pause.ts";

/** What a handler sees of a message. */
export type FeedMessage = Pick<JsMsg, "subject" | "data" | "seq">;

/** What a handler wants done with a message. */
export type FeedVerdict =
  /** Done. */
  | { readonly kind: "ack" }
  /** Not now: deliver it again after this time. */
  | { readonly kind: "later"; readonly delayMs: number };

/** What a feed needs. */
export interface WorkFeedOptions {
  readonly connection: NatsConnection;
  readonly stream: string;
  readonly consumer: string;
  /** Makes sure that the consumer exists: before the first pull, and again when pulls fail or end. */
  readonly ensure: () => Promise<unknown>;
  /** How many messages may be in hand at once. */
  readonly maxInHand: number;
  /** Handles one message. What it throws makes the message come again. */
  readonly handle: (message: FeedMessage) => Promise<FeedVerdict>;
  /** Hears of what went wrong. The feed goes on. */
  readonly onError: (error: unknown) => void;
}

/** How long to wait before a failed pull, or a failed message, is tried again, in milliseconds. */
const RETRY_MS = 1_000;

/** Within which time two refusals of pulls are the broker's, in milliseconds. */
const REFUSED_AGAIN_MS = 10_000;

/**
 * How long a feed may be silent about a message before another feed gets it, in nanoseconds: the `ack_wait` of its consumer. What a
 * killed coordinator had in hand waits so long. A feed that lives says so three times as often.
 */
export const FEED_ACK_WAIT_NANOS = 5_000_000_000;

const NANOS_PER_MS = 1_000_000;

/** Pulls and handles messages until it is disposed; survives restarts of the broker and deletions of the consumer. */
export class WorkFeed implements AsyncDisposable {
  readonly #options: WorkFeedOptions;
  readonly #client: JetStreamClient;
  readonly #stopping = new AbortController();
  readonly #inHand = new Map<JsMsg, Promise<void>>();
  #messages: ConsumerMessages | undefined;
  readonly #loop: Promise<void>;

  constructor(options: WorkFeedOptions) {
    this.#options = options;
    this.#client = jetstream(options.connection);
    this.#loop = this.#run();
  }

  /** Stops pulling and waits until every message in hand is handled. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping.abort();
    await this.#messages?.close().catch(() => undefined);
    await this.#loop;
    await Promise.all(this.#inHand.values());
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopping;
    let refusedMs = -Infinity;
    while (!signal.aborted) {
      try {
        await this.#pull();
      } catch (error) {
        // Anybody can say to the inbox of a pull that it is refused. To the inbox of the next one, the broker would say it again.
        const refusal = error instanceof JetStreamStatusError;
        const nowMs = performance.now();
        const first = refusal && nowMs - refusedMs > REFUSED_AGAIN_MS;
        if (refusal) refusedMs = nowMs;
        if (!signal.aborted && !first) this.#options.onError(error);
      }
      if (!signal.aborted) await pause(RETRY_MS, signal);
    }
  }

  async #pull(): Promise<void> {
    const { stream, consumer: name, ensure, maxInHand } = this.#options;
    await ensure();
    const consumer = await this.#client.consumers.get(stream, name);
    if (this.#stopping.signal.aborted) return;
    // Short pulls with heartbeats: a pull that got lost with a connection is noticed within seconds.
    const messages = await consumer.consume({
      max_messages: maxInHand,
      expires: 5_000,
      idle_heartbeat: 1_000,
      bind: true,
    });
    this.#messages = messages;
    if (this.#stopping.signal.aborted) await messages.close();
    void this.#endWithConsumer(messages);
    const { ack_wait: ackWait = FEED_ACK_WAIT_NANOS } = (await consumer.info(true)).config;
    const keeping = setInterval(() => this.#keep(), ackWait / NANOS_PER_MS / 3);
    try {
      for await (const message of messages) {
        this.#inHand.set(
          message,
          this.#handle(message).finally(() => this.#inHand.delete(message)),
        );
        if (this.#inHand.size >= maxInHand) await Promise.race(this.#inHand.values());
      }
      // Whoever stops or begins anew still holds what is in hand.
      await Promise.all(this.#inHand.values());
    } finally {
      clearInterval(keeping);
    }
  }

  /** What takes longer is not handled by another feed at the same time. */
  #keep(): void {
    for (const message of this.#inHand.keys()) message.working();
  }

  /** A pull that is bound to its consumer would go on for ever without it. */
  async #endWithConsumer(messages: ConsumerMessages): Promise<void> {
    for await (const { type } of messages.status()) {
      if (type === "consumer_deleted" || type === "no_responders") await messages.close().catch(() => undefined);
    }
  }

  async #handle(message: JsMsg): Promise<void> {
    try {
      const verdict = await this.#options.handle(message);
      if (verdict.kind === "ack") message.ack();
      else message.nak(verdict.delayMs);
    } catch (error) {
      this.#options.onError(error);
      message.nak(RETRY_MS);
    }
  }
}
