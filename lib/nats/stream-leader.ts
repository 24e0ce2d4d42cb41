// Reads from the leader of a stream, which has the last word; direct gets may be answered by a replica that lags behind.

import { createInbox, type Msg, type NatsConnection } from "@nats-io/nats-core";
import { MeshError } from "../core/mesh-error.ts";
import { pause } from "../time/pause.ts";
import { EXPECTED_LAST_SUBJECT_SEQUENCE, TRACEPARENT, TRACESTATE } from "../wire/headers.ts";
import { Answers } from "./answers.ts";
import { readUnavailable } from "./broker-errors.ts";
import { infoSubject, type LeaderInfo, leaderStanding, standingOf } from "./leader-standing.ts";

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

/** How long everybody who may take itself for the leader is listened to, in milliseconds. */
const CONTESTED_WAIT_MS = 150;

/** All reads over a connection share one inbox. */
const answers = new WeakMap<NatsConnection, Answers>();

/** NATS: nobody listens to a subject. */
const NO_RESPONDERS = 503;

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
  try {
    const standing = await leaderStanding(connection, stream);
    if (standing === "sure") return messageIn(await ask(connection, stream, query));
    return await readContested(connection, stream, query);
  } catch (cause) {
    throw cause instanceof MeshError ? cause : readUnavailable(`no answer to a read of ${stream}`, cause);
  }
}

async function ask(connection: NatsConnection, stream: string, query: LeaderQuery): Promise<Answer> {
  const question = { subject: readSubject(stream), body: JSON.stringify(query), repeatable: true };
  const { promise, resolve } = Promise.withResolvers<Msg | Error>();
  answersOf(connection).ask(question, resolve);
  const reply = await promise;
  if (reply instanceof Error) throw reply;
  if (reply.data.length === 0) throw new Error("the stream has no leader");
  return reply.json<Answer>();
}

function answersOf(connection: NatsConnection): Answers {
  const known = answers.get(connection) ?? new Answers(connection, READ_TIMEOUT_MS);
  answers.set(connection, known);
  return known;
}

/** Hears everybody who takes itself for the leader. One of them must have a majority; what it says goes further than what the others know. */
async function readContested(
  connection: NatsConnection,
  stream: string,
  query: LeaderQuery,
): Promise<LeaderMessage | undefined> {
  const untilMs = performance.now() + READ_TIMEOUT_MS;
  while (performance.now() < untilMs) {
    const [infos, answers] = await Promise.all([
      askAll<LeaderInfo>(connection, infoSubject(stream), ""),
      askAll<Answer>(connection, readSubject(stream), JSON.stringify(query)),
    ]);
    const leaders = infos.filter(({ error }) => error === undefined);
    const known = answers.filter(({ message, error }) => message !== undefined || error?.err_code === NO_MESSAGE);
    // Whoever says that it leads has to answer, too: the one that is missing may be the one that knows.
    if (leaders.every((info) => standingOf(info) === "deposed") || known.length < leaders.length) continue;
    const messages = known.map(messageIn).filter((message) => message !== undefined);
    // What follows a place is what comes first of it.
    const order = "next_by_subj" in query ? -1 : 1;
    return messages.sort((a, b) => order * (b.sequence - a.sequence))[0];
  }
  throw readUnavailable(`the leader of ${stream} has no majority`);
}

async function askAll<T>(connection: NatsConnection, subject: string, body: string): Promise<T[]> {
  const answers: T[] = [];
  const inbox = connection.subscribe(createInbox(), {
    callback: (error, reply) => {
      // That nobody answers says the same as no answer.
      if (error === null && reply.headers?.code !== NO_RESPONDERS) answers.push(reply.json<T>());
    },
  });
  connection.publish(subject, body, { reply: inbox.getSubject() });
  await pause(CONTESTED_WAIT_MS);
  inbox.unsubscribe();
  return answers;
}

function readSubject(stream: string): string {
  return `$JS.API.STREAM.MSG.GET.${stream}`;
}

/** Throws MeshError BROKER_UNAVAILABLE for an answer that is none. */
function messageIn({ message, error }: Answer): LeaderMessage | undefined {
  if (message === undefined) {
    if (error?.err_code === NO_MESSAGE) return undefined;
    throw readUnavailable(`a read was answered ${error?.description ?? "with nothing"}`);
  }
  const { subject, seq, time = "", data = "", hdrs = "" } = message;
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
