// Owns the spans of an attempt: `process` around the handler, and the one around its settling report. Nothing while tracing is off.
import type { Context, Span } from "@opentelemetry/api";
import type { Task } from "../../gen/mycel/v1/task_pb.ts";
import { startHop } from "../../lib/wire/hop.ts";
import { DISPATCH_TEMPLATE } from "../../lib/wire/subjects.ts";
import {
  contextFromCarrier,
  isTracing,
  markSpanFailed,
  processSpan,
  type SettleName,
  settleSpan,
} from "../../lib/wire/trace-context.ts";
import type { Delivery } from "./delivery.ts";
import type { ReportAnswer } from "./reporter.ts";
import type { Settlement } from "./settlement.ts";

/** The span of an attempt, undefined if nothing is recorded of it, and the context in which the handler runs in either case. */
export interface ProcessSpan {
  readonly span: Span | undefined;
  readonly active: Context;
}

const SETTLE_NAMES: Readonly<Record<Settlement["kind"], SettleName>> = {
  complete: "ack",
  fail: "ack",
  retry_after: "ack",
  snooze: "ack",
  hand_back: "nak",
};

/** Starts the span of an attempt as a child of the submission's trace; undefined while tracing is off. */
export function startProcessSpan(
  delivery: Delivery,
  task: Pick<Task, "taskId" | "queue">,
  attempt: number,
  agentId: string,
): ProcessSpan | undefined {
  if (!isTracing()) return undefined;
  const { carrier, consumer } = delivery;
  const { span, inside } = startHop(contextFromCarrier(carrier), () =>
    processSpan({
      template: DISPATCH_TEMPLATE,
      consumer,
      taskId: task.taskId,
      queue: task.queue,
      attempt,
      agentId,
      links: [carrier],
    }),
  );
  return { span, active: inside };
}

/** A started settle span: the context that the report carries, and what ends the span with the answer. */
export interface SettleSpan {
  readonly active: Context;
  readonly end: (answer: ReportAnswer) => void;
}

/** Starts the span of a settling report; undefined if nothing is recorded of it. */
export function startSettleSpan(
  kind: Settlement["kind"],
  delivery: Delivery,
  task: Pick<Task, "taskId">,
  parent: Context | undefined,
): SettleSpan | undefined {
  if (parent === undefined) return undefined;
  const { span, inside } = startHop(parent, () => {
    const facts = { template: DISPATCH_TEMPLATE, consumer: delivery.consumer, taskId: task.taskId };
    return settleSpan(SETTLE_NAMES[kind], facts);
  });
  if (span === undefined) return undefined;
  const end = (answer: ReportAnswer): void => {
    if (answer.kind === "refused") markSpanFailed(span, answer.reason, answer.message);
    else if (answer.kind === "abandoned") markSpanFailed(span, "ABANDONED");
    span.end();
  };
  return { active: inside, end };
}
