// What agents ask the coordinators over NATS, shared by all coordinators as a queue group; and the signals that go the other way.

import { headers, type Msg, type NatsConnection, type Subscription } from "@nats-io/nats-core";
import { create, type DescMessage, fromBinary, type MessageShape, toBinary } from "@bufbuild/protobuf";
import {
  AgentSignalSchema,
  CancelSignalSchema,
  type HeartbeatRequest,
  HeartbeatRequestSchema,
  type HeartbeatResponse,
  HeartbeatResponseSchema,
  type ReportRequest,
  ReportRequestSchema,
  type ReportResponse,
  ReportResponseSchema,
} from "../../gen/mycel/v1/agent_protocol_pb.ts";
import { SIGNAL } from "../wire/headers.ts";
import {
  type AgentVerb,
  agentVerbFilter,
  COORDINATORS_GROUP,
  inboxPrefix,
  isFromOtherAccount,
  isInInbox,
  parseAgentSubject,
  signalSubject,
} from "../wire/subjects.ts";

/** The agent that a request comes from. The broker enforces the subject, so this is who it is. */
export interface AgentIdentity {
  readonly tenant: string;
  readonly agentId: string;
}

/** What the coordinator does with requests. Whatever it throws leaves the request unanswered, and the agent asks again. */
export interface AgentRequestHandlers {
  readonly report: (from: AgentIdentity, request: ReportRequest) => Promise<ReportResponse>;
  readonly heartbeat: (from: AgentIdentity, request: HeartbeatRequest) => Promise<HeartbeatResponse>;
  /** Hears of a request that was dropped because it is none, or one too many: why, on which subject. */
  readonly onGarbage: (why: string, subject: string) => void;
  readonly onError: (error: unknown) => void;
}

/** Far deeper than a valid result nests: what is too deep is refused by itself, and not with all reports beside it. */
const NESTING = 1_000;

/**
 * How many requests of one agent are worked on at once, of each kind: what is beyond is dropped unread, and the agent asks again. The stock
 * agent has four reports under way, with many in each, and one heartbeat, a few when connections come and go.
 */
const MAX_IN_FLIGHT: Readonly<Record<AgentVerb, number>> = { report: 64, heartbeat: 4 };

type Handler<Request, Response> = (from: AgentIdentity, request: Request) => Promise<Response>;

/** Serves agents' requests until it is disposed. */
export class AgentRequests implements AsyncDisposable {
  readonly #connection: NatsConnection;
  readonly #handlers: AgentRequestHandlers;
  readonly #subscriptions: readonly Subscription[];
  readonly #running = new Set<Promise<void>>();
  /** How many are worked on, by subject: each agent has one of its own for each kind. */
  readonly #inFlight = new Map<string, number>();

  constructor(connection: NatsConnection, handlers: AgentRequestHandlers) {
    this.#connection = connection;
    this.#handlers = handlers;
    this.#subscriptions = [
      this.#listen("report", ReportRequestSchema, ReportResponseSchema, handlers.report),
      this.#listen("heartbeat", HeartbeatRequestSchema, HeartbeatResponseSchema, handlers.heartbeat),
    ];
  }

  /** Takes no new requests and waits until those at hand are answered. */
  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#subscriptions.map((subscription) => subscription.drain().catch(() => undefined)));
    await Promise.all(this.#running);
  }

  #listen<I extends DescMessage, O extends DescMessage>(
    verb: AgentVerb,
    input: I,
    output: O,
    handle: Handler<MessageShape<I>, MessageShape<O>>,
  ): Subscription {
    return this.#connection.subscribe(agentVerbFilter(verb), {
      queue: COORDINATORS_GROUP,
      callback: (error, message) => {
        if (error !== null || this.#isTooMuch(verb, message.subject)) return;
        const asked = this.#read(input, message);
        if (asked !== undefined) this.#serve(message, output, () => handle(asked.from, asked.request));
      },
    });
  }

  #isTooMuch(verb: AgentVerb, subject: string): boolean {
    if ((this.#inFlight.get(subject) ?? 0) < MAX_IN_FLIGHT[verb]) return false;
    this.#drop("the agent has too many requests under way", subject);
    return true;
  }

  #read<I extends DescMessage>(
    input: I,
    message: Msg,
  ): { readonly from: AgentIdentity; readonly request: MessageShape<I> } | undefined {
    const { subject, reply } = message;
    const from = parseAgentSubject(subject);
    if (from === undefined) return this.#drop("the subject names no agent", subject);
    if (!isFromOtherAccount(reply) && !isInInbox(reply, inboxPrefix(from.tenant, from.agentId))) {
      return this.#drop("the reply subject is not in the agent's own inbox", subject);
    }
    try {
      return { from, request: fromBinary(input, message.data, { recursionLimit: NESTING, readUnknownFields: false }) };
    } catch {
      return this.#drop(`the body is no ${input.typeName}`, subject);
    }
  }

  #drop(why: string, subject: string): undefined {
    this.#handlers.onGarbage(why, subject);
  }

  #serve<O extends DescMessage>(message: Msg, output: O, answer: () => Promise<MessageShape<O>>): void {
    const { subject } = message;
    this.#inFlight.set(subject, (this.#inFlight.get(subject) ?? 0) + 1);
    const served = this.#answer(message, output, answer).finally(() => {
      this.#running.delete(served);
      const left = (this.#inFlight.get(subject) ?? 1) - 1;
      if (left === 0) this.#inFlight.delete(subject);
      else this.#inFlight.set(subject, left);
    });
    this.#running.add(served);
  }

  async #answer<O extends DescMessage>(message: Msg, output: O, answer: () => Promise<MessageShape<O>>): Promise<void> {
    try {
      message.respond(toBinary(output, await answer()));
    } catch (error) {
      this.#handlers.onError(error);
    }
  }
}

/** Tells an agent to abort an attempt. Best effort: what the agent reports later is refused anyway. */
export function signalCancel(
  connection: NatsConnection,
  to: AgentIdentity,
  attempt: { readonly taskId: string; readonly attempt: number; readonly reason: string },
): void {
  const cancel = create(CancelSignalSchema, attempt);
  const signal = create(AgentSignalSchema, { kind: { case: "cancel", value: cancel } });
  const header = headers();
  header.set(SIGNAL, "1");
  connection.publish(signalSubject(to.tenant, to.agentId), toBinary(AgentSignalSchema, signal), { headers: header });
}
