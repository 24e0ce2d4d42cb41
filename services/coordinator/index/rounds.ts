// Work that is done in rounds, one after the other and every few seconds, until somebody disposes of it. Knows nothing of the work.

import { pause } from "../../../lib/time/pause.ts";

/** What is done in rounds. */
export interface RoundsOptions<Done> {
  /** How long to wait after each round, in milliseconds. */
  readonly intervalMs: number;
  /** One round; cut short when the signal is aborted. */
  readonly work: (signal: AbortSignal) => Promise<Done>;
  /** Hears what a round that came by itself has done. */
  readonly onDone: (done: Done) => void;
  /** Hears why such a round failed; the next one comes all the same. */
  readonly onFailed: (error: unknown) => void;
}

/** Rounds that go on until they are disposed of. */
export class Rounds<Done> implements AsyncDisposable {
  readonly #options: RoundsOptions<Done>;
  readonly #stopping = new AbortController();
  readonly #loop: Promise<void>;
  #last: Promise<unknown> = Promise.resolve();

  constructor(options: RoundsOptions<Done>) {
    this.#options = options;
    this.#loop = this.#run();
  }

  /** Does one round now; after the one that is under way. */
  round(): Promise<Done> {
    const round = this.#last.then(() => this.#options.work(this.#stopping.signal));
    this.#last = round.catch(() => undefined);
    return round;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping.abort();
    await this.#loop;
    await this.#last;
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopping;
    const { intervalMs, onDone, onFailed } = this.#options;
    while (!signal.aborted) {
      try {
        onDone(await this.round());
      } catch (error) {
        onFailed(error);
      }
      await pause(intervalMs, signal);
    }
  }
}
