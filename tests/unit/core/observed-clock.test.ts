import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { MAX_STAND_STILL_MS, ObservedClock } from "../../../lib/core/observed-clock.ts";

const DAY_MS = 86_400_000;

/** This machine's clocks, which a test moves. */
class LocalClock {
  wallMs = 5_000_000;
  elapsedMs = 100;

  now(): number {
    return this.wallMs;
  }

  monotonicMs(): number {
    return this.elapsedMs;
  }
}

function setup(): { readonly local: LocalClock; readonly clock: ObservedClock } {
  const local = new LocalClock();
  return { local, clock: new ObservedClock(local) };
}

test("until the other clock was seen, the wall clock counts", () => {
  const { local, clock } = setup();
  expect([clock.now(), clock.wallAheadMs(), clock.monotonicMs()]).toEqual([5_000_000, 0, 100]);
  local.wallMs -= 1_000;
  expect(clock.now()).toBe(4_999_000);
});

test("the first observation is believed in the middle of its round trip, and elapsed time is added", () => {
  const { local, clock } = setup();
  clock.observe({ sentMs: 100, shownMs: 9_000_000, receivedMs: 140 });
  local.elapsedMs = 140;
  expect(clock.now()).toBe(9_000_020);
  local.elapsedMs = 1_140;
  expect(clock.now()).toBe(9_001_020);
});

test.for([DAY_MS, -DAY_MS])("a wall clock that jumps by %i ms changes nothing but what is said of it", (jump) => {
  const { local, clock } = setup();
  clock.observe({ sentMs: 100, shownMs: 5_000_000, receivedMs: 100 });
  local.wallMs += jump;
  expect([clock.now(), clock.wallAheadMs()]).toEqual([5_000_000, jump]);
});

describe("a later observation", () => {
  test.for<[string, sentMs: number, shownMs: number, receivedMs: number, now: number]>([
    ["that agrees changes nothing", 1_000, 9_001_000, 1_010, 9_001_010],
    ["that was slow, but does not contradict, changes nothing", 1_000, 9_002_000, 3_000, 9_003_000],
    ["corrects as little as it must, forward", 1_000, 9_002_000, 1_500, 9_002_000],
    ["corrects as little as it must, back", 1_000, 9_000_900, 1_500, 9_001_400],
    ["of a clock that was set forward is followed at once", 1_000, 9_000_000 + DAY_MS, 1_000, 9_000_000 + DAY_MS],
    ["of a clock that was set back is followed at once", 1_000, 9_000_000 - DAY_MS, 1_000, 9_000_000 - DAY_MS],
  ])("%s", ([, sentMs, shownMs, receivedMs, now]) => {
    const { local, clock } = setup();
    clock.observe({ sentMs: 0, shownMs: 9_000_000, receivedMs: 0 });
    clock.observe({ sentMs, shownMs, receivedMs });
    local.elapsedMs = receivedMs;
    expect(clock.now()).toBe(now);
  });

  test("that would set the time back a little makes it stand still until it is right", () => {
    const { local, clock } = setup();
    clock.observe({ sentMs: 100, shownMs: 1_000, receivedMs: 100 });
    expect(clock.now()).toBe(1_000);
    clock.observe({ sentMs: 100, shownMs: 1_000 - MAX_STAND_STILL_MS, receivedMs: 100 });
    const told = [0, 500, 999, 1_000, 1_001].map((elapsed) => {
      local.elapsedMs = 100 + elapsed;
      return clock.now();
    });
    expect(told).toEqual([1_000, 1_000, 1_000, 1_000, 1_001]);
  });
});

test("however slow the answers and wherever in between the other clock was read, the time is as right as the last answer was quick", () => {
  const answers = fc.array(
    fc.record({ pause: fc.nat(60_000), there: fc.nat(5_000), back: fc.nat(5_000), wall: fc.integer() }),
    { minLength: 1 },
  );
  fc.assert(
    fc.property(answers, (seen) => {
      const { local, clock } = setup();
      let best = Infinity;
      for (const { pause, there, back, wall } of seen) {
        local.wallMs = wall;
        const sentMs = local.elapsedMs + pause;
        const receivedMs = sentMs + there + back;
        clock.observe({ sentMs, shownMs: 9_000_000 + sentMs + there, receivedMs });
        local.elapsedMs = receivedMs;
        best = Math.min(best, there + back);
        expect(Math.abs(clock.now() - (9_000_000 + receivedMs))).toBeLessThanOrEqual(best + MAX_STAND_STILL_MS);
      }
    }),
  );
});
