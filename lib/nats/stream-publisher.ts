// Publishing into a stream with compare-and-set, one message or an atomic batch, and what the broker's answers mean.
//
// nats.js' own JetStream client is not used here: its batch helper drops expectations and error codes, and it keeps state for retries
// that must not be made blindly.

import { headers, type MsgHdrs, type NatsConnection, nuid } from "@nats-io/nats-core";
import {
  BATCH_COMMIT,
  BATCH_ID,
  BATCH_SEQUENCE,
  EXPECTED_LAST_SUBJECT_SEQUENCE,
  EXPECTED_LAST_SUBJECT_SEQUENCE_SUBJECT,
} from "../wire/headers.ts";

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
  /** No answer: it may be stored or not. Look before anything else is done. */
  | { readonly kind: "unknown"; readonly cause: unknown };

/** How long to wait for the broker's answer. Longer than an election under load, shorter than a caller's patience. */
const PUBLISH_TIMEOUT_MS = 5_000;

/** JetStream error codes: https://github.com/nats-io/nats-server/blob/main/server/errors.json */
const WRONG_LAST_SEQUENCE = new Set([10071, 10164]);
const STORE_FULL = new Set([10077, 10047, 10023, 10028]);

interface PubAck {
  readonly seq?: number;
  readonly error?: { readonly err_code?: number; readonly description?: string; readonly code?: number };
}

/** Publishes into streams over one connection. */
export class StreamPublisher {
  readonly #connection: NatsConnection;
  #turn: Promise<void> | undefined;

  constructor(connection: NatsConnection) {
    this.#connection = connection;
  }

  /** Stores one message. Never throws for what the broker may answer. */
  async publish(message: StreamMessage): Promise<PublishOutcome> {
    await this.#endOfTurn();
    try {
      const reply = await this.#connection.request(message.subject, message.body, {
        timeout: PUBLISH_TIMEOUT_MS,
        headers: headersOf(message),
      });
      return outcomeOf(reply.json<PubAck>());
    } catch (cause) {
      return { kind: "unknown", cause };
    }
  }

  /** Stores 1 to 1,000 messages of one stream, all or none. The sequence returned is the last one's; they are consecutive. */
  async publishBatch(messages: readonly StreamMessage[]): Promise<PublishOutcome> {
    const last = messages.at(-1);
    if (last === undefined) throw new RangeError("a batch needs at least one message");
    const id = nuid.next();
    messages.slice(0, -1).forEach((message, i) => {
      const header = headersOf(message);
      header.set(BATCH_ID, id);
      header.set(BATCH_SEQUENCE, String(i + 1));
      this.#connection.publish(message.subject, message.body, { headers: header });
    });
    const header = headersOf(last);
    header.set(BATCH_ID, id);
    header.set(BATCH_SEQUENCE, String(messages.length));
    header.set(BATCH_COMMIT, "1");
    try {
      const options = { timeout: PUBLISH_TIMEOUT_MS, headers: header };
      const reply = await this.#connection.request(last.subject, last.body, options);
      return outcomeOf(reply.json<PubAck>());
    } catch (cause) {
      return { kind: "unknown", cause };
    }
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

function headersOf(message: StreamMessage): MsgHdrs {
  const header = headers();
  if (message.headers !== undefined) {
    for (const [name, value] of Object.entries(message.headers)) if (value !== "") header.set(name, value);
  }
  if (message.expected !== undefined) header.set(EXPECTED_LAST_SUBJECT_SEQUENCE, String(message.expected));
  if (message.filter !== undefined) header.set(EXPECTED_LAST_SUBJECT_SEQUENCE_SUBJECT, message.filter);
  return header;
}

function outcomeOf(ack: PubAck): PublishOutcome {
  if (ack.error === undefined) return { kind: "stored", sequence: ack.seq ?? 0 };
  const code = ack.error.err_code ?? 0;
  if (WRONG_LAST_SEQUENCE.has(code)) return { kind: "conflict" };
  if (STORE_FULL.has(code)) return { kind: "full" };
  return { kind: "unknown", cause: new Error(`JetStream ${code}: ${ack.error.description ?? "unknown error"}`) };
}
