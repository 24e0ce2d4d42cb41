// Asking over NATS: one answer to each question, over one inbox for all of a connection's questions.
//
// nats.js' own request takes a timer, three promises and an error with its stack for each, 40 µs where this takes 5, and waits its time
// out when the answer went with a lost connection or an old leader.

import { createInbox, type Msg, type MsgHdrs, type NatsConnection } from "@nats-io/nats-core";
import { onInterruption } from "./interruptions.ts";

/** Hears the answer, or why there is none. The message is empty if nobody listens to the subject. */
export type OnAnswer = (answer: Msg | Error) => void;

/** A question. */
export interface Question {
  readonly subject: string;
  readonly body: Uint8Array | string;
  readonly headers?: MsgHdrs;
  /** Whether it may be asked again when the answer to it may have got lost. Default false: it then fails. */
  readonly repeatable?: boolean;
}

interface Pending {
  readonly question: Question;
  readonly onAnswer: OnAnswer;
  readonly sinceMs: number;
}

/** Asks over one connection, until that is closed. */
export class Answers {
  readonly #connection: NatsConnection;
  readonly #timeoutMs: number;
  readonly #inbox: string;
  /** What waits for an answer, the longest first. */
  readonly #pending = new Map<string, Pending>();
  #next = 0;
  /** Runs while anything waits, for what waits the longest. */
  #timer: NodeJS.Timeout | undefined;

  /** `timeoutMs` is how long to wait for an answer, in milliseconds. */
  constructor(connection: NatsConnection, timeoutMs: number) {
    this.#connection = connection;
    this.#timeoutMs = timeoutMs;
    this.#inbox = `${createInbox()}.`;
    connection.subscribe(`${this.#inbox}*`, {
      callback: (error, answer) => {
        if (error === null) this.#answered(answer);
      },
    });
    // The answers to what was sent before went with the lost connection, or with the old leader.
    onInterruption(connection, () => this.#interrupted());
    void connection.closed().then(() => {
      clearTimeout(this.#timer);
      this.#giveUp(Infinity, "the connection to NATS was closed");
    });
  }

  /** Asks. What is sent while the connection is lost may be dropped by it, and is answered by an error in the end. */
  ask(question: Question, onAnswer: OnAnswer): void {
    this.#send({ question, onAnswer, sinceMs: performance.now() });
  }

  #send(pending: Pending): void {
    const { subject, body, headers } = pending.question;
    this.#next += 1;
    const token = this.#next.toString(36);
    this.#pending.set(token, pending);
    try {
      const reply = this.#inbox + token;
      this.#connection.publish(subject, body, headers === undefined ? { reply } : { headers, reply });
      this.#timer ??= setTimeout(() => this.#timeOut(), this.#timeoutMs);
    } catch (cause) {
      this.#pending.delete(token);
      pending.onAnswer(cause instanceof Error ? cause : new Error(String(cause)));
    }
  }

  #answered(answer: Msg): void {
    const token = answer.subject.slice(this.#inbox.length);
    const pending = this.#pending.get(token);
    if (pending === undefined) return;
    this.#pending.delete(token);
    pending.onAnswer(answer);
  }

  /** Whatever is asked again keeps its time limit, and its place. */
  #interrupted(): void {
    const all = [...this.#pending.values()];
    this.#pending.clear();
    for (const pending of all) {
      if (pending.question.repeatable === true) this.#send(pending);
      else pending.onAnswer(new Error("the connection or the leader was lost"));
    }
  }

  #timeOut(): void {
    this.#timer = undefined;
    this.#giveUp(performance.now() - this.#timeoutMs, `no answer within ${this.#timeoutMs} ms`);
    const [oldest] = this.#pending.values();
    if (oldest === undefined) return;
    const restMs = oldest.sinceMs + this.#timeoutMs - performance.now();
    this.#timer = setTimeout(() => this.#timeOut(), Math.max(restMs, 1));
  }

  /** Gives up what was asked until then. */
  #giveUp(untilMs: number, why: string): void {
    for (const [token, { onAnswer, sinceMs }] of this.#pending) {
      if (sinceMs > untilMs) return;
      this.#pending.delete(token);
      onAnswer(new Error(why));
    }
  }
}
