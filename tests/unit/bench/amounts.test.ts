import { expect, test } from "vitest";
import { amountsOf, shareWithin } from "../../../bench/support/amounts.ts";

test.for([
  [1, 500],
  [16, 2_000],
  [256, 4_000],
] as const)("%d callers share fewer calls than there are tasks in bulk", ([concurrency, calls]) => {
  expect(amountsOf(20_000, 1).calls(concurrency)).toBe(calls);
});

test("a measurement makes 50 calls at least", () => {
  expect(amountsOf(100, 1).calls(1)).toBe(50);
});

test("what would take too long is done in part", () => {
  expect(shareWithin(20_000, 80_000)).toBe(0.25);
  expect(shareWithin(20_000, 20_000)).toBe(1);
});
