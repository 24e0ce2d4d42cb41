// What stands in the log about a task, to and from what the rules and the contract speak of.
//
// Messages that every task makes are written out as literals: `create` walks over the descriptor of a message, which costs as much as
// encoding it.

import {
  clone,
  create,
  type DescMessage,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf";
import { type Dispatch, DispatchSchema, type TaskEvent, TaskEventSchema } from "../../gen/mycel/v1/task_log_pb.ts";
import type { Payload } from "../../gen/mycel/v1/payload_pb.ts";
import {
  type Task,
  type TaskFailure,
  TaskFailureSchema,
  TaskSchema,
  type TaskStatus,
} from "../../gen/mycel/v1/task_pb.ts";
import type { EventDraft } from "../core/event.ts";
import {
  DEFAULT_RESULT_TTL_MS,
  DEFAULT_START_TO_CLOSE_MS,
  MAX_FAILURE_DETAILS_BYTES,
  MAX_FAILURE_MESSAGE_LENGTH,
  MAX_REASON_LENGTH,
} from "../core/limits.ts";
import { taskUnreadable } from "../core/mesh-error.ts";
import { DEFAULT_RETRY_POLICY, type RetryPolicy } from "../core/retry-policy.ts";
import { type Failure, scheduleMs, stateOf, type TaskView } from "../core/task.ts";
import { isDeadLetter, isTerminal } from "../core/task-state.ts";
import { BackWriter } from "./back-writer.ts";
import { cutToBytes } from "./cut-text.ts";
import { encodeAround, takeApart, writeWhole } from "./large-payload.ts";
import { isSoundDispatch, isSoundEvent } from "./stored-bounds.ts";
import { sourceFromWire, sourceToWire, stateFromWire, stateToWire } from "./state-codec.ts";
import { msFromDuration, msFromTimestamp, timestampFromMs } from "./time-codec.ts";
import { encodedLength } from "./value-size.ts";

/** The tag of a dispatch's task. */
const DISPATCH_TASK = 0x0a;

/** The newest dispatch and the last event of a task, as read from the log. */
export interface TaskRecord {
  readonly tenant: string;
  readonly taskId: string;
  readonly dispatch: {
    readonly message: Dispatch;
    readonly sequence: number;
    /** The queue of its subject, which may be a system queue. */
    readonly queue: string;
    readonly priority: number;
  };
  readonly event: { readonly message: TaskEvent; readonly sequence: number } | undefined;
  /** The W3C trace context of the submission. */
  readonly trace: { readonly traceparent: string; readonly tracestate: string };
}

/** Reads a dispatch. Throws MeshError TASK_UNREADABLE. */
export function decodeDispatch(bytes: Uint8Array): Dispatch {
  const dispatch = read(DispatchSchema, bytes);
  if (!isSoundDispatch(dispatch)) throw taskUnreadable();
  return dispatch;
}

/** Reads an event. Throws MeshError TASK_UNREADABLE. */
export function decodeEvent(bytes: Uint8Array): TaskEvent {
  const event = read(TaskEventSchema, bytes);
  if (!isSoundEvent(event)) throw taskUnreadable();
  return event;
}

function read<Desc extends DescMessage>(desc: Desc, bytes: Uint8Array): MessageShape<Desc> {
  try {
    return fromBinary(desc, bytes);
  } catch (cause) {
    throw taskUnreadable(cause);
  }
}

/** Writes a dispatch. */
export function encodeDispatch(dispatch: MessageInitShape<typeof DispatchSchema>): Uint8Array<ArrayBuffer> {
  const message = create(DispatchSchema, dispatch);
  const task = message.task === undefined ? undefined : takeApart(TaskSchema, message.task, "input");
  if (task === undefined) return toBinary(DispatchSchema, message);
  const rest = toBinary(DispatchSchema, { ...message, task: undefined });
  const writer = new BackWriter(encodedLength(task.size) + rest.length);
  writer.copy(rest);
  const end = writer.at;
  writeWhole(writer, task);
  writer.wrap(DISPATCH_TASK, end);
  return writer.finish();
}

/** What only the writer of an event knows. */
export interface EventContext {
  readonly eventMs: number;
  readonly operationId: string;
  /** The sequence of the last output of the attempt that the event ends. */
  readonly outputSequence: number;
  readonly result: Payload | undefined;
}

/** Writes an event. */
export function encodeEvent(draft: EventDraft, context: EventContext): Uint8Array<ArrayBuffer> {
  const event: TaskEvent = {
    $typeName: "mycel.v1.TaskEvent",
    state: stateToWire(draft.state),
    attempt: draft.attempt,
    nextAttempt: draft.nextAttempt,
    agentId: draft.agentId,
    eventTime: timestampFromMs(context.eventMs),
    attemptStartTime: draft.attemptStartMs === undefined ? undefined : timestampFromMs(draft.attemptStartMs),
    nextAttemptTime: draft.nextAttemptMs === undefined ? undefined : timestampFromMs(draft.nextAttemptMs),
    result: context.result,
    failure: draft.failure === undefined ? undefined : failureToWire(draft.failure, draft.ended?.attempt ?? 0),
    cancelReason: draft.cancelReason,
    outputSequence: BigInt(context.outputSequence),
    endedAttempt: draft.ended?.attempt ?? 0,
    endedAgentId: draft.ended?.agentId ?? "",
    operationId: context.operationId,
    dispatchSequence: BigInt(draft.dispatchSequence),
    deliveries: draft.deliveries,
  };
  return encodeAround(TaskEventSchema, event, "result");
}

function failureToWire(failure: Failure, attempt: number): TaskFailure {
  return create(TaskFailureSchema, {
    message: failure.message,
    reason: failure.reason,
    retryable: failure.retryable,
    source: sourceToWire(failure.source),
    attempt,
    details: failure.details,
  });
}

/** A failure as an agent reported it, cut to its bounds. */
export function failureFromWire(failure: TaskFailure | undefined): Failure {
  return {
    message: (failure?.message ?? "the handler failed").slice(0, MAX_FAILURE_MESSAGE_LENGTH),
    reason: (failure?.reason || "HANDLER_ERROR").slice(0, MAX_REASON_LENGTH),
    retryable: failure?.retryable ?? true,
    source: sourceFromWire(failure?.source ?? 0),
    details: cutToBytes(failure?.details ?? "", MAX_FAILURE_DETAILS_BYTES),
  };
}

/** The rules' view of a task. */
export function viewOf(record: TaskRecord): TaskView {
  const { dispatch, event } = record;
  const task = dispatch.message.task ?? create(TaskSchema);
  return {
    policy: policyOf(task),
    timeouts: {
      scheduleToStartMs: msFromDuration(task.timeouts?.scheduleToStart),
      startToCloseMs: msFromDuration(task.timeouts?.startToClose) ?? DEFAULT_START_TO_CLOSE_MS,
      scheduleToCloseMs: msFromDuration(task.timeouts?.scheduleToClose),
    },
    createMs: msFromTimestamp(task.createTime) ?? 0,
    startMs: msFromTimestamp(task.startTime),
    dispatch: {
      sequence: dispatch.sequence,
      queue: dispatch.queue,
      attempt: dispatch.message.attempt,
      fence: Number(dispatch.message.fence),
      beginRequired: dispatch.message.beginRequired,
    },
    last:
      event === undefined
        ? undefined
        : {
            sequence: event.sequence,
            // A state that this version doesn't know was written by a newer one; until its task ends, nobody here may move it.
            state: stateFromWire(event.message.state) ?? "failed",
            attempt: event.message.attempt,
            nextAttempt: event.message.nextAttempt,
            agentId: event.message.agentId,
            attemptStartMs: msFromTimestamp(event.message.attemptStartTime),
            nextAttemptMs: msFromTimestamp(event.message.nextAttemptTime),
            operationId: event.message.operationId,
            dispatchSequence: Number(event.message.dispatchSequence),
            deliveries: event.message.deliveries,
          },
  };
}

/** The retry policy of a task, with defaults for what is unset. */
export function policyOf(task: Task): RetryPolicy {
  const policy = task.retryPolicy;
  return {
    maximumAttempts: policy?.maximumAttempts || DEFAULT_RETRY_POLICY.maximumAttempts,
    initialIntervalMs: msFromDuration(policy?.initialInterval) ?? DEFAULT_RETRY_POLICY.initialIntervalMs,
    backoffCoefficient: policy?.backoffCoefficient || DEFAULT_RETRY_POLICY.backoffCoefficient,
    maximumIntervalMs: msFromDuration(policy?.maximumInterval) ?? DEFAULT_RETRY_POLICY.maximumIntervalMs,
    nonRetryableReasons: policy?.nonRetryableReasons ?? [],
  };
}

/** How far a task is, as the contract tells it. `event` may be an earlier one than the record's, for readers of the past. */
export function statusOf(record: Omit<TaskRecord, "event">, event: TaskRecord["event"]): TaskStatus {
  const task = record.dispatch.message.task ?? create(TaskSchema);
  const view = viewOf({ ...record, event });
  const state = stateOf(view);
  const terminal = isTerminal(state);
  const createTime = task.createTime;
  const eventTime = event?.message.eventTime;
  const status: TaskStatus = {
    $typeName: "mycel.v1.TaskStatus",
    taskId: record.taskId,
    state: stateToWire(state),
    attempt: event?.message.attempt ?? 0,
    maximumAttempts: view.policy.maximumAttempts,
    agentId: event?.message.agentId ?? "",
    createTime,
    attemptStartTime: event?.message.attemptStartTime,
    updateTime: eventTime ?? createTime,
    failure: event?.message.failure,
    cancelReason: event?.message.cancelReason ?? "",
    revision: BigInt(terminal ? (event?.sequence ?? 0) : Math.max(event?.sequence ?? 0, record.dispatch.sequence)),
    deadLetter: isDeadLetter(state),
    traceId: record.trace.traceparent.split("-")[1] ?? "",
  };
  if (state === "backing_off") status.nextAttemptTime = event?.message.nextAttemptTime;
  if (state === "scheduled") status.nextAttemptTime = timestampFromMs(scheduleMs(view));
  if (terminal && eventTime !== undefined) {
    const ttlMs = msFromDuration(task.resultTtl) ?? DEFAULT_RESULT_TTL_MS;
    status.endTime = eventTime;
    status.expireTime = timestampFromMs(msFromTimestamp(eventTime) + ttlMs);
  }
  return status;
}

/** A task with its status. `content` adds input and result, which lists leave out. */
export function taskOf(record: TaskRecord, content: boolean): Task {
  const task = clone(TaskSchema, record.dispatch.message.task ?? create(TaskSchema));
  task.status = statusOf(record, record.event);
  if (!content) delete task.input;
  else if (record.event?.message.result !== undefined) task.result = record.event.message.result;
  return task;
}
