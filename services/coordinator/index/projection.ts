// What a message of the log makes of a task's row. Pure: the same messages give the same row, in whatever order and however often they
// come, because only what is newer than what the row was made of counts.

import { create } from "@bufbuild/protobuf";
import { DispatchSchema, TaskEventSchema } from "../../../gen/mycel/v1/task_log_pb.ts";
import { TaskSchema } from "../../../gen/mycel/v1/task_pb.ts";
import { DEFAULT_RESULT_TTL_MS } from "../../../lib/core/limits.ts";
import { WITHDRAWN_QUEUE } from "../../../lib/core/names.ts";
import { type LastEvent, stateOf } from "../../../lib/core/task.ts";
import { nextDueMs } from "../../../lib/core/task-timers.ts";
import { isDeadLetter, isTerminal, type TaskState } from "../../../lib/core/task-state.ts";
import type { StoredMessage } from "../../../lib/nats/direct-reader.ts";
import { stateFromWire, stateToWire } from "../../../lib/wire/state-codec.ts";
import type { TaskSubject } from "../../../lib/wire/subjects.ts";
import { decodeDispatch, decodeEvent, type TaskRecord, viewOf } from "../../../lib/wire/task-codec.ts";
import { msFromDuration, msFromTimestamp } from "../../../lib/wire/time-codec.ts";
import { withoutField } from "./without-field.ts";

const INPUT: readonly number[] = [DispatchSchema.field.task.number, TaskSchema.field.input.number];
const RESULT: readonly number[] = [TaskEventSchema.field.result.number];

/** A task as the index keeps it. */
export interface TaskRow {
  readonly tenant: string;
  readonly taskId: string;
  readonly type: string;
  readonly queue: string;
  readonly priority: number;
  /** The contract's number; 0 while no dispatch is known. */
  readonly state: number;
  readonly agentId: string;
  readonly createMs: number;
  readonly endMs: number | null;
  readonly expireMs: number | null;
  /** Since when an open task's log ages; null once it has ended. */
  readonly openMs: number | null;
  /** When the first timer of an open task is due, or its timers are to be looked after again; null if it needs none. */
  readonly dueMs: number | null;
  readonly dead: number;
  /** The queue in the newest dispatch's subject, which may be a system queue. */
  readonly lane: string;
  readonly startMs: number | null;
  readonly resultTtlMs: number;
  readonly dispatchSequence: number;
  /** Events before this belong to an earlier task of the same id. */
  readonly floorSequence: number;
  readonly eventSequence: number;
  /** The contract's number of the last event's state; 0 for no event. */
  readonly eventState: number;
  readonly eventMs: number;
  readonly traceparent: string;
  /** The newest dispatch without the task's input. */
  readonly dispatch: Uint8Array | null;
  /** The last event without the result. */
  readonly event: Uint8Array | null;
}

/** What a dispatch tells beside the row. */
export interface Definition {
  readonly labels: Readonly<Record<string, string>>;
  readonly redriveOf: string;
}

/** A row, and the definition if a new one was read. */
export interface Projected {
  readonly row: TaskRow;
  readonly definition: Definition | undefined;
}

/** The definition in a row; undefined while no dispatch is known. */
export function definitionOf(row: TaskRow): Definition | undefined {
  if (row.dispatch === null) return undefined;
  const task = decodeDispatch(row.dispatch).task ?? create(TaskSchema);
  return { labels: task.labels, redriveOf: task.redriveOf };
}

/** The row of a task of which nothing is known. */
export function emptyRow(tenant: string, taskId: string): TaskRow {
  return {
    tenant,
    taskId,
    type: "",
    queue: "",
    priority: 0,
    state: 0,
    agentId: "",
    createMs: 0,
    endMs: null,
    expireMs: null,
    openMs: null,
    dueMs: null,
    dead: 0,
    lane: "",
    startMs: null,
    resultTtlMs: DEFAULT_RESULT_TTL_MS,
    dispatchSequence: 0,
    floorSequence: 0,
    eventSequence: 0,
    eventState: 0,
    eventMs: 0,
    traceparent: "",
    dispatch: null,
    event: null,
  };
}

/** The row after a message; undefined if the message says nothing new. Throws if the message can't be read. */
export function project(row: TaskRow, subject: TaskSubject, message: StoredMessage): Projected | undefined {
  return subject.kind === "event" ? afterEvent(row, message) : afterDispatch(row, subject, message);
}

