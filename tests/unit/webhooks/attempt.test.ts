// What follows from an attempt: the table of answers, and what holds for whatever a receiver says.
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { afterAttempt, isDelivered, WEBHOOK_JITTER, WEBHOOK_RETRY_POLICY } from "../../../lib/core/webhook-attempt.ts";

const POLICY = { delaysMs: [5_000, 30_000], maxRetryAfterMs: 3_600_000 };
const EVEN = 0.5;

describe("an attempt", () => {
  test.for([
    [200, undefined, 1, { kind: "delivered" }],
    [204, 60_000, 3, { kind: "delivered" }],
    [299, undefined, 1, { kind: "delivered" }],
    [410, 60_000, 1, { kind: "gone" }],
    [300, undefined, 1, { kind: "again", delayMs: 5_000 }],
    [302, undefined, 2, { kind: "again", delayMs: 30_000 }],
    [404, undefined, 1, { kind: "again", delayMs: 5_000 }],
    [503, undefined, 3, { kind: "given_up" }],
    [0, undefined, 1, { kind: "again", delayMs: 5_000 }],
    [0, undefined, 3, { kind: "given_up" }],
    [429, 60_000, 1, { kind: "again", delayMs: 60_000 }],
    [503, 1_000, 2, { kind: "again", delayMs: 30_000 }],
    [503, 86_400_000, 1, { kind: "again", delayMs: 3_600_000 }],
    [503, 60_000, 3, { kind: "given_up" }],
  ] as const)("answered %i, asked to wait %s, as number %i", ([status, retryAfterMs, attempt, next]) => {
    expect(afterAttempt(POLICY, { status, retryAfterMs }, attempt, EVEN)).toEqual(next);
  });

  test("never comes again sooner than its delay less the jitter, nor later than the longest wait there is", () => {
    const { delaysMs, maxRetryAfterMs } = WEBHOOK_RETRY_POLICY;
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 599 }),
        fc.option(fc.integer({ min: 0 }), { nil: undefined }),
        fc.integer({ min: 1, max: 30 }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (status, retryAfterMs, attempt, random) => {
          const next = afterAttempt(WEBHOOK_RETRY_POLICY, { status, retryAfterMs }, attempt, random);
          expect(next.kind === "delivered").toBe(isDelivered(status));
          if (next.kind !== "again") return;
          const baseMs = delaysMs[attempt - 1]!;
          expect(next.delayMs).toBeGreaterThanOrEqual(Math.floor(baseMs * (1 - WEBHOOK_JITTER)));
          expect(next.delayMs).toBeLessThanOrEqual(Math.max(maxRetryAfterMs, Math.ceil(baseMs * (1 + WEBHOOK_JITTER))));
        },
      ),
    );
  });

  test("of a receiver that is down is made 11 times over about 28 hours", () => {
    let waitedMs = 0;
    let attempts = 1;
    for (; ; attempts += 1) {
      const next = afterAttempt(WEBHOOK_RETRY_POLICY, { status: 0, retryAfterMs: undefined }, attempts, EVEN);
      if (next.kind !== "again") break;
      waitedMs += next.delayMs;
    }
    expect(attempts).toBe(11);
    expect(waitedMs / 3_600_000).toBeCloseTo(27.7, 1);
  });
});
