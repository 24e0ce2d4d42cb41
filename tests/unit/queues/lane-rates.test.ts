import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { LaneState } from "../../../lib/nats/lane-states.ts";
import { LaneRates, sumOfRates } from "../../../services/coordinator/queues/lane-rates.ts";

function lane(change: Partial<LaneState> = {}): LaneState {
  return {
    tenant: "t",
    queue: "q",
    priority: 5,
    waiting: 0,
    inFlight: 0,
    deliveries: 0,
    deliveredSequence: 0,
    made: "first",
    ...change,
  };
}

describe("the rates of a lane", () => {
  test("are not known at the first look, nor within a second of it", () => {
    const rates = new LaneRates();
    expect(rates.take(lane(), 0)).toBeUndefined();
    expect(rates.take(lane({ waiting: 5 }), 999)).toBeUndefined();
    expect(rates.take(lane({ waiting: 5 }), 1_000)).toEqual({
      addedPerSecond: 5,
      finishedPerSecond: 0,
      windowMs: 1_000,
    });
  });

  test("count what came, waiting or delivered, and what was delivered and is no longer out", () => {
    const rates = new LaneRates();
    rates.take(lane({ waiting: 10, inFlight: 2, deliveries: 100 }), 0);
    expect(rates.take(lane({ waiting: 4, inFlight: 6, deliveries: 120 }), 2_000)).toEqual({
      addedPerSecond: 7,
      finishedPerSecond: 8,
      windowMs: 2_000,
    });
  });

  test("reach back a minute and no further", () => {
    const rates = new LaneRates();
    for (let second = 0; second <= 90; second += 1) {
      // Ten a second for half a minute, then none.
      const found = rates.take(lane({ waiting: 10 * Math.min(second, 30) }), second * 1_000);
      if (second === 30) expect(found).toMatchObject({ addedPerSecond: 10, windowMs: 30_000 });
      if (second === 60) expect(found).toMatchObject({ addedPerSecond: 5, windowMs: 60_000 });
      if (second === 90) expect(found).toMatchObject({ addedPerSecond: 0, windowMs: 60_000 });
    }
  });

  test("begin anew when its consumer is made anew, and when nobody has asked for a minute", () => {
    const rates = new LaneRates();
    rates.take(lane({ deliveries: 1_000 }), 0);
    expect(rates.take(lane({ deliveries: 1, made: "second" }), 5_000)).toBeUndefined();
    expect(rates.take(lane({ deliveries: 3, made: "second" }), 6_000)).toMatchObject({ addedPerSecond: 2 });
    expect(rates.take(lane({ deliveries: 9, made: "second" }), 100_000)).toBeUndefined();
  });

  test("are each lane's own", () => {
    const rates = new LaneRates();
    rates.take(lane(), 0);
    expect(rates.take(lane({ priority: 1 }), 2_000)).toBeUndefined();
    expect(rates.take(lane({ tenant: "other" }), 2_000)).toBeUndefined();
    expect(rates.take(lane({ waiting: 2 }), 2_000)).toMatchObject({ addedPerSecond: 1 });
  });

  test("are never below nothing, whatever is canceled or delivered again", () => {
    const anyLook = fc.record({ waiting: fc.nat(50), inFlight: fc.nat(50), deliveries: fc.nat(50) });
    fc.assert(
      fc.property(
        fc.array(anyLook, { minLength: 2, maxLength: 20 }),
        fc.integer({ min: 1, max: 30_000 }),
        (looks, stepMs) => {
          const rates = new LaneRates();
          for (const [i, look] of looks.entries()) {
            const found = rates.take(lane(look), i * stepMs);
            if (found === undefined) continue;
            expect(found.addedPerSecond).toBeGreaterThanOrEqual(0);
            expect(found.finishedPerSecond).toBeGreaterThanOrEqual(0);
            expect(found.windowMs).toBeGreaterThanOrEqual(1_000);
            expect(found.windowMs).toBeLessThanOrEqual(60_000);
          }
        },
      ),
    );
  });
});

test("the rates of a queue are the sum of its lanes' that are known", () => {
  const one = { addedPerSecond: 1, finishedPerSecond: 2, windowMs: 9_000 };
  const other = { addedPerSecond: 0.5, finishedPerSecond: 0, windowMs: 4_000 };
  expect(sumOfRates([one, undefined, other])).toEqual({ addedPerSecond: 1.5, finishedPerSecond: 2, windowMs: 4_000 });
  expect(sumOfRates([undefined])).toBeUndefined();
});
