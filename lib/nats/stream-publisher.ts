// Publishing into a stream with compare-and-set, one message or an atomic batch, and what the broker's answers mean.
//
// nats.js' own JetStream client is not used here: its batch helper drops expectations and error codes, and it keeps state for retries
// that must not be made blindly.

import { type Msg, type NatsConnection, nuid } from "@nats-io/nats-core";
import {
  BATCH_COMMIT,
  BATCH_ID,
  BATCH_SEQUENCE,
  EXPECTED_LAST_SUBJECT_SEQUENCE,
  EXPECTED_LAST_SUBJECT_SEQUENCE_SUBJECT,
} from "../wire/headers.ts";
import { Answers } from "./answers.ts";
import { PublishedHeaders } from "./published-headers.ts";

/** A message to be stored. */
export interface StreamMessage {
  readonly subject: string;
  readonly body: Uint8Array;
  /** The sequence of the last message that must stand on the subject, or on `filter`; 0 for none. Not checked if undefined. */
  readonly expected?: number;
  /** The filter on which `expected` is checked. Every writer of a subject must use the same. */
  readonly filter?: string;
  /** Further headers. */
  readonly headers?: Readonly<Record<string, string>>;
}

/** What became of a message. */
export type PublishOutcome =
  | { readonly kind: "stored"; readonly sequence: number }
  /** Another message stands where the expectation says otherwise. Nothing was stored. */
  | { readonly kind: "conflict" }
  /** The stream is full. Nothing was stored. */
  | { readonly kind: "full" }
  /** Nobody takes messages now: the stream has no leader. Nothing was stored. */
  | { readonly kind: "unserved" }
  /** No answer: it may be stored or not. Look before anything else is done. */
  | { readonly kind: "unknown"; readonly cause: unknown };

/** How to publish. */
export interface PublisherOptions {
  /** How long to wait for the broker's answer, in milliseconds. Default 5,000: longer than an election, shorter than patience. */
  readonly timeoutMs?: number;
  /** Hears what was stored: messages that follow one another in their stream, and the sequence of the last. */
  readonly onStored?: (messages: readonly StreamMessage[], last: number) => void;
}

const PUBLISH_TIMEOUT_MS = 5_000;

/** JetStream error codes: https://github.com/nats-io/nats-server/blob/main/server/errors.json */
const WRONG_LAST_SEQUENCE = new Set([10071, 10164]);
const STORE_FULL = new Set([10077, 10047, 10023, 10028]);

interface PubAck {
  readonly seq?: number;
  readonly error?: { readonly err_code?: number; readonly description?: string; readonly code?: number };
}

/** Publishes into streams over one connection, until that is closed. */
export class StreamPublisher {
  readonly #connection: NatsConnection;
  readonly #answers: Answers;
  readonly #onStored: PublisherOptions["onStored"];
  #turn: Promise<void> | undefined;

  constructor(connection: NatsConnection, options: PublisherOptions = {}) {
    this.#connection = connection;
    this.#answers = new Answers(connection, options.timeoutMs ?? PUBLISH_TIMEOUT_MS);
    this.#onStored = options.onStored;
  }

  /** Stores one message. Never throws for what the broker may answer. */
  async publish(message: StreamMessage): Promise<PublishOutcome> {
    await this.#endOfTurn();
    return this.#request([message], message, headersOf(message));
  }

  /** Stores 1 to 1,000 messages of one stream, all or none. The sequence returned is the last one's; they are consecutive. */
  async publishBatch(messages: readonly StreamMessage[]): Promise<PublishOutcome> {
    const last = messages.at(-1);
    if (last === undefined) throw new RangeError("a batch needs at least one message");
    const id = nuid.next();
    try {
      messages.slice(0, -1).forEach((message, i) => {
        const header = headersOf(message);
        header.add(BATCH_ID, id);
        header.add(BATCH_SEQUENCE, String(i + 1));
        this.#connection.publish(message.subject, message.body, { headers: header });
      });
    } catch (cause) {
      return { kind: "unknown", cause };
    }
    const header = headersOf(last);
    header.add(BATCH_ID, id);
    header.add(BATCH_SEQUENCE, String(messages.length));
    header.add(BATCH_COMMIT, "1");
    return this.#request(messages, last, header);
  }

  /** What is sent while the connection is lost may be dropped by it, and runs into the timeout. */
  #request(
    messages: readonly StreamMessage[],
    message: StreamMessage,
    headers: PublishedHeaders,
  ): Promise<PublishOutcome> {
    const question = { subject: message.subject, body: message.body, headers };
    return new Promise((resolve) => {
      this.#answers.ask(question, (answer) => {
        const outcome = outcomeOf(answer);
        if (outcome.kind === "stored") this.#onStored?.(messages, outcome.sequence);
        resolve(outcome);
      });
    });
  }

  /**
   * What many callers publish in one turn of the event loop leaves in one write. The connection by itself writes as often as the queue
   * of microtasks runs empty, which is once a message when calls come over RPC: more work here, and still more at the broker.
   */
  #endOfTurn(): Promise<void> {
    this.#turn ??= new Promise((resolve) => {
      setImmediate(() => {
        this.#turn = undefined;
        resolve();
      });
    });
    return this.#turn;
  }
}

function headersOf(message: StreamMessage): PublishedHeaders {
  const header = new PublishedHeaders();
  if (message.headers !== undefined) {
    for (const name in message.headers) {
      const value = message.headers[name] ?? "";
      if (value !== "") header.add(name, value);
    }
  }
  if (message.expected !== undefined) header.add(EXPECTED_LAST_SUBJECT_SEQUENCE, String(message.expected));
  if (message.filter !== undefined) header.add(EXPECTED_LAST_SUBJECT_SEQUENCE_SUBJECT, message.filter);
  return header;
}

function outcomeOf(reply: Msg | Error): PublishOutcome {
  if (reply instanceof Error) return { kind: "unknown", cause: reply };
  if (reply.data.length === 0) return { kind: "unserved" };
  let ack: PubAck;
  try {
    ack = reply.json<PubAck>();
  } catch (cause) {
    return { kind: "unknown", cause };
  }
  if (ack.error === undefined) return { kind: "stored", sequence: ack.seq ?? 0 };
  const code = ack.error.err_code ?? 0;
  if (WRONG_LAST_SEQUENCE.has(code)) return { kind: "conflict" };
  if (STORE_FULL.has(code)) return { kind: "full" };
  return { kind: "unknown", cause: new Error(`JetStream ${code}: ${ack.error.description ?? "unknown error"}`) };
}
