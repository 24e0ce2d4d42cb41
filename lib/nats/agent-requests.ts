// What agents ask the coordinators over NATS, shared by all coordinators as a queue group; and the signals that go the other way.

import type { Msg, NatsConnection, Subscription } from "@nats-io/nats-core";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
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
import {
  type AgentVerb,
  agentVerbFilter,
  COORDINATORS_GROUP,
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
  readonly onError: (error: unknown) => void;
}

/** Serves agents' requests until it is disposed. */
export class AgentRequests implements AsyncDisposable {
  readonly #handlers: AgentRequestHandlers;
  readonly #subscriptions: readonly Subscription[];
  readonly #running = new Set<Promise<void>>();

  constructor(connection: NatsConnection, handlers: AgentRequestHandlers) {
    this.#handlers = handlers;
    const listen = (
      verb: AgentVerb,
      answer: (from: AgentIdentity, message: Msg) => Promise<Uint8Array>,
    ): Subscription =>
      connection.subscribe(agentVerbFilter(verb), {
        queue: COORDINATORS_GROUP,
        callback: (error, message) => {
          const from = error === null ? parseAgentSubject(message.subject) : undefined;
          if (from !== undefined) this.#serve(from, message, answer);
        },
      });
    this.#subscriptions = [
      listen("report", async (from, message) => {
        return toBinary(
          ReportResponseSchema,
          await handlers.report(from, fromBinary(ReportRequestSchema, message.data)),
        );
      }),
      listen("heartbeat", async (from, message) => {
        return toBinary(
          HeartbeatResponseSchema,
          await handlers.heartbeat(from, fromBinary(HeartbeatRequestSchema, message.data)),
        );
      }),
    ];
  }

  /** Takes no new requests and waits until those at hand are answered. */
  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#subscriptions.map((subscription) => subscription.drain().catch(() => undefined)));
    await Promise.all(this.#running);
  }

  #serve(from: AgentIdentity, message: Msg, answer: (from: AgentIdentity, message: Msg) => Promise<Uint8Array>): void {
    const served = this.#answer(from, message, answer).finally(() => this.#running.delete(served));
    this.#running.add(served);
  }

  async #answer(
    from: AgentIdentity,
    message: Msg,
    answer: (from: AgentIdentity, message: Msg) => Promise<Uint8Array>,
  ): Promise<void> {
    try {
      message.respond(await answer(from, message));
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
  connection.publish(signalSubject(to.tenant, to.agentId), toBinary(AgentSignalSchema, signal));
}
