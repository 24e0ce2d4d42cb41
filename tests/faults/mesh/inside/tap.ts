// Taps what a process sends and gets over NATS, and what it answers to its clients over HTTP: in the libraries, so that the product knows
// nothing of it. What is done with it is decided by others.
import { ServerResponse } from "node:http";
import { Http2ServerResponse } from "node:http2";
import { Socket } from "node:net";
import process from "node:process";
import { MsgImpl, ProtocolHandler } from "@nats-io/nats-core/internal";
import { incomingStepOf, stepOf } from "./steps.ts";

/** What is done with each step. */
export interface Tap {
  /** A message is about to be sent: how often it really is. */
  readonly outgoing: (step: string) => number;
  /** A message has been handed to the connection; `flush` puts it on the wire, and returns what says whether the wire has taken it. */
  readonly sent: (step: string, flush: () => () => boolean) => void;
  /** A message came: how often, and how much later, it is handed on. */
  readonly incoming: (step: string) => readonly number[];
  /** An answer to a client is about to leave. */
  readonly answering: (step: string) => void;
  /** It has left. */
  readonly answered: (step: string) => void;
}

const ROLE = process.env["FAULT_ROLE"] ?? "";

type Publish = typeof ProtocolHandler.prototype.publish;

/** Taps this process. To be called once, before anything is connected. */
export function installTap(tap: Tap): void {
  tapNats(tap);
  tapAnswers(tap, ServerResponse.prototype);
  tapAnswers(tap, Http2ServerResponse.prototype);
}

function tapNats(tap: Tap): void {
  // oxlint-disable typescript/unbound-method -- each is called on the object that it is called for
  const { publish, processMsg } = ProtocolHandler.prototype;
  const { respond } = MsgImpl.prototype;
  // oxlint-enable typescript/unbound-method
  let answers: string | undefined;

  MsgImpl.prototype.respond = function tapped(this: MsgImpl, ...args: Parameters<typeof respond>): boolean {
    answers = this.subject;
    try {
      return respond.apply(this, args);
    } finally {
      answers = undefined;
    }
  };

  ProtocolHandler.prototype.publish = function tapped(this: ProtocolHandler, ...args: Parameters<Publish>): void {
    const [subject, body = new Uint8Array(), options] = args;
    const header = (name: string): string => options?.headers?.get(name) ?? "";
    const step = stepOf(ROLE, { subject, body, header, answers });
    for (let times = tap.outgoing(step); times > 0; times -= 1) publish.apply(this, args);
    tap.sent(step, () => {
      this.flush().catch(() => undefined);
      return () => !hasQueue(this.transport);
    });
  };

  ProtocolHandler.prototype.processMsg = function tapped(
    this: ProtocolHandler,
    ...[facts, data]: Parameters<typeof processMsg>
  ): void {
    const message = new MsgImpl(facts, data, this);
    const handOn = (): void => processMsg.call(this, facts, data);
    for (const waitMs of tap.incoming(
      incomingStepOf(message.subject, facts.reply === undefined ? "" : message.reply),
    )) {
      if (waitMs === 0) handOn();
      else setTimeout(handOn, waitMs);
    }
  };
}

function hasQueue(transport: object): boolean {
  return "socket" in transport && transport.socket instanceof Socket && transport.socket.writableLength > 0;
}

type Answer = Pick<ServerResponse, "writeHead" | "write" | "once"> & { readonly req: { readonly url?: string } };

/** Both kinds of answers are written alike. */
function tapAnswers(tap: Tap, prototype: object): void {
  const plain = prototype as Answer;
  // oxlint-disable-next-line typescript/unbound-method -- each is called on the answer that it is called for
  const { writeHead, write } = plain;
  plain.writeHead = function tapped(this: Answer, ...args: unknown[]): never {
    const step = `client-answer.${methodOf(this)}`;
    tap.answering(step);
    this.once("finish", () => afterwards(() => tap.answered(step)));
    return Reflect.apply(writeHead, this, args) as never;
  };
  plain.write = function tapped(this: Answer, ...args: unknown[]): boolean {
    const step = `client-message.${methodOf(this)}`;
    tap.answering(step);
    const done = args.findLast((arg) => typeof arg === "function") as ((error?: unknown) => void) | undefined;
    const rest = args.filter((arg) => typeof arg !== "function");
    const written = (error?: unknown): void => {
      done?.(error);
      afterwards(() => tap.answered(step));
    };
    return Reflect.apply(write, this, [...rest, written]) as boolean;
  };
}

/** The last part of the path: the method of an RPC. */
function methodOf(answer: Answer): string {
  return answer.req.url?.split("?")[0]?.split("/").at(-1) ?? "";
}

/** HTTP/2 writes to the socket at the end of the turn. */
function afterwards(act: () => void): void {
  setImmediate(() => setImmediate(act));
}
