// Events of one task, made up: what a watch tells.
import { create } from "@bufbuild/protobuf";
import { StreamResultsResponseSchema } from "../../../gen/mycel/v1/agent_service_pb.ts";
import { FailureSource, TaskState as WireState, TaskStatusSchema } from "../../../gen/mycel/v1/task_pb.ts";
import type { TaskState } from "../../../lib/core/task-state.ts";
import { stateToWire } from "../../../lib/wire/state-codec.ts";
import { timestampFromMs } from "../../../lib/wire/time-codec.ts";
import type { TaskEvent } from "../../../sdk/client/index.ts";
import { aTask, PICTURE_MS } from "../../support/mesh-picture.ts";

/** When the task was submitted, in milliseconds since 1970. */
export const SUBMITTED_MS: number = PICTURE_MS - 12_000;

const base = { cursor: "c", sequence: 1, message: create(StreamResultsResponseSchema) };
const output = { ...base, attempt: 1, agentId: "alpha", time: new Date(PICTURE_MS) };

/** The snapshot with which a watch begins. */
export function snapshotEvent(taskId: string): TaskEvent {
  const task = aTask(taskId, { status: { state: WireState.SUBMITTED, attempt: 0, agentId: "" } });
  return { ...base, kind: "snapshot", state: "submitted", status: task.status!, task };
}

/** A state that was reached so many milliseconds after the submission. */
export function state(
  to: TaskState,
  attempt: number,
  afterMs: number,
  reason = "",
  message = "",
  startedMs?: number,
): TaskEvent {
  const status = create(TaskStatusSchema, {
    taskId: "t-42",
    state: stateToWire(to),
    attempt,
    maximumAttempts: 3,
    agentId: "alpha",
    createTime: timestampFromMs(SUBMITTED_MS),
    updateTime: timestampFromMs(SUBMITTED_MS + afterMs),
    ...(startedMs === undefined ? {} : { attemptStartTime: timestampFromMs(SUBMITTED_MS + startedMs) }),
    ...(reason === "" ? {} : { failure: { reason, message, attempt, source: FailureSource.AGENT } }),
  });
  return { ...base, kind: "state", state: to, status, result: to === "completed" ? { ok: true } : undefined };
}

/** A partial result. */
export function chunk(value: unknown): TaskEvent {
  return { ...output, kind: "chunk", value };
}

/** A line for people. */
export function log(text: string, level: "debug" | "info" | "warn" | "error"): TaskEvent {
  return { ...output, kind: "log", level, text };
}

/** How far the attempt is. */
export function progress(fraction: number, text: string): TaskEvent {
  return { ...output, kind: "progress", fraction, text };
}
