// JetStream as far as the mesh uses it, in memory and without time of its own: three streams, compare-and-set, atomic batches, durable
// pull consumers, schedules. tests/simulation/contract holds it to what a real nats-server does.
import type { DirectQuery, StoredMessage } from "../../../lib/nats/direct-reader.ts";
import type { LeaderQuery } from "../../../lib/nats/stream-leader.ts";
import type { PublishOutcome, StreamMessage } from "../../../lib/nats/stream-publisher.ts";
import { MESSAGE_ID, SCHEDULE, SCHEDULE_TARGET } from "../../../lib/wire/headers.ts";
import { OUTPUT_STREAM, parseDeliverySubject, TASKS_STREAM, TIMERS_STREAM } from "../../../lib/wire/subjects.ts";
import { type ConsumerSettings, MemoryConsumer } from "./memory-consumer.ts";
import { asStored, type MemoryMessage, MemoryStream } from "./memory-stream.ts";

/** A timer that is set. */
export interface Schedule {
  readonly subject: string;
  readonly target: string;
  readonly body: Uint8Array;
  readonly atMs: number;
  readonly sequence: number;
}

/** What can be chosen of a broker. */
export interface MemoryBrokerOptions {
  /** The broker's clock, in milliseconds since 1970. */
  readonly nowMs: () => number;
  /** Called for each message that was stored, with the sequence of the one before it on its subject, 0 for none. */
  readonly onStored?: (stream: string, message: MemoryMessage, previous: number) => void;
  /** Called after messages were removed: everything on a filter, or one. */
  readonly onRemoved?: (filter: string | undefined) => void;
  /** Plants a bug: expectations are not checked. */
  readonly ignoresExpectations?: boolean;
}

/** A read that matched nothing, or what it found. */
type Found = MemoryMessage | undefined;

const STREAM_OF: Readonly<Record<string, string>> = { task: TASKS_STREAM, out: OUTPUT_STREAM, timer: TIMERS_STREAM };

/** A broker. */
export class MemoryBroker {
  readonly schedules: Map<string, Schedule> = new Map();
  /** By stream and name. */
  readonly consumers: Map<string, MemoryConsumer> = new Map();
  readonly #options: MemoryBrokerOptions;
  readonly #streams = new Map<string, MemoryStream>();
  readonly #messageIds = new Map<string, number>();

  constructor(options: MemoryBrokerOptions) {
    this.#options = options;
    for (const name of [TASKS_STREAM, OUTPUT_STREAM, TIMERS_STREAM]) {
      this.#streams.set(name, new MemoryStream(name, options.nowMs));
    }
  }

  /** A stream. */
  stream(name: string): MemoryStream {
    const stream = this.#streams.get(name);
    if (stream === undefined) throw new Error(`there is no stream ${name}`);
    return stream;
  }

