// Messages of the tasks' log as the index reads them, built without a broker: only what a test names differs from an ordinary task.
import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { type TaskEvent, TaskEventSchema } from "../../gen/mycel/v1/task_log_pb.ts";
import type { TaskSchema } from "../../gen/mycel/v1/task_pb.ts";
import type { TaskState } from "../../lib/core/task-state.ts";
import type { StoredMessage } from "../../lib/nats/direct-reader.ts";
import { stateToWire } from "../../lib/wire/state-codec.ts";
import { encodeDispatch } from "../../lib/wire/task-codec.ts";
import { timestampFromMs } from "../../lib/wire/time-codec.ts";

/** What of a dispatch a test may choose. */
export interface DispatchChoice {
  readonly tenant?: string;
  /** The queue in the subject; the task's own by default. */
  readonly lane?: string;
  readonly createMs?: number;
  readonly attempt?: number;
  readonly task?: MessageInitShape<typeof TaskSchema>;
}

/** A dispatch as it stands in the log. */
export function dispatched(sequence: number, taskId: string, choice: DispatchChoice = {}): StoredMessage {
  const { tenant = "default", createMs = 1_000, attempt = 1 } = choice;
  const task = { taskId, type: "echo", queue: "echo", createTime: timestampFromMs(createMs), ...choice.task };
  return {
    subject: `task.${tenant}.${taskId}.q.${choice.lane ?? task.queue}.5`,
    sequence,
    storeMs: createMs,
    body: encodeDispatch({ task, attempt }),
    traceparent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    tracestate: "",
  };
}

/** What of an event a test may choose. */
export interface EventChoice {
  readonly tenant?: string;
  readonly eventMs?: number;
  readonly event?: Exclude<MessageInitShape<typeof TaskEventSchema>, TaskEvent>;
}

/** An event as it stands in the log. */
export function happened(sequence: number, taskId: string, state: TaskState, choice: EventChoice = {}): StoredMessage {
  const { tenant = "default", eventMs = 2_000, event = {} } = choice;
  const body = create(TaskEventSchema, { attempt: 1, agentId: "a-1", eventTime: timestampFromMs(eventMs), ...event });
  body.state = stateToWire(state);
  return {
    subject: `task.${tenant}.${taskId}.e`,
    sequence,
    storeMs: eventMs,
    body: toBinary(TaskEventSchema, body),
    traceparent: "",
    tracestate: "",
  };
}
