// What a task is, without how far it is.

import { isUnreadable, taskNotFound } from "../../../lib/core/mesh-error.ts";
import type { Lifecycle } from "./lifecycle.ts";

/** What of a task never changes, as far as it is asked for. */
export interface TaskDefinition {
  readonly taskId: string;
  readonly type: string;
  readonly labels: Readonly<Record<string, string>>;
}

/** Reads what a task is. Throws TASK_NOT_FOUND, also for one of which that can't be read, and BROKER_UNAVAILABLE. */
export async function readDefinition(
  lifecycle: Pick<Lifecycle, "readCurrent">,
  tenant: string,
  taskId: string,
): Promise<TaskDefinition> {
  try {
    const { task } = (await lifecycle.readCurrent(tenant, taskId)).dispatch.message;
    if (task !== undefined) return task;
  } catch (error) {
    if (!isUnreadable(error)) throw error;
  }
  throw taskNotFound(taskId);
}
