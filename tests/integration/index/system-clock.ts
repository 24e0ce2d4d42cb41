// The clock of this machine, and one that a test moves.
import type { Clock } from "../../../lib/core/clock.ts";

/** The clock of this machine. */
export const systemClock: Clock = { now: () => Date.now(), monotonicMs: () => performance.now() };

/** A clock that stands still until it is moved. */
export class MovedClock implements Clock {
  ms: number;

  constructor(ms: number) {
    this.ms = ms;
  }

  now(): number {
    return this.ms;
  }

  monotonicMs(): number {
    return performance.now();
  }
}
