// Keeps an answer for a while: whoever asks meanwhile gets the same one, and of those who ask at the same time only the first asks the mesh.

/** An answer that is kept. */
export class KeptAnswer<T> {
  readonly #ask: () => Promise<T>;
  readonly #keepMs: (answer: T) => number;
  readonly #nowMs: () => number;
  #current: Promise<T> | undefined;
  /** Infinity while the answer is awaited. */
  #untilMs = 0;

  /** `keepMs` says how long an answer is kept; one that failed is not. `nowMs` is a monotonic clock. */
  constructor(ask: () => Promise<T>, keepMs: (answer: T) => number, nowMs: () => number) {
    this.#ask = ask;
    this.#keepMs = keepMs;
    this.#nowMs = nowMs;
  }

  /** The answer. */
  get(): Promise<T> {
    if (this.#current !== undefined && this.#nowMs() < this.#untilMs) return this.#current;
    const asked: Promise<T> = this.#ask();
    this.#current = asked;
    this.#untilMs = Number.POSITIVE_INFINITY;
    asked.then(
      (answer) => this.#settle(asked, this.#nowMs() + this.#keepMs(answer)),
      () => this.#settle(asked, 0),
    );
    return asked;
  }

  /** Forgets the answer, also one that is awaited: the next to ask gets a new one. */
  clear(): void {
    this.#current = undefined;
  }

  #settle(asked: Promise<T>, untilMs: number): void {
    if (this.#current === asked) this.#untilMs = untilMs;
  }
}
