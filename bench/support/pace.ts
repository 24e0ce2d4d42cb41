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
  /** How many names were given out. */
  sent = 0;

  constructor(prefix: string, perSecond: number) {
    this.#prefix = prefix;
    this.#perSecond = perSecond;
  }

  /** The names, as they fall due, until `end`. */
  async *names(): AsyncGenerator<string> {
    const startMs = performance.now();
    while (!this.#stop.signal.aborted) {
      const due = Math.floor(((performance.now() - startMs) * this.#perSecond) / 1_000);
      while (this.sent < due) {
        yield `${this.#prefix}-${this.sent}`;
        this.sent += 1;
      }
      await sleep(TICK_MS);
    }
  }

  /** Gives out no more names. */
  end(): void {
    this.#stop.abort();
  }
}
