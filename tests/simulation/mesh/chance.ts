// The simulation's dice: numbers that follow from a choice and from nothing else, so that a run can be repeated.

/** A sequence of numbers that looks random. */
export class Chance {
  #state = 1;

  /** Begins the sequence that belongs to a choice. */
  reseed(choice: number): void {
    this.#state = (Math.imul(choice, 2_654_435_761) + 1) >>> 0;
    this.below(2);
  }

  /** A whole number from 0 to below the limit. */
  below(limit: number): number {
    this.#state = (Math.imul(this.#state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((this.#state / 2 ** 32) * limit);
  }

  /** True once in so many times. */
  oneIn(times: number): boolean {
    return this.below(times) === 0;
  }

  /** True `level` times in so many; never at level 0. */
  within(level: number, times: number): boolean {
    return level > 0 && this.below(times) < level;
  }

  /** One of a list that is not empty. */
  oneOf<T>(list: readonly T[]): T {
    const found = list[this.below(list.length)];
    if (found === undefined) throw new RangeError("nothing to choose from");
    return found;
  }
}
