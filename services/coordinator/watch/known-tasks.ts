// What watches know of tasks beside their events: as little as a list shows, of the tasks that were looked at last.

import { type Task, TaskSchema } from "../../../gen/mycel/v1/task_pb.ts";
import { DispatchSchema, type TaskEvent } from "../../../gen/mycel/v1/task_log_pb.ts";
import type { StoredMessage } from "../../../lib/nats/direct-reader.ts";
import { parseTaskSubject } from "../../../lib/wire/subjects.ts";
import { decodeDispatch, statusOf, type TaskRecord } from "../../../lib/wire/task-codec.ts";
import { withoutField } from "../index/without-field.ts";

/** A task without its input. */
export interface KnownTask {
  /** When its newest dispatch was stored, in milliseconds since 1970. */
  readonly storeMs: number;
  /** The record of the newest dispatch, without events. */
  readonly record: Omit<TaskRecord, "event">;
  /** Whether anything was told of it. */
  told: boolean;
  /** Whether its end was told. */
  ended: boolean;
}

/** How many tasks are remembered. */
const MAX_KNOWN = 4_096;

const INPUT: readonly number[] = [DispatchSchema.field.task.number, TaskSchema.field.input.number];

/** Remembers tasks, forgetting those that were not asked for the longest. */
export class KnownTasks {
  readonly #tasks = new Map<string, KnownTask>();

  /** What is known of a task. */
  get(taskId: string): KnownTask | undefined {
    const found = this.#tasks.get(taskId);
    if (found === undefined) return undefined;
    this.#tasks.delete(taskId);
    this.#tasks.set(taskId, found);
    return found;
  }

  /** What is known of a task, without remembering it the longer for it. */
  peek(taskId: string): KnownTask | undefined {
    return this.#tasks.get(taskId);
  }

  /** Learns of tasks from their dispatches; what can't be read is no task. */
  learn(dispatches: readonly StoredMessage[]): void {
    for (const stored of dispatches) {
      const known = knownTask(stored);
      if (known === undefined) continue;
      const { taskId, dispatch } = known.record;
      const before = this.#tasks.get(taskId);
      // A delayed task has a second dispatch beside the first.
      if (before !== undefined && before.record.dispatch.sequence >= dispatch.sequence) continue;
      this.#tasks.delete(taskId);
      this.#tasks.set(taskId, known);
    }
  }

  /** Forgets what is too much. */
  trim(): void {
    for (const taskId of this.#tasks.keys()) {
      if (this.#tasks.size <= MAX_KNOWN) return;
      this.#tasks.delete(taskId);
    }
  }
}

/** The task after an event, or as it was submitted. Its newest dispatch says nothing of the state that an event has left it in. */
export function taskAfter(
  { record }: KnownTask,
  event: { readonly message: TaskEvent; readonly sequence: number } | undefined,
): Task | undefined {
  const { task } = record.dispatch.message;
  if (task === undefined) return undefined;
  const dispatch = event === undefined ? record.dispatch : { ...record.dispatch, sequence: 0, queue: task.queue };
  return { ...task, status: statusOf({ ...record, dispatch }, event) };
}

function knownTask(stored: StoredMessage): KnownTask | undefined {
  const subject = parseTaskSubject(stored.subject);
  if (subject?.kind !== "dispatch") return undefined;
  const { tenant, taskId, queue, priority } = subject;
  const { sequence, storeMs, traceparent, tracestate } = stored;
  try {
    const message = decodeDispatch(withoutField(stored.body, INPUT));
    const record = {
      tenant,
      taskId,
      dispatch: { message, sequence, queue, priority },
      trace: { traceparent, tracestate },
    };
    return { storeMs, record, told: false, ended: false };
  } catch {
    // Of what nobody can read there is nothing to show.
    return undefined;
  }
}
