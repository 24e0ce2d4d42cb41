// What is stored about a task, as it is stored: one core subscription a task and process, shared by all its readers.
//
// It may lose messages and says so; readers then go to the logs. It keeps no queue for a reader: a short ring for all readers of a
// task, which a slow one is thrown out of.

import type { Msg, NatsConnection, Subscription } from "@nats-io/nats-core";
import { LAST_SEQUENCE, SEQUENCE } from "../wire/headers.ts";
import { liveFilter } from "../wire/subjects.ts";
import { type StoredMessage, storedMessage } from "./direct-reader.ts";
import { brokerUnavailable } from "./broker-errors.ts";
import { onInterruption } from "./interruptions.ts";

/** A message that was just stored. */
export interface LiveMessage {
  readonly stored: StoredMessage;
  /** The stream sequence of the message before it on its subject, 0 for none. */
  readonly previous: number;
}

/** What a reader gets next. */
export type LiveTake =
  | { readonly kind: "message"; readonly message: LiveMessage }
  /** Messages were lost, for this reader: whatever it wants to know now stands in the logs. */
  | { readonly kind: "missed" }
  | { readonly kind: "nothing" };

/** One reader's view of a task. */
export interface LiveWatch extends Disposable {
  /** The next message. */
  take(): LiveTake;
}

/** The ring of a task, in messages and in bytes. */
const RING_MESSAGES = 64;
const RING_BYTES = 262_144;

/** What all rings together may hold, in bytes. */
const ALL_RINGS_BYTES = 67_108_864;

/** Shares core subscriptions among readers. */
export class LiveHub implements Disposable {
  readonly #connection: NatsConnection;
  readonly #interruptions: Disposable;
  readonly #topics = new Map<string, Topic>();
  readonly #budget = { bytes: 0 };

  constructor(connection: NatsConnection) {
    this.#connection = connection;
    // What a leader stored just before its end may never have been announced.
    this.#interruptions = onInterruption(connection, () => {
      for (const topic of this.#topics.values()) topic.lose();
    });
  }

  /** How many subscriptions are open. */
  get topicCount(): number {
    return this.#topics.size;
  }

  /** How many bytes of messages are held for readers that have not taken them. */
  get heldBytes(): number {
    return this.#budget.bytes;
  }

  /**
   * Watches a task. The broker takes what comes over one connection in its order: whatever comes of a message that is sent over this one
   * from now on reaches the watch, and once the broker has answered such a message, whatever anybody stores. `onNews` is called when
   * there is something to take; it must not throw. Throws MeshError BROKER_UNAVAILABLE when the connection is closed.
   */
  watch(tenant: string, taskId: string, onNews: () => void): LiveWatch {
    const filter = liveFilter(tenant, taskId);
    let topic = this.#topics.get(filter);
    if (topic === undefined) {
      topic = this.#open(filter);
      this.#topics.set(filter, topic);
    }
    return topic.join(onNews);
  }

  [Symbol.dispose](): void {
    this.#interruptions[Symbol.dispose]();
    for (const topic of this.#topics.values()) topic.close();
    this.#topics.clear();
  }

  #open(filter: string): Topic {
    const topic: Topic = new Topic(this.#budget, () => {
      topic.close();
      this.#topics.delete(filter);
    });
    try {
      topic.subscription = this.#connection.subscribe(filter, {
        callback: (error, message) => {
          if (error === null && isRepublished(message)) topic.push(message);
        },
      });
    } catch (cause) {
      throw brokerUnavailable(cause);
    }
    return topic;
  }
}

/** Whether the broker sent it when it stored the message: what anybody else publishes there is no news. */
function isRepublished({ headers }: Msg): boolean {
  const [sequence, previous] = [Number(headers?.get(SEQUENCE)), Number(headers?.get(LAST_SEQUENCE) || 0)];
  return Number.isSafeInteger(sequence) && sequence > 0 && Number.isSafeInteger(previous) && previous >= 0;
}

interface Watcher {
  /** The number of the next message to take. */
  at: number;
  readonly onNews: () => void;
}

/** The readers of one task. Messages are numbered as they arrive. */
class Topic {
  readonly #budget: { bytes: number };
  readonly #onEmpty: () => void;
  readonly #watchers = new Set<Watcher>();
  subscription: Subscription | undefined;
  #ring: LiveMessage[] = [];
  #bytes = 0;
  /** The number of the message that comes next. */
  #end = 0;
  /** How many readers have not taken everything. When all have, the ring is emptied. */
  #behind = 0;

  constructor(budget: { bytes: number }, onEmpty: () => void) {
    this.#budget = budget;
    this.#onEmpty = onEmpty;
  }

  join(onNews: () => void): LiveWatch {
    const watcher: Watcher = { at: this.#end, onNews };
    this.#watchers.add(watcher);
    return {
      take: () => this.#take(watcher),
      [Symbol.dispose]: () => this.#leave(watcher),
    };
  }

  push(message: Msg): void {
    const size = message.data.length;
    const full = this.#ring.length >= RING_MESSAGES || this.#bytes + size > RING_BYTES;
    if (full || this.#budget.bytes + size > ALL_RINGS_BYTES) this.#empty();
    this.#ring.push({
      stored: storedMessage(message),
      previous: Number(message.headers?.get(LAST_SEQUENCE) ?? 0),
    });
    this.#bytes += size;
    this.#budget.bytes += size;
    this.#advance();
  }

  /** Makes every reader miss something. */
  lose(): void {
    this.#empty();
    this.#advance();
  }

  close(): void {
    this.#empty();
    this.subscription?.unsubscribe();
  }

  #advance(): void {
    this.#end += 1;
    this.#behind = this.#watchers.size;
    for (const { onNews } of this.#watchers) onNews();
  }

  #take(watcher: Watcher): LiveTake {
    if (watcher.at === this.#end) return { kind: "nothing" };
    const message = this.#ring[watcher.at - (this.#end - this.#ring.length)];
    watcher.at = message === undefined ? this.#end : watcher.at + 1;
    if (watcher.at === this.#end) this.#caughtUp();
    return message === undefined ? { kind: "missed" } : { kind: "message", message };
  }

  #leave(watcher: Watcher): void {
    if (!this.#watchers.delete(watcher)) return;
    if (watcher.at !== this.#end) this.#caughtUp();
    if (this.#watchers.size === 0) this.#onEmpty();
  }

  #caughtUp(): void {
    this.#behind -= 1;
    if (this.#behind === 0) this.#empty();
  }

  #empty(): void {
    this.#ring = [];
    this.#budget.bytes -= this.#bytes;
    this.#bytes = 0;
  }
}
