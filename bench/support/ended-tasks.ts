// How a worker process tells the benchmark which tasks have ended: over the channel between the two, many in a message.

import process from "node:process";
import type { TaskTracker } from "./task-tracker.ts";

interface EndedTasks {
  readonly ended: readonly string[];
}

let waiting: string[] = [];

/** In the worker: says that a task has ended, once the store has acknowledged it. Never waits. */
export function sayEnded(taskId: string): void {
  waiting.push(taskId);
  if (waiting.length > 1) return;
  // After the I/O of this turn: what ended together travels together.
  setImmediate(() => {
    process.send?.({ ended: waiting } satisfies EndedTasks);
    waiting = [];
  });
}

/** In the benchmark: takes note of what a worker says. Ignores what is no such message. */
export function hearEnded(tracker: TaskTracker, message: unknown): void {
  if (typeof message !== "object" || message === null || !("ended" in message) || !Array.isArray(message.ended)) return;
  for (const taskId of message.ended) tracker.ended(String(taskId));
}
