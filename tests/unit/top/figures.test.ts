// Numbers in a few characters.
import { expect, test } from "vitest";
import {
  agoText,
  barText,
  countText,
  percentText,
  rateText,
  spanText,
  sparkline,
} from "../../../cli/top/draw/figures.ts";

test.for<[count: number, text: string]>([
  [0, "0"],
  [9_999, "9999"],
  [10_000, "10.0k"],
  [99_949, "99.9k"],
  [123_456, "123k"],
  [999_499, "999k"],
  [999_500, "1.0M"],
  [4_500_000_000, "4.5G"],
])("the count %i is %s", ([count, text]) => expect(countText(count)).toBe(text));

test.for<[perSecond: number, text: string]>([
  [0, "0"],
  [0.01, "<0.1"],
  [0.25, "0.3"],
  [12, "12"],
  [12.34, "12.3"],
  [1_234.5, "1235"],
  [123_456, "123k"],
])("the rate %f is %s", ([perSecond, text]) => expect(rateText(perSecond)).toBe(text));

test.for<[ms: number, text: string]>([
  [0.2, "<1ms"],
  [4.23, "4.2ms"],
  [9.96, "10ms"],
  [850.4, "850ms"],
  [999.6, "1.0s"],
  [59_900, "59.9s"],
  [59_960, "59s"],
  [125_000, "2m"],
])("the span of %f ms is %s", ([ms, text]) => expect(spanText(ms)).toBe(text));

test("only a round hundred is told as one", () => {
  expect([1, 0.9999, 0.5, 0].map(percentText)).toEqual(["100%", "99.9%", "50%", "0%"]);
});

test("what has just been is now, even by a clock that is behind", () => {
  expect([-5_000, 900, 3_000].map(agoText)).toEqual(["now", "now", "3s ago"]);
});

test("only nothing is an empty bar, and no bar is longer than its room", () => {
  expect([0, 0.001, 0.5, 1, 7].map((share) => barText(share, 4))).toEqual(["░░░░", "█░░░", "██░░", "████", "████"]);
});

test("a curve is as high as its highest value, shows something for anything, and grows to the right", () => {
  expect(sparkline([0, 1, 50, 100], 6)).toBe("▁▂▄█  ");
  expect(sparkline([0, 0], 2)).toBe("▁▁");
  expect(sparkline([1, 2, 3], 2)).toBe("▅█");
  expect(sparkline([], 3)).toBe("   ");
});
