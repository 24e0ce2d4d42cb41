// A clock that stands still until a test moves it.
import type { Clock } from "../../lib/core/clock.ts";

/** A clock that is moved by hand. */
export interface HandClock extends Clock {
  /** Lets time pass. */
  advance(ms: number): void;
}

/** Makes a clock. */
export function handClock(startMs = 1_000_000): HandClock {
  let passedMs = 0;
  return {
    now: () => startMs + passedMs,
    monotonicMs: () => passedMs,
    advance: (ms) => void (passedMs += ms),
  };
}
