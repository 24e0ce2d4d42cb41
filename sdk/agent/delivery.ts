// Owns what a delivered work item says: the dispatch inside, and the facts that JetStream puts into its reply subject.
import type { Msg } from "@nats-io/transport-node";
import type { Dispatch } from "../../gen/mycel/v1/task_log_pb.ts";
import { headerField, headerText } from "../../lib/nats/header-text.ts";
import type { DeliverySubject } from "../../lib/wire/subjects.ts";
import { TRACEPARENT, TRACESTATE } from "../../lib/wire/headers.ts";
import { isTracing, type TraceCarrier } from "../../lib/wire/trace-context.ts";

/** One delivered work item. */
export interface Delivery extends DeliverySubject {
  /** The reply subject, by which the coordinator acknowledges and the agent renews. */
  readonly reply: string;
  readonly dispatch: Pick<Dispatch, "attempt" | "fence" | "beginRequired" | "leaseToken">;
  /** The submission's trace; empty while tracing is off. */
  readonly carrier: TraceCarrier;
  /** When it arrived here, on the monotonic clock. */
  readonly receivedMs: number;
  /** Whether this process stood still for so long that the delivery may have lapsed before it was seen. */
  readonly suspect: boolean;
}

const NO_CARRIER: TraceCarrier = Object.freeze({});

const traceparentIn = headerField(TRACEPARENT);
const tracestateIn = headerField(TRACESTATE);

/** A delivered message, of which the dispatch was read. */
export function deliveryOf(
  facts: DeliverySubject,
  msg: Msg,
  dispatch: Delivery["dispatch"],
  receivedMs: number,
  suspect: boolean,
): Delivery {
  return { ...facts, reply: msg.reply ?? "", dispatch, carrier: carrierOf(msg), receivedMs, suspect };
}

/**
 * Whether the agent must ask before it starts: the message was delivered before, or may have been (it is older than its consumer,
 * which counts from one), or the dispatch says so.
 */
export function beginBefore(delivery: Delivery, freshFromMs: number): "no" | "first" | "redelivery" {
  if (delivery.deliveries !== 1 || delivery.suspect || delivery.storedMs < freshFromMs) return "redelivery";
  return delivery.dispatch.beginRequired ? "first" : "no";
}

// Not even these two are looked for while nobody traces.
function carrierOf(msg: Msg): TraceCarrier {
  if (!isTracing()) return NO_CARRIER;
  const headers = headerText(msg);
  const traceparent = traceparentIn(headers);
  if (traceparent === "") return NO_CARRIER;
  const tracestate = tracestateIn(headers);
  return tracestate === "" ? { traceparent } : { traceparent, tracestate };
}
