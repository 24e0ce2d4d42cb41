// Waits between attempts stay within their bounds for every policy that the contract allows, and beyond.
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { backoffMs, baseBackoffMs, DEFAULT_RETRY_POLICY, JITTER, mayRetry } from "../../../lib/core/retry-policy.ts";

const policies = fc
  .record({
    initialIntervalMs: fc.nat({ max: 86_400_000 }),
    backoffCoefficient: fc.double({ min: 1, max: 10, noNaN: true }),
    maximumIntervalMs: fc.nat({ max: 86_400_000 }),
  })
  .map((waits) => ({ ...DEFAULT_RETRY_POLICY, ...waits }));
const attempts = fc.oneof(fc.integer({ min: 1, max: 100 }), fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }));
const randoms = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });

describe("the wait", () => {
  test("doubles from five seconds up to five minutes by default", () => {
    const waits = [1, 2, 3, 6, 7, 8, 100].map((attempt) => baseBackoffMs(DEFAULT_RETRY_POLICY, attempt));
    expect(waits).toEqual([5_000, 10_000, 20_000, 160_000, 300_000, 300_000, 300_000]);
  });

  test("is finite, never negative and never above its bound, at absurd attempts too", () => {
    fc.assert(
      fc.property(policies, attempts, (policy, attempt) => {
        const wait = baseBackoffMs(policy, attempt);
        expect(wait).toBeGreaterThanOrEqual(0);
        expect(wait).toBeLessThanOrEqual(policy.maximumIntervalMs);
        expect(baseBackoffMs(policy, attempt + 1)).toBeGreaterThanOrEqual(wait);
      }),
    );
  });

  test("of nothing stays nothing where the growth overflows", () => {
    expect(baseBackoffMs({ ...DEFAULT_RETRY_POLICY, initialIntervalMs: 0, backoffCoefficient: 10 }, 1_000)).toBe(0);
  });

  test("varies by a fifth to either side and no further, in whole milliseconds", () => {
    fc.assert(
      fc.property(policies, attempts, randoms, (policy, attempt, random) => {
        const base = baseBackoffMs(policy, attempt);
        const wait = backoffMs(policy, attempt, random);
        expect(Number.isInteger(wait)).toBe(true);
        expect(wait).toBeGreaterThanOrEqual(Math.floor(base * (1 - JITTER)));
        expect(wait).toBeLessThanOrEqual(Math.ceil(base * (1 + JITTER)));
      }),
    );
    expect([0, 0.5, 1 - 2 ** -53].map((random) => backoffMs(DEFAULT_RETRY_POLICY, 1, random))).toEqual([
      4_000, 5_000, 6_000,
    ]);
  });
});

describe("another attempt", () => {
  const policy = { ...DEFAULT_RETRY_POLICY, maximumAttempts: 3, nonRetryableReasons: ["BAD_INPUT"] };

  test.for<[number, boolean, string, boolean]>([
    [1, true, "OTHER", true],
    [2, true, "OTHER", true],
    [3, true, "OTHER", false],
    [4, true, "OTHER", false],
    [1, false, "OTHER", false],
    [1, true, "BAD_INPUT", false],
  ])("after attempt %i, retryable %s, for %s: %s", ([attempt, retryable, reason, expected]) => {
    expect(mayRetry(policy, attempt, retryable, reason)).toBe(expected);
  });
});
