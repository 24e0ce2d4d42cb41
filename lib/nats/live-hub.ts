// What is stored about a task, as it is stored: one core subscription a task and process, shared by all its readers.
//
// It may lose messages and says so; readers then go to the logs. It keeps no queue for a reader: a short ring for all readers of a
// task, which a slow one is thrown out of.

import type { Msg, NatsConnection, Subscription } from "@nats-io/nats-core";
import { LAST_SEQUENCE, SEQUENCE } from "../wire/headers.ts";
import { liveFilter } from "../wire/subjects.ts";
import { type StoredMessage, storedMessage } from "./direct-reader.ts";
import { brokerUnavailable } from "./broker-errors.ts";
import { headerField, headerText } from "./header-text.ts";
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
  readonly #house: House = { topics: new Map(), bytes: 0 };

  constructor(connection: NatsConnection) {
    this.#connection = connection;
    // What a leader stored just before its end may never have been announced.
    this.#interruptions = onInterruption(connection, () => {
      for (const topic of this.#house.topics.values()) topic.lose();
    });
  }

  /** How many subscriptions are open. */
  get topicCount(): number {
    return this.#house.topics.size;
  }

  /** How many bytes of messages are held for readers that have not taken them. */
  get heldBytes(): number {
    return this.#house.bytes;
  }

  /**
   * Watches a task. The broker takes what comes over one connection in its order: whatever comes of a message that is sent over this one
   * from now on reaches the watch, and once the broker has answered such a message, whatever anybody stores. `onNews` is called when
   * there is something to take; it must not throw. Throws MeshError BROKER_UNAVAILABLE when the connection is closed.
   */
  watch(tenant: string, taskId: string, onNews: () => void): LiveWatch {
    const filter = liveFilter(tenant, taskId);
    let topic = this.#house.topics.get(filter);
    if (topic === undefined) {
      topic = this.#open(filter);
      this.#house.topics.set(filter, topic);
    }
    return topic.join(onNews);
  }

  [Symbol.dispose](): void {
    this.#interruptions[Symbol.dispose]();
    for (const topic of this.#house.topics.values()) topic.close();
    this.#house.topics.clear();
  }

  #open(filter: string): Topic {
    const topic = new Topic(this.#house, filter);
    try {
      topic.subscription = this.#connection.subscribe(filter, {
        callback: (error, message) => {
          const previous = error === null ? previousOf(message) : undefined;
          if (previous !== undefined) topic.push(message, previous);
        },
      });
    } catch (cause) {
      throw brokerUnavailable(cause);
    }
    return topic;
  }
}

const sequenceIn = headerField(SEQUENCE);
const previousIn = headerField(LAST_SEQUENCE);

/**
 * The stream sequence of the message before on its subject, 0 for none; undefined if the broker did not send it when it stored the message:
 * what anybody else publishes there is no news. Agents put what headers they like into outputs: nats-core's parser throws for a name that
 * is none, and what is thrown here ends all that the connection hears.
 */
export function previousOf(message: Msg): number | undefined {
  const header = headerText(message);
  const [sequence, previous] = [Number(sequenceIn(header)), Number(previousIn(header))];
  const republished = Number.isSafeInteger(sequence) && sequence > 0 && Number.isSafeInteger(previous) && previous >= 0;
  return republished ? previous : undefined;
}

/** What all topics share. */
interface House {
  readonly topics: Map<string, Topic>;
  /** How many bytes their rings hold. */
  bytes: number;
}

/** One reader of a topic. Readers are a list of their own making: there are thousands of topics with one reader each. */
class Watcher implements LiveWatch {
  readonly topic: Topic;
  readonly onNews: () => void;
  /** The number of the next message to take. */
  at: number;
  before: Watcher | undefined;
  after: Watcher | undefined;
  gone = false;

  constructor(topic: Topic, at: number, onNews: () => void) {
    this.topic = topic;
    this.at = at;
    this.onNews = onNews;
  }

  take(): LiveTake {
    return this.topic.take(this);
  }

  [Symbol.dispose](): void {
    this.topic.leave(this);
  }
}

/** The readers of one task. Messages are numbered as they arrive. */
class Topic {
  readonly #house: House;
  readonly #filter: string;
  #first: Watcher | undefined;
  #watchers = 0;
  subscription: Subscription | undefined;
  /** The last messages, if any reader has not taken them. */
  #ring: LiveMessage[] | undefined;
  #bytes = 0;
  /** The number of the message that comes next. */
  #end = 0;
  /** How many readers have not taken everything. When all have, the ring is let go. */
  #behind = 0;

  constructor(house: House, filter: string) {
    this.#house = house;
    this.#filter = filter;
  }

  join(onNews: () => void): LiveWatch {
    const watcher = new Watcher(this, this.#end, onNews);
    watcher.after = this.#first;
    if (this.#first !== undefined) this.#first.before = watcher;
    this.#first = watcher;
    this.#watchers += 1;
    return watcher;
  }

  push(message: Msg, previous: number): void {
    const size = message.data.length;
    const full = (this.#ring?.length ?? 0) >= RING_MESSAGES || this.#bytes + size > RING_BYTES;
    if (full || this.#house.bytes + size > ALL_RINGS_BYTES) this.#empty();
    this.#ring ??= [];
    this.#ring.push({ stored: storedMessage(message), previous });
    this.#bytes += size;
    this.#house.bytes += size;
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

  /** The next message for a reader. */
  take(watcher: Watcher): LiveTake {
    if (watcher.at === this.#end) return { kind: "nothing" };
    const message = this.#ring?.[watcher.at - (this.#end - this.#ring.length)];
    watcher.at = message === undefined ? this.#end : watcher.at + 1;
    if (watcher.at === this.#end) this.#caughtUp();
    return message === undefined ? { kind: "missed" } : { kind: "message", message };
  }

  /** Lets a reader go. May be called again. */
  leave(watcher: Watcher): void {
    if (watcher.gone) return;
    watcher.gone = true;
    const { before, after } = watcher;
    if (before === undefined) this.#first = after;
    else before.after = after;
    if (after !== undefined) after.before = before;
    this.#watchers -= 1;
    if (watcher.at !== this.#end) this.#caughtUp();
    if (this.#watchers > 0) return;
    this.close();
    this.#house.topics.delete(this.#filter);
  }

  #advance(): void {
    this.#end += 1;
    this.#behind = this.#watchers;
    for (let watcher = this.#first; watcher !== undefined; watcher = watcher.after) watcher.onNews();
  }

  #caughtUp(): void {
    this.#behind -= 1;
    if (this.#behind === 0) this.#empty();
  }

  #empty(): void {
    this.#ring = undefined;
    this.#house.bytes -= this.#bytes;
    this.#bytes = 0;
  }
}
