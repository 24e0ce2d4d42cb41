// Names of tasks as they fall due: all at once, or at a rate.

import { setTimeout as sleep } from "node:timers/promises";

const TICK_MS = 4;

/** The names of `count` tasks, at once. */
export async function* atOnce(prefix: string, count: number): AsyncGenerator<string> {
  for (let i = 0; i < count; i += 1) yield `${prefix}-${i}`;
}

/** An open-loop load: it does not wait for answers, so that a slow system cannot slow down what it is asked. */
export class Load {
  readonly #prefix: string;
  readonly #perSecond: number;
  readonly #stop = new AbortController();
  #startMs = 0;
  #endMs = 0;
  /** How many names were given out. */
  sent = 0;

  constructor(prefix: string, perSecond: number) {
    this.#prefix = prefix;
    this.#perSecond = perSecond;
  }

  /** The names, as they fall due, until `end`. */
  async *names(): AsyncGenerator<string> {
    this.#startMs = performance.now();
    while (!this.#stop.signal.aborted) {
      const due = this.#dueAt(performance.now());
      while (this.sent < due) {
        yield `${this.#prefix}-${this.sent}`;
        this.sent += 1;
      }
      await sleep(TICK_MS);
    }
  }

  /** Gives out no more names. */
  end(): void {
    this.#endMs = performance.now();
    this.#stop.abort();
  }

  /** Which share of the names that fell due until the end was asked for: less than 1 if whoever submits them could not keep up. */
  get carriedShare(): number {
    return this.sent / Math.max(1, this.#dueAt(this.#endMs));
  }

  #dueAt(nowMs: number): number {
    return Math.floor(((nowMs - this.#startMs) * this.#perSecond) / 1_000);
  }
}
