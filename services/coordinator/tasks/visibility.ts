// What callers may see of tasks. One that is outside of a caller's scope is answered for exactly as one that there is not.

import { covers, type TaskScope } from "../../../lib/core/access/task-scope.ts";
import { isUnreadable, taskNotFound } from "../../../lib/core/mesh-error.ts";
import type { TaskRecord } from "../../../lib/wire/task-codec.ts";

/** Whether a task is in a scope. Of one that can't be read nobody knows that, so it is in none. */
export function isVisible({ dispatch }: TaskRecord, scope: TaskScope | undefined): boolean {
  if (scope === undefined) return true;
  const { task } = dispatch.message;
  return task !== undefined && covers(scope, task);
}

/** Reads a task for whom it must be in a scope. Throws TASK_NOT_FOUND, and what reading throws. */
export async function readVisible(
  taskId: string,
  scope: TaskScope | undefined,
  read: () => Promise<TaskRecord | undefined>,
): Promise<TaskRecord> {
  const record = await read().catch((error: unknown) => {
    if (scope === undefined || !isUnreadable(error)) throw error;
    return undefined;
  });
  if (record === undefined || !isVisible(record, scope)) throw taskNotFound(taskId);
  return record;
}
