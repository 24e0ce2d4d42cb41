import { expect, test } from "vitest";
import { median, percentile } from "../../../bench/support/statistics.ts";

test.for([
  [[], Number.NaN],
  [[4], 4],
  [[9, 1, 5], 5],
  [[4, 1, 3, 2], 2.5],
] as const)("the median of %j is %d", ([values, expected]) => {
  expect(median(values)).toBe(expected);
});

test.for([
  [0.5, 50],
  [0.99, 99],
  [0.999, 100],
  [0, 1],
  [1, 100],
] as const)("the percentile %d of 1 to 100 is %d", ([share, expected]) => {
  const values = Array.from({ length: 100 }, (_, i) => 100 - i);
  expect(percentile(values, share)).toBe(expected);
});

test("the percentile of nothing is not a number", () => {
  expect(percentile([], 0.5)).toBeNaN();
});
