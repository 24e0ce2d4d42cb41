// What a reader of results remembers of a task while it reads: as little as the statuses of its past need.

import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { type Task, TaskSchema } from "../../../gen/mycel/v1/task_pb.ts";
import { DispatchSchema } from "../../../gen/mycel/v1/task_log_pb.ts";
import type { TaskRecord } from "../../../lib/wire/task-codec.ts";
import type { ResultSource } from "./result-source.ts";

/**
 * What a task's status says beside what its events say, and nothing else: a reader may hold it for hours, and whatever was read with it
 * holds all that came from the broker at once.
 */
export interface Definition {
  readonly createTime: Task["createTime"];
  readonly resultTtl: Task["resultTtl"];
  readonly maximumAttempts: number;
  readonly trace: TaskRecord["trace"];
}

/** Takes the definition out of what was read. */
export function definitionOf({ trace, dispatch }: TaskRecord): Definition {
  const { createTime, resultTtl, retryPolicy } = dispatch.message.task ?? create(TaskSchema);
  return { createTime, resultTtl, maximumAttempts: retryPolicy?.maximumAttempts ?? 0, trace };
}

/** A record that gives the status after an event. Its newest dispatch says nothing of a task's past. */
export function recordOf(
  { tenant, taskId }: ResultSource,
  { createTime, resultTtl, maximumAttempts, trace }: Definition,
): Omit<TaskRecord, "event"> {
  const task: MessageInitShape<typeof TaskSchema> = { retryPolicy: { maximumAttempts } };
  if (createTime !== undefined) task.createTime = createTime;
  if (resultTtl !== undefined) task.resultTtl = resultTtl;
  const message = create(DispatchSchema, { task });
  return { tenant, taskId, trace, dispatch: { message, sequence: 0, queue: "", priority: 0 } };
}
