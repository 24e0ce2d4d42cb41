import { expect, test } from "vitest";
import { rowsOf } from "../../../bench/report/rows.ts";
import type { Sample } from "../../../bench/rounds.ts";
import { IDLE } from "../../../bench/scenarios/latency.ts";
import { BULK } from "../../../bench/scenarios/throughput.ts";
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

function rate(perSecond: number): Sample {
  return { perSecond, samplesMs: [], cpuMicros: {} };
}

function times(...samplesMs: number[]): Sample {
  return { perSecond: undefined, samplesMs, cpuMicros: {} };
}

test("a rate's ratio is the median of the ratios of its rounds, not the ratio of the medians", () => {
  const mesh = [rate(10), rate(20), rate(30)];
  const floor = [rate(100), rate(40), rate(50)];
  const [row] = rowsOf([{ scenario: BULK, mesh, floor }]);
  expect(row).toMatchObject({ mesh: 20, floor: 50, ratio: 0.5, ratioRange: [0.1, 0.6] });
});

test("a latency's percentiles are those of all samples together, its ratio the median of the rounds' own", () => {
  const mesh = [times(2, 2), times(10, 20)];
  const floor = [times(1, 1), times(1, 2)];
  const rows = rowsOf([{ scenario: IDLE, mesh, floor }]);
  expect(rows.map(({ id }) => id)).toEqual(["idle.p50", "idle.p99", "idle.p99.9"]);
  expect(rows[0]).toMatchObject({ mesh: 2, floor: 1, ratio: 6, ratioRange: [2, 10] });
  expect(rows[1]).toMatchObject({ mesh: 20, floor: 2, ratio: 6, ratioRange: [2, 10] });
});