  /** Stores a message. */
  publish(message: StreamMessage): PublishOutcome {
    const stream = this.#streamOf(message.subject);
    const id = message.headers?.[MESSAGE_ID];
    const known = id === undefined ? undefined : this.#messageIds.get(id);
    if (known !== undefined) return { kind: "stored", sequence: known };
    if (!this.#asExpected(stream, message)) return { kind: "conflict" };
    const { sequence } = this.#store(stream, message);
    if (id !== undefined) this.#messageIds.set(id, sequence);
    return { kind: "stored", sequence };
  }

  /** Stores all messages or none. */
  publishBatch(messages: readonly StreamMessage[]): PublishOutcome {
    const checked = messages.map((message) => ({ message, stream: this.#streamOf(message.subject) }));
    if (!checked.every(({ message, stream }) => this.#asExpected(stream, message))) return { kind: "conflict" };
    let sequence = 0;
    for (const { message, stream } of checked) sequence = this.#store(stream, message).sequence;
    return { kind: "stored", sequence };
  }

  /** What the leader answers. */
  ask(name: string, query: LeaderQuery): Found {
    const stream = this.stream(name);
    if ("last_by_subj" in query) return stream.last(query.last_by_subj);
    if ("next_by_subj" in query) return stream.from(query.seq, query.next_by_subj, 1)[0];
    return stream.get(query.seq);
  }

  /** What a replica answers that has come up to a version of the stream. */
  read(name: string, query: DirectQuery, version?: number): StoredMessage[] {
    const stream = this.stream(name);
    if ("multi_last" in query) {
      return query.multi_last.flatMap((filter) => stream.lastOfEach(filter, version)).map(asStored);
    }
    if ("start_time" in query) throw new Error("nothing is read by its time here");
    if ("next_by_subj" in query) {
      return stream.from(query.seq, query.next_by_subj, query.batch, version).map(asStored);
    }
    const found = "last_by_subj" in query ? stream.last(query.last_by_subj, version) : stream.get(query.seq);
    return found === undefined ? [] : [asStored(found)];
  }

  /** Removes a message; false if it does not stand. */
  remove(name: string, sequence: number): boolean {
    const message = this.stream(name).get(sequence);
    if (message !== undefined) {
      this.#remove(name, [message]);
      this.#options.onRemoved?.(undefined);
    }
    return message !== undefined;
  }

  /** Removes what stands on a filter below a sequence. */
  purge(name: string, filter: string, below: number): number {
    const standing = this.stream(name).from(0, filter, Infinity);
    const gone = standing.filter(({ sequence }) => sequence < below);
    this.#remove(name, gone);
    this.#options.onRemoved?.(filter);
    return gone.length;
  }

  /** Makes a consumer, or finds the one that is there. */
  consumer(stream: string, settings: Omit<ConsumerSettings, "createMs">): MemoryConsumer {
    const key = `${stream}/${settings.name}`;
    const known = this.consumers.get(key);
    if (known !== undefined) return known;
    const made = new MemoryConsumer(this.stream(stream), { ...settings, createMs: this.#options.nowMs() });
    this.consumers.set(key, made);
    return made;
  }

  /** Deletes a consumer and makes it again, as it was in the beginning. */
  recreate(stream: string, name: string): void {
    const key = `${stream}/${name}`;
    const old = this.consumers.get(key);
    if (old === undefined) throw new Error(`there is no consumer ${name}`);
    this.consumers.delete(key);
    this.consumer(stream, old.settings);
  }

  /** Takes an answer to a delivery; an answer to something else goes nowhere. */
  answer(reply: string, body: string): void {
    const delivery = parseDeliverySubject(reply);
    if (delivery === undefined) throw new Error(`${reply} is not the reply subject of a delivery`);
    const consumer = this.consumers.get(`${delivery.stream}/${delivery.consumer}`);
    consumer?.answer(delivery.sequence, body, this.#options.nowMs());
  }

  /** Fires a timer, whatever the time. */
  fire({ subject, target, body, sequence }: Schedule): void {
    this.remove(TIMERS_STREAM, sequence);
    this.schedules.delete(subject);
    this.#store(this.stream(TIMERS_STREAM), { subject: target, body });
  }

  #remove(name: string, gone: readonly MemoryMessage[]): void {
    for (const { sequence, subject } of gone) {
      for (const [key, { items }] of this.consumers) if (key.startsWith(`${name}/`)) items.delete(sequence);
      if (this.schedules.get(subject)?.sequence === sequence) this.schedules.delete(subject);
    }
    if (gone.length > 0) this.stream(name).remove(gone.map(({ sequence }) => sequence));
  }

  #streamOf(subject: string): MemoryStream {
    const name = STREAM_OF[subject.slice(0, subject.indexOf("."))];
    if (name === undefined) throw new Error(`no stream takes ${subject}`);
    return this.stream(name);
  }

  #asExpected(stream: MemoryStream, { subject, expected, filter }: StreamMessage): boolean {
    if (expected === undefined || this.#options.ignoresExpectations === true) return true;
    return (stream.last(filter ?? subject)?.sequence ?? 0) === expected;
  }

  #store(stream: MemoryStream, { subject, body, headers = {}, expected }: StreamMessage): MemoryMessage {
    const schedule = headers[SCHEDULE];
    // One schedule a subject: it replaces what was set before.
    if (schedule !== undefined) this.purge(stream.name, subject, Infinity);
    const previous = this.#options.onStored === undefined ? 0 : (stream.last(subject)?.sequence ?? 0);
    const stored = stream.store({ subject, body, headers, expected });
    if (schedule !== undefined) {
      const atMs = Date.parse(schedule.replace(/^@at /, ""));
      const target = headers[SCHEDULE_TARGET] ?? "";
      this.schedules.set(subject, { subject, target, body, atMs, sequence: stored.sequence });
    }
    for (const [key, consumer] of this.consumers) if (key.startsWith(`${stream.name}/`)) consumer.onStored(stored);
    this.#options.onStored?.(stream.name, stored, previous);
    return stored;
  }
}
