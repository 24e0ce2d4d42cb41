import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { DurationHistogram } from "../../../lib/core/duration-histogram.ts";

const SHARES = [0.01, 0.5, 0.9, 0.95, 0.99, 1];
const DURATIONS = fc.array(fc.double({ min: 0, max: 604_800_000, noNaN: true }), { minLength: 1, maxLength: 300 });

function histogramOf(durations: readonly number[]): DurationHistogram {
  const histogram = new DurationHistogram();
  for (const ms of durations) histogram.add(ms);
  return histogram;
}

describe("DurationHistogram", () => {
  test("tells percentiles that are at most 15 % and a millisecond too high, and never too low", () => {
    fc.assert(
      fc.property(DURATIONS, fc.constantFrom(...SHARES), (durations, share) => {
        const sorted = durations.toSorted((a, b) => a - b);
        const exact = sorted[Math.max(1, Math.ceil(share * sorted.length)) - 1]!;
        const told = histogramOf(durations).percentileMs(share);
        expect(told).toBeGreaterThanOrEqual(exact * (1 - 1e-9));
        expect(told).toBeLessThanOrEqual(Math.max(1, exact * 1.15 * (1 + 1e-9)));
      }),
    );
  });

  test("gives the same whether durations are counted at once or in parts", () => {
    fc.assert(
      fc.property(DURATIONS, DURATIONS, (some, others) => {
        const parts = histogramOf(some);
        parts.addAll(JSON.parse(JSON.stringify(histogramOf(others).toRecord())));
        const whole = histogramOf([...some, ...others]);
        expect(parts.count).toBe(whole.count);
        expect(parts.maxMs).toBe(whole.maxMs);
        expect(parts.averageMs).toBeCloseTo(whole.averageMs, 3);
        for (const share of SHARES) expect(parts.percentileMs(share)).toBe(whole.percentileMs(share));
      }),
    );
  });

  test.each([
    ["nothing", [], { count: 0, average: 0, max: 0, median: 0 }],
    ["what clocks that differ make negative", [-5], { count: 1, average: 0, max: 0, median: 0 }],
    ["one duration exactly", [123], { count: 1, average: 123, max: 123, median: 123 }],
    ["what is longer than any task", [1e12], { count: 1, average: 1e12, max: 1e12, median: 1e12 }],
  ])("tells of %s", (_, durations, expected) => {
    const histogram = histogramOf(durations);
    expect({
      count: histogram.count,
      average: histogram.averageMs,
      max: histogram.maxMs,
      median: histogram.percentileMs(0.5),
    }).toEqual(expected);
  });
});
