// The tasks of the fake coordinator: what becomes of each type, told as the messages of StreamResults. In memory, no I/O.
import { type MessageInitShape, create } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import {
  ResultKind,
  type StreamResultsResponse,
  StreamResultsResponseSchema,
  type SubmitTaskRequest,
  type TaskFilter,
} from "../../gen/mycel/v1/agent_service_pb.ts";
import { LogLevel } from "../../gen/mycel/v1/output_pb.ts";
import { PayloadSchema } from "../../gen/mycel/v1/payload_pb.ts";
import {
  FailureSource,
  Priority,
  type Task,
  TaskFailureSchema,
  TaskSchema,
  TaskState,
  type TaskStatus,
} from "../../gen/mycel/v1/task_pb.ts";

/** A task of the fake. */
export interface FakeTask {
  readonly task: Task;
  /** Everything that StreamResults sends after the snapshot. */
  readonly events: StreamResultsResponse[];
}

/** The states that end a task. */
export const TERMINAL: ReadonlySet<number> = new Set([
  TaskState.COMPLETED,
  TaskState.FAILED,
  TaskState.CANCELED,
  TaskState.TIMED_OUT,
]);

/** A task as it is once it was submitted: everything that will happen has happened, unless it is `idle`. */
export function makeTask(taskId: string, request: SubmitTaskRequest): FakeTask {
  const now = timestampFromDate(new Date());
  const task = create(TaskSchema, {
    taskId,
    type: request.type,
    queue: request.queue || request.type,
    priority: request.priority === Priority.UNSPECIFIED ? Priority.NORMAL : request.priority,
    labels: request.labels,
    createTime: now,
    status: { taskId, state: TaskState.SUBMITTED, maximumAttempts: 3, createTime: now, updateTime: now, revision: 1n },
    ...(request.input === undefined ? {} : { input: request.input }),
  });
  const events: StreamResultsResponse[] = [];
  if (request.type === "idle") return { task, events };
  work(task, events);
  if (request.type === "story") {
    output(events, { case: "log", value: { level: LogLevel.INFO, message: "reading" } });
    output(events, { case: "progress", value: { fraction: 0.5, message: "half way" } });
    for (const text of ["one", "two", "three"]) {
      const value = { kind: { case: "json" as const, value: { kind: { case: "stringValue" as const, value: text } } } };
      output(events, { case: "chunk", value: create(PayloadSchema, value) });
    }
  }
  if (request.type === "fail" || request.type === "time-out") {
    const timedOut = request.type === "time-out";
    task.status!.failure = create(TaskFailureSchema, {
      message: timedOut ? "the task took longer than 1 s" : "division by zero",
      reason: timedOut ? "SCHEDULE_TO_CLOSE_TIMEOUT" : "HANDLER_ERROR",
      source: timedOut ? FailureSource.TIMEOUT : FailureSource.AGENT,
      attempt: 1,
    });
    task.status!.deadLetter = true;
    end({ task, events }, timedOut ? TaskState.TIMED_OUT : TaskState.FAILED);
  } else {
    if (task.input !== undefined) task.result = task.input;
    end({ task, events }, TaskState.COMPLETED);
  }
  return { task, events };
}

function work(task: Task, events: StreamResultsResponse[]): void {
  const status = task.status!;
  Object.assign(status, { state: TaskState.WORKING, attempt: 1, agentId: "agent-1", revision: 2n });
  events.push(message(events.length + 1, { case: "stateChange", value: { status: copy(status) } }));
}

/** Ends a task. */
export function end({ task, events }: FakeTask, state: TaskState): void {
  const status = task.status!;
  const endTime = timestampFromDate(new Date());
  Object.assign(status, { state, endTime, updateTime: endTime, revision: status.revision + 1n });
  const value = { status: copy(status), ...(task.result === undefined ? {} : { result: task.result }) };
  events.push(message(events.length + 1, { case: "stateChange", value }));
}

function copy(status: TaskStatus): TaskStatus {
  return { ...status };
}

type Kind = NonNullable<MessageInitShape<typeof StreamResultsResponseSchema>["kind"]>;

/** One message of StreamResults. */
export function message(sequence: number, kind: Kind): StreamResultsResponse {
  return create(StreamResultsResponseSchema, { cursor: `c${sequence}`, sequence: BigInt(sequence), kind });
}

function output(events: StreamResultsResponse[], kind: object): void {
  const index = BigInt(events.length);
  const time = timestampFromDate(new Date());
  const value = { attempt: 1, agentId: "agent-1", output: { index, time, kind } };
  events.push(message(events.length + 1, { case: "output", value } as never));
}

/** Whether a reader who asked for these kinds is sent a message. */
export function wanted(message: StreamResultsResponse, kinds: readonly ResultKind[]): boolean {
  if (kinds.length === 0) return true;
  if (message.kind.case === "stateChange") {
    return kinds.includes(ResultKind.STATE) || TERMINAL.has(message.kind.value.status!.state);
  }
  if (message.kind.case !== "output") return true;
  const kind = { chunk: ResultKind.CHUNK, progress: ResultKind.PROGRESS, log: ResultKind.LOG };
  return kinds.includes(kind[message.kind.value.output!.kind.case!]);
}

/** Whether a list with this filter shows a task. */
export function matches(task: Task, filter: TaskFilter | undefined): boolean {
  if (filter === undefined) return true;
  if (filter.states.length > 0 && !filter.states.includes(task.status!.state)) return false;
  if (filter.types.length > 0 && !filter.types.includes(task.type)) return false;
  return Object.entries(filter.labels).every(([key, value]) => task.labels[key] === value);
}
