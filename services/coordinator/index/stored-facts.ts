// What a row needs of a stored dispatch or event, and the message as the index keeps it: without input or result, which are never decoded.
//
// Nearly all are written plainly and are read in one go. Whatever is not goes the long way of the full decoder, which alone says what
// can't be read; a test holds the two ways against each other.

import { create } from "@bufbuild/protobuf";
import { DispatchSchema, TaskEventSchema } from "../../../gen/mycel/v1/task_log_pb.ts";
import { TaskSchema } from "../../../gen/mycel/v1/task_pb.ts";
import { DEFAULT_START_TO_CLOSE_MS } from "../../../lib/core/limits.ts";
import type { TaskTimeouts } from "../../../lib/core/task.ts";
import { decodeDispatch, decodeEvent } from "../../../lib/wire/task-codec.ts";
import { msFromDuration, msFromTimestamp } from "../../../lib/wire/time-codec.ts";
import { plainDispatch, plainEvent } from "./plain-facts.ts";
import { NOT_PLAIN } from "./plain-fields.ts";
import { withoutField } from "./without-field.ts";

const INPUT: readonly number[] = [DispatchSchema.field.task.number, TaskSchema.field.input.number];
const RESULT: readonly number[] = [TaskEventSchema.field.result.number];

/** What a row needs of a dispatch. Times are in milliseconds. */
export interface DispatchFacts {
  readonly type: string;
  readonly queue: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly redriveOf: string;
  readonly createMs: number | undefined;
  readonly startMs: number | undefined;
  readonly resultTtlMs: number | undefined;
  readonly timeouts: TaskTimeouts;
  /** The dispatch without the task's input. */
  readonly kept: Uint8Array;
}

/** What a row needs of an event. Times are in milliseconds. */
export interface EventFacts {
  /** The contract's number. */
  readonly state: number;
  readonly attempt: number;
  readonly agentId: string;
  readonly eventMs: number | undefined;
  readonly attemptStartMs: number | undefined;
  readonly nextAttemptMs: number | undefined;
  /** The event without the result. */
  readonly kept: Uint8Array;
}

/** Reads a dispatch. Throws MeshError TASK_UNREADABLE. */
export function readDispatch(body: Uint8Array): DispatchFacts {
  return plainly(plainDispatch, body) ?? anyDispatch(body);
}

/** Reads an event. Throws MeshError TASK_UNREADABLE. */
export function readEvent(body: Uint8Array): EventFacts {
  return plainly(plainEvent, body) ?? anyEvent(body);
}

function plainly<T>(read: (body: Uint8Array) => T, body: Uint8Array): T | undefined {
  try {
    return read(body);
  } catch (error) {
    if (error === NOT_PLAIN) return undefined;
    throw error;
  }
}

/** Reads a dispatch however it is written. Throws MeshError TASK_UNREADABLE. */
export function anyDispatch(body: Uint8Array): DispatchFacts {
  const kept = withoutField(body, INPUT);
  const task = decodeDispatch(kept).task ?? create(TaskSchema);
  const { timeouts } = task;
  return {
    type: task.type,
    queue: task.queue,
    labels: task.labels,
    redriveOf: task.redriveOf,
    createMs: msFromTimestamp(task.createTime),
    startMs: msFromTimestamp(task.startTime),
    resultTtlMs: msFromDuration(task.resultTtl),
    timeouts: {
      scheduleToStartMs: msFromDuration(timeouts?.scheduleToStart),
      startToCloseMs: msFromDuration(timeouts?.startToClose) ?? DEFAULT_START_TO_CLOSE_MS,
      scheduleToCloseMs: msFromDuration(timeouts?.scheduleToClose),
    },
    kept,
  };
}

/** Reads an event however it is written. Throws MeshError TASK_UNREADABLE. */
export function anyEvent(body: Uint8Array): EventFacts {
  const kept = withoutField(body, RESULT);
  const event = decodeEvent(kept);
  return {
    state: event.state,
    attempt: event.attempt,
    agentId: event.agentId,
    eventMs: msFromTimestamp(event.eventTime),
    attemptStartMs: msFromTimestamp(event.attemptStartTime),
    nextAttemptMs: msFromTimestamp(event.nextAttemptTime),
    kept,
  };
}
