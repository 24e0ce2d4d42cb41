// Reading stored messages without a consumer: JetStream's direct gets, many answers to one request, over one shared inbox.

import { createInbox, type Msg, type NatsConnection, type Subscription } from "@nats-io/nats-core";
import {
  EXPECTED_LAST_SUBJECT_SEQUENCE,
  LAST_SEQUENCE,
  SEQUENCE,
  SUBJECT,
  TIME_STAMP,
  TRACEPARENT,
  TRACESTATE,
} from "../wire/headers.ts";
import { readUnavailable } from "./broker-errors.ts";
import { headerField, headerText, statusCode } from "./header-text.ts";
import { onInterruption } from "./interruptions.ts";

/** A message as it stands in a stream. */
export interface StoredMessage {
  readonly subject: string;
  readonly sequence: number;
  /** When it was stored, in milliseconds since 1970. */
  readonly storeMs: number;
  readonly body: Uint8Array;
  readonly traceparent: string;
  readonly tracestate: string;
  /** The sequence of the message before it on its subject, 0 for none, where its writer had to name it; undefined elsewhere. */
  readonly expected?: number | undefined;
}

/** What to read. */
export type DirectQuery =
  /** The last message of every subject that a filter matches. At most 1,024 subjects. */
  | { readonly multi_last: readonly string[] }
  /** Up to `batch` messages from a sequence on whose subject matches. */
  | { readonly seq: number; readonly next_by_subj: string; readonly batch: number; readonly max_bytes?: number }
  /** The same from a time on, RFC 3339. */
  | { readonly start_time: string; readonly next_by_subj: string; readonly batch: number; readonly max_bytes?: number }
  /** The last message of a subject. */
  | { readonly last_by_subj: string }
  /** One message. */
  | { readonly seq: number };

/** How long to wait between the answers to one request. */
const READ_TIMEOUT_MS = 5_000;

const subjectIn = headerField(SUBJECT);
const sequenceIn = headerField(SEQUENCE);
const lastSequenceIn = headerField(LAST_SEQUENCE);
const storeTimeIn = headerField(TIME_STAMP);
const traceparentIn = headerField(TRACEPARENT);
const tracestateIn = headerField(TRACESTATE);
const expectedIn = headerField(EXPECTED_LAST_SUBJECT_SEQUENCE);

interface Pending {
  readonly stream: string;
  readonly query: DirectQuery;
  readonly found: StoredMessage[];
  readonly many: boolean;
  readonly resolve: (found: StoredMessage[]) => void;
  readonly reject: (error: unknown) => void;
  readonly timer: NodeJS.Timeout;
  token: string;
}

/** Reads from streams over one connection. */
export class DirectReader implements Disposable {
  readonly #connection: NatsConnection;
  readonly #prefix: string;
  readonly #subscription: Subscription;
  /** What waits for answers. A request that is sent again has another token: late answers to the first one are not mixed in. */
  readonly #pending = new Map<string, Pending>();
  readonly #interruptions: Disposable;
  #next = 0;

  constructor(connection: NatsConnection) {
    this.#connection = connection;
    this.#prefix = createInbox();
    this.#subscription = connection.subscribe(`${this.#prefix}.*`, {
      callback: (error, message) => {
        if (error === null) this.#answer(message);
      },
    });
    this.#interruptions = onInterruption(connection, () => this.#askAgain());
  }

  /** Reads from a stream; an empty list if nothing matches. Throws MeshError BROKER_UNAVAILABLE. */
  read(stream: string, query: DirectQuery): Promise<StoredMessage[]> {
    const { promise, resolve, reject } = Promise.withResolvers<StoredMessage[]>();
    const pending: Pending = {
      stream,
      query,
      found: [],
      many: "multi_last" in query || "next_by_subj" in query,
      resolve,
      reject,
      timer: setTimeout(() => {
        this.#fail(pending, readUnavailable(`no answer to a read of ${stream} within ${READ_TIMEOUT_MS} ms`));
      }, READ_TIMEOUT_MS),
      token: "",
    };
    this.#ask(pending);
    return promise;
  }

  [Symbol.dispose](): void {
    this.#subscription.unsubscribe();
    this.#interruptions[Symbol.dispose]();
    for (const pending of this.#pending.values()) this.#fail(pending, readUnavailable("the reader was closed"));
  }

  #ask(pending: Pending): void {
    this.#next += 1;
    pending.token = this.#next.toString(36);
    this.#pending.set(pending.token, pending);
    try {
      const reply = `${this.#prefix}.${pending.token}`;
      this.#connection.publish(`$JS.API.DIRECT.GET.${pending.stream}`, JSON.stringify(pending.query), { reply });
    } catch (cause) {
      this.#fail(pending, readUnavailable("not connected to NATS", cause));
    }
  }

  /** A read changes nothing: what may have got lost is asked again, from the beginning. */
  #askAgain(): void {
    const lost = [...this.#pending.values()];
    this.#pending.clear();
    for (const pending of lost) {
      pending.found.length = 0;
      this.#ask(pending);
    }
  }

  #answer(message: Msg): void {
    const token = message.subject.slice(this.#prefix.length + 1);
    const pending = this.#pending.get(token);
    if (pending === undefined) return;
    const header = headerText(message);
    const code = statusCode(header);
    if (code === 204 || code === 404) return this.#finish(pending);
    if (code !== 0) {
      this.#fail(pending, readUnavailable(`a read was answered ${code} ${message.headers?.description ?? ""}`));
      return;
    }
    // Each of many answers names the one before it: what a reconnect swallowed must not look like a gap in the stream.
    const previous = pending.found.at(-1)?.sequence ?? 0;
    if (pending.many && Number(lastSequenceIn(header)) !== previous) {
      this.#fail(pending, readUnavailable("a part of the answer to a read got lost"));
      return;
    }
    pending.found.push(messageWith(header, message));
    if (pending.many) pending.timer.refresh();
    else this.#finish(pending);
  }

  #finish(pending: Pending): void {
    this.#pending.delete(pending.token);
    clearTimeout(pending.timer);
    pending.resolve(pending.found);
  }

  #fail(pending: Pending, error: Error): void {
    this.#pending.delete(pending.token);
    clearTimeout(pending.timer);
    pending.reject(error);
  }
}

/** Reads a message that the broker sent as an answer to a direct get, or republished. */
export function storedMessage(message: Msg): StoredMessage {
  return messageWith(headerText(message), message);
}

function messageWith(header: string, message: Msg): StoredMessage {
  const expected = expectedIn(header);
  return {
    subject: subjectIn(header) || message.subject,
    sequence: Number(sequenceIn(header)),
    storeMs: Date.parse(storeTimeIn(header)),
    body: message.data,
    traceparent: traceparentIn(header),
    tracestate: tracestateIn(header),
    expected: expected === "" ? undefined : Number(expected),
  };
}
