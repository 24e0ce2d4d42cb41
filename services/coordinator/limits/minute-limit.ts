// Counts what each of many does in a minute, in this process alone, and bounds how many it remembers.

import { RateLimiterMemory, RateLimiterRes } from "rate-limiter-flexible";

/** How many are told apart at a time: some hundred bytes each. */
const DEFAULT_MAX_KEYS = 20_000;

/** What all who come when there is no room share, as a multiple of what one may do: an attacker with many addresses stops at that. */
const CROWD_SHARE = 10;

const MINUTE_S = 60;
const MINUTE_MS = 60_000;

/** A limit of so many points a minute for each key, in windows that begin with a key's first point. */
export class MinuteLimit {
  /** Points a minute. */
  readonly points: number;
  readonly #maxKeys: number;
  readonly #each: RateLimiterMemory;
  readonly #crowd: RateLimiterMemory;
  /** When each key is forgotten, by the wall clock; the first to be are the first here. */
  readonly #known = new Map<string, number>();

  /** `points` a minute for each of at most `maxKeys` keys; all others share ten times that. */
  constructor(points: number, maxKeys: number = DEFAULT_MAX_KEYS) {
    this.points = points;
    this.#maxKeys = maxKeys;
    this.#each = new RateLimiterMemory({ points, duration: MINUTE_S });
    this.#crowd = new RateLimiterMemory({ points: points * CROWD_SHARE, duration: MINUTE_S });
  }

  /** How many keys it remembers. */
  get size(): number {
    this.#forget();
    return this.#known.size;
  }

  /** Takes points. Undefined if there were enough; else nothing was taken, and it says after how many milliseconds there may be. */
  async take(key: string, points = 1): Promise<number | undefined> {
    const [limiter, name] = this.#limiterOf(key);
    try {
      const taken = await limiter.consume(name, points);
      if (taken.isFirstInDuration && limiter === this.#each) {
        this.#known.delete(key);
        this.#known.set(key, Date.now() + MINUTE_MS);
      }
      return undefined;
    } catch (refused) {
      if (!(refused instanceof RateLimiterRes)) throw refused;
      // It counts what it refuses; a caller that asks for too much would be kept from asking for less.
      await limiter.reward(name, points);
      return Math.max(refused.msBeforeNext, 1);
    }
  }

  #limiterOf(key: string): readonly [RateLimiterMemory, string] {
    if (this.#known.has(key)) return [this.#each, key];
    this.#forget();
    return this.#known.size < this.#maxKeys ? [this.#each, key] : [this.#crowd, ""];
  }

  #forget(): void {
    const now = Date.now();
    for (const [key, untilMs] of this.#known) {
      if (untilMs > now) return;
      this.#known.delete(key);
    }
  }
}
