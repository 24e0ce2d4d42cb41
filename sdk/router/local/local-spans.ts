// The spans of what runs in this process: named as an agent's, and said not to have crossed a broker.
import { SpanKind } from "@opentelemetry/api";
import type { SpanShape } from "../../../lib/wire/trace-context.ts";
import type { WorkItem } from "../../agent/work-item.ts";
import { LOCAL_AGENT_ID } from "./local-status.ts";

/** The span of an attempt: `process {queue}`. */
export function localProcessSpan({
  taskId,
  queue,
  attempt,
}: Pick<WorkItem, "taskId" | "queue" | "attempt">): SpanShape {
  return {
    name: `process ${queue}`,
    options: {
      kind: SpanKind.CONSUMER,
      attributes: {
        "messaging.system": "in_process",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.destination.name": queue,
        "messaging.message.conversation_id": taskId,
        "mycel.attempt": attempt,
        "mycel.agent.id": LOCAL_AGENT_ID,
      },
    },
  };
}
