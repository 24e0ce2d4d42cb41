// When an ended task may be gone: from then on its name may be another task's. Nothing that only tidies up may be written to it any more.

import { statusOf, type TaskRecord } from "../../../lib/wire/task-codec.ts";
import { msFromTimestamp } from "../../../lib/wire/time-codec.ts";

/** Whether a task has ended, and its time is over. */
export function mayBePurged(record: TaskRecord, nowMs: number): boolean {
  const expireMs = msFromTimestamp(statusOf(record, record.event).expireTime);
  return expireMs !== undefined && expireMs <= nowMs;
}
