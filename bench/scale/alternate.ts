// Measures several sides in turn, so that what else goes on on the machine falls on all of them alike.

import { median } from "../support/statistics.ts";

/** One side: measures itself once and gives a number. */
export type Turn = (round: number) => Promise<number>;

/**
 * Gives each side one turn in each of `rounds` rounds, in another order every time. More than one come after a warm-up, round 0, whose
 * numbers are left out.
 */
export async function alternate(rounds: number, sides: readonly Turn[]): Promise<readonly (readonly number[])[]> {
  const numbers: number[][] = sides.map(() => []);
  for (let round = rounds > 1 ? 0 : 1; round <= rounds; round += 1) {
    for (let place = 0; place < sides.length; place += 1) {
      const at = (place + round) % sides.length;
      const number = await sides[at]?.(round);
      if (round > 0 && number !== undefined) numbers[at]?.push(number);
    }
  }
  return numbers;
}

/** The median of the rounds' ratios, of two sides measured in turn. */
export function medianRatio(above: readonly number[], below: readonly number[]): number {
  return median(above.map((number, round) => number / (below[round] ?? Number.NaN)));
}
