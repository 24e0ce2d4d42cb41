// What is told of a task that runs in this process: its status, as the contract has it. Pure.
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { type Task, type TaskStatus, TaskStatusSchema } from "../../../gen/mycel/v1/task_pb.ts";
import { isDeadLetter, isTerminal, type TaskState } from "../../../lib/core/task-state.ts";
import { policyOf } from "../../../lib/wire/task-codec.ts";
import { stateToWire } from "../../../lib/wire/state-codec.ts";
import { timestampFromMs } from "../../../lib/wire/time-codec.ts";

/** The agent id of whatever runs in this process. */
export const LOCAL_AGENT_ID = "local";

/** What a status says beside what follows from its task. */
export interface StatusFacts {
  readonly state: TaskState;
  readonly nowMs: number;
  /** The running or last attempt; 0 before the first. */
  readonly attempt: number;
  readonly traceId: string;
  readonly attemptStartMs?: number | undefined;
  readonly nextAttemptMs?: number | undefined;
  readonly failure?: MessageInitShape<typeof TaskStatusSchema>["failure"];
}

/** The status of a task. */
export function localStatus(task: Task, facts: StatusFacts): TaskStatus {
  const { state, nowMs, attempt, traceId, attemptStartMs, nextAttemptMs, failure } = facts;
  const now = timestampFromMs(nowMs);
  return create(TaskStatusSchema, {
    taskId: task.taskId,
    state: stateToWire(state),
    attempt,
    maximumAttempts: policyOf(task).maximumAttempts,
    agentId: attempt === 0 ? "" : LOCAL_AGENT_ID,
    updateTime: now,
    deadLetter: isDeadLetter(state),
    traceId,
    ...(task.createTime === undefined ? {} : { createTime: task.createTime }),
    ...(attemptStartMs === undefined ? {} : { attemptStartTime: timestampFromMs(attemptStartMs) }),
    ...(nextAttemptMs === undefined ? {} : { nextAttemptTime: timestampFromMs(nextAttemptMs) }),
    ...(failure === undefined ? {} : { failure }),
    ...(isTerminal(state) ? { endTime: now } : {}),
  });
}
