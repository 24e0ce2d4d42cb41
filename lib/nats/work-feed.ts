// A coordinator's own pull from a durable consumer: timers that are due, and delayed submissions.

import { type ConsumerMessages, jetstream, type JetStreamClient, type JsMsg } from "@nats-io/jetstream";
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

/** Pulls and handles messages until it is disposed; survives restarts of the broker and deletions of the consumer. */
export class WorkFeed implements AsyncDisposable {
  readonly #options: WorkFeedOptions;
  readonly #client: JetStreamClient;
  readonly #stopping = new AbortController();
  readonly #inHand = new Set<Promise<void>>();
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
    await Promise.all(this.#inHand);
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      try {
        await this.#pull();
      } catch (error) {
        if (!signal.aborted) this.#options.onError(error);
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
    for await (const message of messages) {
      const handled = this.#handle(message).finally(() => this.#inHand.delete(handled));
      this.#inHand.add(handled);
      if (this.#inHand.size >= maxInHand) await Promise.race(this.#inHand);
    }
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
