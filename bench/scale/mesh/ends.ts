// Counts tasks as they end on one broker, each once, whatever they are called.

import { BenchError } from "../../support/bench-error.ts";

/** How long nothing at all may end while somebody waits for it. */
const SILENCE_MS = 60_000;

interface Waiter {
  readonly count: number;
  readonly resolve: (nowMs: number) => void;
  readonly reject: (error: Error) => void;
}

/** The tasks that ended since the watch began. */
export class Ends {
  readonly #seen = new Set<string>();
  readonly #waiters = new Set<Waiter>();
  #failure: BenchError | undefined;
  #silence: NodeJS.Timeout | undefined;

  /** How many have ended. */
  get count(): number {
    return this.#seen.size;
  }

  /**
   * Resolves, with the moment on the monotonic clock, when so many tasks have ended in all. Rejects when one ended other than completed,
   * or twice, and when none has ended for a minute.
   */
  async reach(count: number): Promise<number> {
    if (this.#failure !== undefined) throw this.#failure;
    if (this.count >= count) return performance.now();
    this.#listen();
    return await new Promise((resolve, reject) => this.#waiters.add({ count, resolve, reject }));
  }

  /** Takes note that a task is completed. */
  ended(taskId: string): void {
    if (this.#seen.has(taskId)) return this.#fail(`task ${taskId} ended twice`);
    this.#seen.add(taskId);
    this.#silence?.refresh();
    for (const waiter of this.#waiters) {
      if (waiter.count > this.count) continue;
      this.#waiters.delete(waiter);
      waiter.resolve(performance.now());
    }
    if (this.#waiters.size === 0) this.#stopListening();
  }

  /** Takes note that a task ended otherwise. */
  failed(taskId: string, reason: string): void {
    this.#fail(`task ${taskId} ${reason}`);
  }

  #listen(): void {
    this.#silence ??= setTimeout(() => {
      const goal = Math.max(...[...this.#waiters].map(({ count }) => count));
      this.#fail(`${this.count} tasks of ${goal} have ended, and none for ${SILENCE_MS / 1_000} s`);
    }, SILENCE_MS);
  }

  #stopListening(): void {
    clearTimeout(this.#silence);
    this.#silence = undefined;
  }

  #fail(line: string): void {
    this.#failure ??= new BenchError(line);
    for (const { reject } of this.#waiters) reject(this.#failure);
    this.#waiters.clear();
    this.#stopListening();
  }
}
