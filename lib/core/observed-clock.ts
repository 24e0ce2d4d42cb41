// A clock that goes by another one, as far as it was observed, and by elapsed time since then. Asks nobody itself.

import type { Clock } from "./clock.ts";

/** What the other clock showed, and between which moments of this machine's monotonic clock. All in milliseconds. */
export interface ClockObservation {
  /** Before it was asked. */
  readonly sentMs: number;
  /** What it showed, since 1970. */
  readonly shownMs: number;
  /** After its answer had come. */
  readonly receivedMs: number;
}

/** The largest step back that is hidden: `now` stands still for so long at most, in milliseconds. */
export const MAX_STAND_STILL_MS = 1_000;

/**
 * The time of another clock. Before the first observation it is this machine's wall clock; from then on that may jump as it likes.
 *
 * An observation bounds the other clock's time from both sides, by its round trip. The first one is believed in its middle; a later one
 * corrects the time just so far as it contradicts it, so that an answer that was slow spoils nothing.
 *
 * The time goes forward as far as an observation says, at once. It never goes back by up to MAX_STAND_STILL_MS: it stands still until the
 * other clock has come up. By more than that the other clock itself was set back, and is followed at once.
 */
export class ObservedClock implements Clock {
  readonly #local: Clock;
  /** What to add to the monotonic time; undefined before the first observation. */
  #offsetMs: number | undefined;
  #toldMs = -Infinity;

  constructor(local: Clock) {
    this.#local = local;
  }

  now(): number {
    const ms = this.#observedMs();
    if (ms === undefined) return this.#local.now();
    if (ms < this.#toldMs && this.#toldMs - ms <= MAX_STAND_STILL_MS) return this.#toldMs;
    this.#toldMs = ms;
    return ms;
  }

  monotonicMs(): number {
    return this.#local.monotonicMs();
  }

  /** Takes in an observation. */
  observe({ sentMs, shownMs, receivedMs }: ClockObservation): void {
    const least = shownMs - receivedMs;
    const most = shownMs - sentMs;
    const believed = this.#offsetMs ?? (least + most) / 2;
    this.#offsetMs = Math.min(Math.max(believed, least), most);
  }

  /** By how much this machine's wall clock is ahead of the time, negative if it is behind; 0 before the first observation. */
  wallAheadMs(): number {
    const ms = this.#observedMs();
    return ms === undefined ? 0 : this.#local.now() - ms;
  }

  #observedMs(): number | undefined {
    return this.#offsetMs === undefined ? undefined : Math.floor(this.#offsetMs + this.#local.monotonicMs());
  }
}
