// Reads from the leader of a stream, which has the last word; direct gets may be answered by a replica that lags behind.

import type { NatsConnection } from "@nats-io/nats-core";
import { EXPECTED_LAST_SUBJECT_SEQUENCE, TRACEPARENT, TRACESTATE } from "../wire/headers.ts";
import { readUnavailable } from "./broker-errors.ts";
import { askThrough } from "./interruptions.ts";

/** A message as the leader tells it. */
export interface LeaderMessage {
  readonly subject: string;
  readonly sequence: number;
  /** When it was stored, by the broker's clock, in milliseconds since 1970. */
  readonly storeMs: number;
  readonly body: Uint8Array;
  /** The sequence of the message before it on its subject, where its writer had to name it. */
  readonly expected: number | undefined;
  readonly traceparent: string;
  readonly tracestate: string;
}

/** Which message to read. */
export type LeaderQuery =
  | { readonly last_by_subj: string }
  | { readonly seq: number }
  /** The first from a sequence on whose subject matches. */
  | { readonly seq: number; readonly next_by_subj: string };

/** How long to wait for an answer, in milliseconds. */
const READ_TIMEOUT_MS = 5_000;

/** JetStream: no message found. */
const NO_MESSAGE = 10037;

interface Answer {
  readonly message?: {
    readonly subject: string;
    readonly seq: number;
    readonly time?: string;
    readonly data?: string;
    readonly hdrs?: string;
  };
  readonly error?: { readonly err_code?: number; readonly description?: string };
}

/** Reads one message from a stream's leader; undefined if there is none. Throws MeshError BROKER_UNAVAILABLE. */
export async function readFromLeader(
  connection: NatsConnection,
  stream: string,
  query: LeaderQuery,
): Promise<LeaderMessage | undefined> {
  const answer = await ask(connection, stream, query);
  if (answer.message === undefined) {
    if (answer.error?.err_code === NO_MESSAGE) return undefined;
    throw readUnavailable(`a read of ${stream} was answered ${answer.error?.description ?? "with nothing"}`);
  }
  const { subject, seq, time = "", data = "", hdrs = "" } = answer.message;
  const headers = headersIn(hdrs);
  const expected = headers.get(EXPECTED_LAST_SUBJECT_SEQUENCE.toLowerCase());
  return {
    subject,
    sequence: seq,
    storeMs: Date.parse(time),
    body: Buffer.from(data, "base64"),
    expected: expected === undefined ? undefined : Number(expected),
    traceparent: headers.get(TRACEPARENT) ?? "",
    tracestate: headers.get(TRACESTATE) ?? "",
  };
}

async function ask(connection: NatsConnection, stream: string, query: LeaderQuery): Promise<Answer> {
  const subject = `$JS.API.STREAM.MSG.GET.${stream}`;
  const options = { timeout: READ_TIMEOUT_MS };
  try {
    const reply = await askThrough(connection, () => connection.request(subject, JSON.stringify(query), options));
    return reply.json<Answer>();
  } catch (cause) {
    throw readUnavailable(`no answer to a read of ${stream}`, cause);
  }
}

/** The headers of a stored message, their names in lower case. */
function headersIn(encoded: string): Map<string, string> {
  const lines = Buffer.from(encoded, "base64").toString("latin1").split("\r\n").slice(1);
  return new Map(
    lines.map((line) => {
      const colon = line.indexOf(":");
      return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
    }),
  );
}
