// Counts tasks as they end, by the prefix of their ids. Every contender is judged by it; how it hears of an end is its own affair.

import { BenchError } from "./bench-error.ts";

const END_WITHIN_MS = 90_000;

/** The tasks of one measurement. */
export interface TrackedTasks {
  /**
   * Resolves, with the moment on the monotonic clock, when so many tasks have ended. Rejects when one ended badly or twice, or after 90 s.
   * To be asked once.
   */
  reach(count: number): Promise<number>;
}

/** All tasks of one contender. */
export class TaskTracker {
  readonly #batches = new Map<string, Batch>();

  /** Watches the tasks of a prefix from now on. */
  track(prefix: string): TrackedTasks {
    const batch = new Batch(prefix);
    this.#batches.set(prefix, batch);
    return batch;
  }

  /** Takes note that a task ended well, and now. Ids of prefixes that nobody tracks are ignored. */
  ended(taskId: string): void {
    this.#batchOf(taskId)?.ended(taskId);
  }

  /** Takes note that a task ended badly: whoever waits for its like hears why. */
  failed(taskId: string, reason: string): void {
    this.#batchOf(taskId)?.fail(`task ${taskId} ${reason}`);
  }

  #batchOf(taskId: string): Batch | undefined {
    return this.#batches.get(taskId.slice(0, taskId.lastIndexOf("-")));
  }
}

class Batch implements TrackedTasks {
  readonly #prefix: string;
  readonly #seen = new Set<string>();
  readonly #over = Promise.withResolvers<number>();
  #target = Number.POSITIVE_INFINITY;

  constructor(prefix: string) {
    this.#prefix = prefix;
    // A task that ends badly before anybody waits must not end the process, only the wait.
    this.#over.promise.catch(() => undefined);
  }

  async reach(count: number): Promise<number> {
    this.#target = count;
    if (this.#seen.size >= count) this.#over.resolve(performance.now());
    const timer = setTimeout(() => {
      const missing = `${count - this.#seen.size} of ${count} tasks`;
      this.fail(`${this.#prefix}: ${missing} did not end within ${END_WITHIN_MS / 1_000} s`);
    }, END_WITHIN_MS);
    return this.#over.promise.finally(() => clearTimeout(timer));
  }

  ended(taskId: string): void {
    if (this.#seen.has(taskId)) return this.fail(`task ${taskId} ended twice`);
    this.#seen.add(taskId);
    if (this.#seen.size >= this.#target) this.#over.resolve(performance.now());
  }

  fail(line: string): void {
    this.#over.reject(new BenchError(line));
  }
}
