// Whether a task, as a change has left it, is one that a watcher wants. The same meaning as in lists, which ask the index. Pure.

import type { TaskFilter } from "../../../gen/mycel/v1/agent_service_pb.ts";
import type { Task } from "../../../gen/mycel/v1/task_pb.ts";
import { msFromTimestamp } from "../../../lib/wire/time-codec.ts";

/** Whether a task satisfies every field of a filter that is set. */
export function matchesFilter(filter: TaskFilter | undefined, task: Task): boolean {
  if (filter === undefined) return true;
  const { types, labels, queue, createTimeFrom, createTimeUntil } = filter;
  const createMs = msFromTimestamp(task.createTime) ?? 0;
  const fromMs = msFromTimestamp(createTimeFrom) ?? -Infinity;
  const untilMs = msFromTimestamp(createTimeUntil) ?? Infinity;
  return (
    mayMatch(filter, { state: task.status?.state ?? 0, agentId: task.status?.agentId ?? "" }) &&
    (types.length === 0 || types.includes(task.type)) &&
    (queue === "" || queue === task.queue) &&
    createMs >= fromMs &&
    createMs < untilMs &&
    Object.entries(labels).every(([key, value]) => task.labels[key] === value)
  );
}

/** Whether a change can satisfy a filter by what the change itself says: false if it cannot, whatever its task is. */
export function mayMatch(
  filter: TaskFilter | undefined,
  { state, agentId }: { readonly state: number; readonly agentId: string },
): boolean {
  if (filter === undefined) return true;
  if (filter.states.length > 0 && !filter.states.some((wanted) => wanted === state)) return false;
  return filter.agentId === "" || filter.agentId === agentId;
}
