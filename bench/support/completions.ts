// Watches tasks end: terminal events as the broker republishes them once they are stored, seen by the benchmark's own process.
//
// The mesh and the floor are both judged by it, and neither knows of it.

import type { NatsConnection } from "../../lib/nats/connection.ts";
import { decodeEvent } from "../../lib/wire/task-codec.ts";
import { TaskState } from "../../gen/mycel/v1/task_pb.ts";
import { BenchError } from "./bench-error.ts";

/** The tag of field 1 of a TaskEvent, its state. */
const STATE_TAG = 0x08;
const LIVE_EVENTS = "live.*.*.e";
const COMPLETE_WITHIN_MS = 90_000;

/** The tasks of one measurement, named `<prefix>-<number>`. */
export class CompletionBatch {
  readonly #prefix: string;
  readonly #seen = new Set<string>();
  readonly #over = Promise.withResolvers<number>();
  #target = Number.POSITIVE_INFINITY;

  constructor(prefix: string) {
    this.#prefix = prefix;
    // A task that ends badly before anybody waits must not end the process, only the wait.
    this.#over.promise.catch(() => undefined);
  }

  /**
   * Resolves, with the moment on the monotonic clock, when so many tasks have completed. Rejects when one ended otherwise. To be asked
   * once.
   */
  async reach(count: number): Promise<number> {
    this.#target = count;
    if (this.#seen.size >= count) this.#over.resolve(performance.now());
    const timer = setTimeout(() => {
      const missing = `${count - this.#seen.size} of ${count} tasks`;
      const line = `${this.#prefix}: ${missing} did not complete within ${COMPLETE_WITHIN_MS / 1_000} s`;
      this.#over.reject(new BenchError(line));
    }, COMPLETE_WITHIN_MS);
    return this.#over.promise.finally(() => clearTimeout(timer));
  }

  /** Takes note of an end. */
  ended(taskId: string, state: number): void {
    if (state !== TaskState.COMPLETED || this.#seen.has(taskId)) {
      this.#over.reject(new BenchError(`task ${taskId} ended in state ${state}, or twice`));
      return;
    }
    this.#seen.add(taskId);
    if (this.#seen.size >= this.#target) this.#over.resolve(performance.now());
  }
}

/** Hears of the end of every task on one server. */
export class Completions {
  readonly #batches = new Map<string, CompletionBatch>();

  constructor(connection: NatsConnection) {
    connection.subscribe(LIVE_EVENTS, {
      callback: (_error, message) => {
        const state = stateOf(message.data);
        if (!isEnd(state)) return;
        const taskId = message.subject.split(".")[2] ?? "";
        this.#batches.get(taskId.slice(0, taskId.lastIndexOf("-")))?.ended(taskId, state);
      },
    });
  }

  /** Watches the tasks of a prefix from now on. Call it before the first of them is submitted. */
  track(prefix: string): CompletionBatch {
    const batch = new CompletionBatch(prefix);
    this.#batches.set(prefix, batch);
    return batch;
  }
}

/** The state of an event. Only its first field is read: decoding all of it would be charged to whoever is measured. */
function stateOf(event: Uint8Array): number {
  return event[0] === STATE_TAG ? (event[1] ?? 0) : decodeEvent(event).state;
}

function isEnd(state: number): boolean {
  return state !== TaskState.SUBMITTED && state !== TaskState.WORKING && state !== TaskState.BACKING_OFF;
}
