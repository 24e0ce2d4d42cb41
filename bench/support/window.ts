// A bounded number of open submissions: whoever submits faster than they are answered has to wait.

/** Counts what is open. The first failure ends it. */
export class Window {
  readonly #size: number;
  #open = 0;
  #failure: unknown;
  #changed = Promise.withResolvers<void>();

  /** `size`: how many may be open at once. */
  constructor(size: number) {
    this.#size = size;
  }

  /** Takes a place for a submission on its way, and resolves when there is one for the next. Rejects if any has failed. */
  async add(submission: Promise<unknown>): Promise<void> {
    this.#open += 1;
    submission
      .catch((error: unknown) => {
        this.#failure ??= error;
      })
      .finally(() => {
        this.#open -= 1;
        this.#changed.resolve();
        this.#changed = Promise.withResolvers();
      });
    await this.#untilAtMost(this.#size - 1);
  }

  /** Resolves when nothing is open. Rejects if any submission failed. */
  async drain(): Promise<void> {
    await this.#untilAtMost(0);
  }

  async #untilAtMost(count: number): Promise<void> {
    while (this.#open > count && this.#failure === undefined) await this.#changed.promise;
    if (this.#failure !== undefined) throw this.#failure;
  }
}
