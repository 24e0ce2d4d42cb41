// Counts tasks as they end on one broker: terminal events as they are republished once they are stored, each task once.

import type { NatsConnection } from "../../../lib/nats/connection.ts";
import { decodeEvent } from "../../../lib/wire/task-codec.ts";
import { TaskState } from "../../../gen/mycel/v1/task_pb.ts";
import { BenchError } from "../../support/bench-error.ts";

const LIVE_EVENTS = "live.*.*.e";
const NOT_YET: ReadonlySet<TaskState> = new Set([TaskState.SUBMITTED, TaskState.WORKING, TaskState.BACKING_OFF]);
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

  constructor(connection: NatsConnection) {
    connection.subscribe(LIVE_EVENTS, {
      callback: (_error, message) => {
        const { state } = decodeEvent(message.data);
        if (!NOT_YET.has(state)) this.#ended(message.subject.split(".")[2] ?? "", state);
      },
    });
  }

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

  #ended(taskId: string, state: TaskState): void {
    if (state !== TaskState.COMPLETED) return this.#fail(`task ${taskId} ended in state ${state}`);
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
