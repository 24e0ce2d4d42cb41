// Owns what a delivered work item says: the dispatch inside, and the facts that JetStream puts into its reply subject.
import type { Msg } from "@nats-io/transport-node";
import type { Dispatch } from "../../gen/mycel/v1/task_log_pb.ts";
import { TRACEPARENT, TRACESTATE } from "../../lib/wire/headers.ts";
import { decodeDispatch } from "../../lib/wire/task-codec.ts";
import { isTracing, type TraceCarrier } from "../../lib/wire/trace-context.ts";

/** What the reply subject of a delivery says. */
export interface DeliveryFacts {
  readonly stream: string;
  readonly consumer: string;
  /** How often the message has been delivered, from 1. */
  readonly deliveryCount: number;
  /** When the message was stored, by the broker's clock, in milliseconds since 1970. */
  readonly storedMs: number;
  /** Names the delivery within its consumer. */
  readonly consumerSequence: string;
}

/** One delivered work item. */
export interface Delivery extends DeliveryFacts {
  /** The reply subject, by which the coordinator acknowledges and the agent renews. */
  readonly reply: string;
  readonly dispatch: Dispatch;
  /** The submission's trace; empty while tracing is off. */
  readonly carrier: TraceCarrier;
  /** When it arrived here, on the monotonic clock. */
  readonly receivedMs: number;
  /** Whether this process stood still for so long that the delivery may have lapsed before it was seen. */
  readonly suspect: boolean;
}

const NO_CARRIER: TraceCarrier = Object.freeze({});

/** Reads a reply subject in its short and its long form (ADR-15); undefined if it is none of them. */
export function parseDelivery(reply: string): DeliveryFacts | undefined {
  const tokens = reply.split(".");
  if (tokens[0] !== "$JS" || tokens[1] !== "ACK") return undefined;
  // The long form has domain and account hash before the stream, and a random token at its end.
  const at = tokens.length === 9 ? 2 : tokens.length >= 11 ? 4 : -1;
  const [stream, consumer, count, , consumerSequence, nanos] = tokens.slice(at, at + 6);
  if (at < 0 || stream === undefined || consumer === undefined || consumerSequence === undefined) return undefined;
  const deliveryCount = Number(count);
  const storedMs = Number(nanos) / 1_000_000;
  if (!Number.isSafeInteger(deliveryCount) || !Number.isFinite(storedMs)) return undefined;
  return { stream, consumer, deliveryCount, storedMs, consumerSequence };
}

/** Decodes a delivered message. Throws if the body is no Dispatch. */
export function readDelivery(facts: DeliveryFacts, msg: Msg, receivedMs: number, suspect: boolean): Delivery {
  const dispatch = decodeDispatch(msg.data);
  if (dispatch.task === undefined) throw new Error("the dispatch carries no task");
  return { ...facts, reply: msg.reply ?? "", dispatch, carrier: carrierOf(msg), receivedMs, suspect };
}

/**
 * Whether the agent must ask before it starts: the message was delivered before, or may have been (it is older than its consumer,
 * which counts from one), or the dispatch says so.
 */
export function beginBefore(delivery: Delivery, freshFromMs: number): "no" | "first" | "redelivery" {
  if (delivery.deliveryCount !== 1 || delivery.suspect || delivery.storedMs < freshFromMs) return "redelivery";
  return delivery.dispatch.beginRequired ? "first" : "no";
}

// Decoding headers costs more than all else here, so it is left out while nobody traces.
function carrierOf(msg: Msg): TraceCarrier {
  if (!isTracing() || msg.headers === undefined) return NO_CARRIER;
  const traceparent = msg.headers.get(TRACEPARENT);
  const tracestate = msg.headers.get(TRACESTATE);
  if (traceparent === "") return NO_CARRIER;
  return tracestate === "" ? { traceparent } : { traceparent, tracestate };
}
