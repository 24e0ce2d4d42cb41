// What must hold of a stored work item or event so that everything behind it can rely on it: names that are names, times that exist,
// numbers that are counts. Coordinators write nothing else; it must not be held against what a newer version may add.

import type { Duration, Timestamp } from "@bufbuild/protobuf/wkt";
import type { Dispatch, TaskEvent } from "../../gen/mycel/v1/task_log_pb.ts";
import { TaskState } from "../../gen/mycel/v1/task_pb.ts";
import { isName, MAX_TASK_ID_LENGTH } from "../core/names.ts";
import { isDuration, isTimestamp } from "./time-codec.ts";

const MAX_SEQUENCE = BigInt(Number.MAX_SAFE_INTEGER);

/** Whether a dispatch is a work item. */
export function isSoundDispatch({ task, attempt, fence }: Dispatch): boolean {
  // So reads what is empty, and most of what is something else.
  if (task === undefined) return false;
  const { timeouts, retryPolicy: policy } = task;
  return (
    isName(task.taskId, MAX_TASK_ID_LENGTH) &&
    isName(task.type) &&
    (task.queue === "" || isName(task.queue)) &&
    (task.webhook === undefined || isName(task.webhook.endpointId)) &&
    areTimes(task.createTime, task.startTime) &&
    areDurations(task.resultTtl, policy?.initialInterval, policy?.maximumInterval) &&
    areDurations(timeouts?.scheduleToStart, timeouts?.startToClose, timeouts?.scheduleToClose, timeouts?.heartbeat) &&
    areCounts(attempt, policy?.maximumAttempts ?? 0) &&
    (policy?.backoffCoefficient ?? 0) >= 0 &&
    fence <= MAX_SEQUENCE
  );
}

/** Whether an event is a link of a chain. A state that this version doesn't know is one. */
export function isSoundEvent(event: TaskEvent): boolean {
  return (
    event.state !== TaskState.UNSPECIFIED &&
    areTimes(event.eventTime, event.attemptStartTime, event.nextAttemptTime) &&
    areCounts(event.attempt, event.nextAttempt, event.endedAttempt, event.deliveries) &&
    event.outputSequence <= MAX_SEQUENCE &&
    event.dispatchSequence <= MAX_SEQUENCE
  );
}

function areTimes(...times: readonly (Timestamp | undefined)[]): boolean {
  return times.every((time) => time === undefined || isTimestamp(time));
}

function areDurations(...durations: readonly (Duration | undefined)[]): boolean {
  return durations.every((duration) => duration === undefined || isDuration(duration));
}

function areCounts(...numbers: readonly number[]): boolean {
  return numbers.every((number) => number >= 0);
}
