// How amounts are told: exact sums inside, rounded once, when somebody reads them.
import { Decimal } from "decimal.js";

/** An amount to the cent, as text: JSON has no decimals. */
export function usd(amount: Decimal): string {
  return amount.toFixed(2, Decimal.ROUND_HALF_UP);
}

/** The exact sum. */
export function sum(amounts: readonly Decimal[]): Decimal {
  return amounts.reduce((total, amount) => total.plus(amount), new Decimal(0));
}

/** `part` of `whole` in percent, to a tenth; 0 of nothing. */
export function share(part: Decimal, whole: Decimal): number {
  return whole.isZero() ? 0 : part.div(whole).times(100).toDecimalPlaces(1, Decimal.ROUND_HALF_UP).toNumber();
}

/** Items by a key, in the order in which the keys come first. */
export function groupBy<Item>(
  items: readonly Item[],
  keyOf: (item: Item) => string,
): readonly (readonly [string, readonly Item[]])[] {
  const groups = new Map<string, Item[]>();
  for (const item of items) groups.set(keyOf(item), [...(groups.get(keyOf(item)) ?? []), item]);
  return [...groups];
}