function afterEvent(row: TaskRow, message: StoredMessage): Projected | undefined {
  if (message.sequence <= row.eventSequence || message.sequence < row.floorSequence) return undefined;
  const body = withoutField(message.body, RESULT);
  const event = decodeEvent(body);
  return {
    row: derived({
      ...row,
      eventSequence: message.sequence,
      eventState: event.state,
      eventMs: msFromTimestamp(event.eventTime) ?? message.storeMs,
      agentId: event.agentId,
      event: body,
    }),
    definition: undefined,
  };
}

function afterDispatch(
  row: TaskRow,
  subject: Extract<TaskSubject, { kind: "dispatch" }>,
  message: StoredMessage,
): Projected | undefined {
  if (message.sequence <= row.dispatchSequence) return undefined;
  const body = withoutField(message.body, INPUT);
  const task = decodeDispatch(body).task ?? create(TaskSchema);
  const createMs = msFromTimestamp(task.createTime) ?? message.storeMs;
  const known = row.dispatchSequence > 0 && row.createMs === createMs;
  return {
    row: derived({
      ...(row.dispatchSequence > 0 && !known ? anew(row, subject.queue, message.sequence) : row),
      type: task.type,
      queue: task.queue,
      priority: subject.priority,
      createMs,
      lane: subject.queue,
      startMs: msFromTimestamp(task.startTime) ?? null,
      // The table holds whole numbers only.
      resultTtlMs: Math.ceil(msFromDuration(task.resultTtl) ?? DEFAULT_RESULT_TTL_MS),
      dispatchSequence: message.sequence,
      traceparent: message.traceparent,
      dispatch: body,
    }),
    definition: known ? undefined : { labels: task.labels, redriveOf: task.redriveOf },
  };
}

/** The id was purged from the log and submitted again, which this index has not seen: the old task's event must not count. */
function anew(row: TaskRow, lane: string, sequence: number): TaskRow {
  // Only an ended task is withdrawn, so the event that stands before such a dispatch is the new task's own.
  if (lane === WITHDRAWN_QUEUE && row.eventSequence > row.dispatchSequence) return row;
  const fresh = emptyRow(row.tenant, row.taskId);
  if (row.eventSequence < sequence) return { ...fresh, floorSequence: sequence };
  const { eventSequence, eventState, eventMs, agentId, event } = row;
  return { ...fresh, floorSequence: sequence, eventSequence, eventState, eventMs, agentId, event };
}

/** Fills in what follows from the newest dispatch and the last event, by the same rule as everywhere. */
function derived(row: TaskRow): TaskRow {
  const state = stateIn(row);
  const ended = isTerminal(state);
  const endMs = ended ? row.eventMs : null;
  const known = row.dispatchSequence > 0;
  const openMs = known
    ? state === "scheduled"
      ? row.createMs
      : Math.max(row.createMs, row.startMs ?? 0)
    : row.eventMs;
  return {
    ...row,
    dueMs: known && !ended ? dueMsIn(row) : null,
    state: known ? stateToWire(state) : 0,
    endMs,
    expireMs: endMs === null ? null : Math.trunc(endMs + row.resultTtlMs),
    openMs: ended ? null : openMs,
    dead: known && isDeadLetter(state) ? 1 : 0,
  };
}

function dueMsIn({ tenant, taskId, dispatch, event, ...row }: TaskRow): number | null {
  if (dispatch === null) return null;
  const { dispatchSequence, lane, priority, eventSequence } = row;
  const record: TaskRecord = {
    tenant,
    taskId,
    dispatch: { message: decodeDispatch(dispatch), sequence: dispatchSequence, queue: lane, priority },
    event: event === null ? undefined : { message: decodeEvent(event), sequence: eventSequence },
    trace: { traceparent: "", tracestate: "" },
  };
  const dueMs = nextDueMs(viewOf(record));
  return dueMs === undefined ? null : Math.ceil(dueMs);
}

function stateIn(row: TaskRow): TaskState {
  const last: LastEvent | undefined =
    row.eventSequence === 0
      ? undefined
      : {
          sequence: row.eventSequence,
          // As in viewOf: a state that this version doesn't know.
          state: stateFromWire(row.eventState) ?? "failed",
          attempt: 0,
          nextAttempt: 0,
          agentId: row.agentId,
          attemptStartMs: undefined,
          nextAttemptMs: undefined,
          operationId: "",
          dispatchSequence: row.dispatchSequence,
          deliveries: 0,
        };
  const dispatch = { sequence: row.dispatchSequence, queue: row.lane, attempt: 0, fence: 0, beginRequired: false };
  return stateOf({ dispatch, last });
}
