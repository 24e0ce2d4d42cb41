// Whether the consumer of a lane is still the one that the session told of. One that was deleted and made again delivers everything anew
// and counts from 1: a first delivery by its count may be of a message that has run.

/** Notices consumers that were made again. */
export class LaneTrust {
  /** What each consumer counted last. */
  readonly #counted = new Map<string, number>();
  readonly #doubted = new Set<string>();

  /** Takes in a delivery's number within its consumer, and says whether the consumer's counts can be relied upon. */
  trusts(consumer: string, consumerSequence: number): boolean {
    const last = this.#counted.get(consumer) ?? 0;
    this.#counted.set(consumer, consumerSequence);
    if (consumerSequence <= last) this.#doubted.add(consumer);
    return !this.#doubted.has(consumer);
  }

  /** The consumer was away: what comes next under its name may be another one. */
  doubt(consumer: string): void {
    this.#doubted.add(consumer);
  }

  /** Whether the consumer's counts cannot be relied upon. */
  doubts(consumer: string): boolean {
    return this.#doubted.has(consumer);
  }

  /** A new session tells since when each consumer has counted. */
  renewed(): void {
    this.#doubted.clear();
  }
}
