// How fast work comes into a lane and leaves it, from what the broker counted at different times. Keeps a few looks of each lane that
// somebody asks for; asks nobody itself.

import type { LaneState } from "../../../lib/nats/lane-states.ts";

/** How fast work comes and goes. */
export interface Rates {
  readonly addedPerSecond: number;
  readonly finishedPerSecond: number;
  /** Between which two looks, in milliseconds. */
  readonly windowMs: number;
}

/** What the broker counted at one time. */
interface Look {
  readonly atMs: number;
  readonly made: string;
  /** Everything that ever came: what was delivered, and what waits. */
  readonly added: number;
  /** Everything that was delivered and is no longer out. */
  readonly finished: number;
}

/** How far back a look may lie, in milliseconds. */
const WINDOW_MS = 60_000;
/** How far apart two looks must lie for a rate, in milliseconds. */
const LEAST_WINDOW_MS = 1_000;
/** How far apart kept looks lie, in milliseconds. */
const STEP_MS = 5_000;

/** Remembers looks at lanes. */
export class LaneRates {
  readonly #looks = new Map<string, Look[]>();
  #sweptMs = 0;

  /** Takes in a look at a lane, and tells how fast it is since the oldest one that counts; undefined if there is none. */
  take(lane: LaneState, nowMs: number): Rates | undefined {
    this.#sweep(nowMs);
    const key = `${lane.tenant}.${lane.queue}.${lane.priority}`;
    const look: Look = {
      atMs: nowMs,
      made: lane.made,
      added: lane.deliveries + lane.waiting,
      finished: lane.deliveries - lane.inFlight,
    };
    // A consumer that was made anew counts anew.
    const kept = (this.#looks.get(key) ?? []).filter(
      ({ atMs, made }) => made === lane.made && nowMs - atMs <= WINDOW_MS,
    );
    const [first] = kept;
    const last = kept.at(-1);
    if (last === undefined || nowMs - last.atMs >= STEP_MS) kept.push(look);
    this.#looks.set(key, kept);
    if (first === undefined || nowMs - first.atMs < LEAST_WINDOW_MS) return undefined;
    return ratesBetween(first, look);
  }

  /** Lanes that nobody asks for any more are forgotten. */
  #sweep(nowMs: number): void {
    if (nowMs - this.#sweptMs < WINDOW_MS) return;
    this.#sweptMs = nowMs;
    for (const [key, looks] of this.#looks) {
      if (nowMs - (looks.at(-1)?.atMs ?? 0) > WINDOW_MS) this.#looks.delete(key);
    }
  }
}

/** The rates of several lanes together; undefined if none has any. The shortest window is told. */
export function sumOfRates(rates: readonly (Rates | undefined)[]): Rates | undefined {
  const known = rates.filter((one) => one !== undefined);
  if (known.length === 0) return undefined;
  return {
    addedPerSecond: known.reduce((sum, { addedPerSecond }) => sum + addedPerSecond, 0),
    finishedPerSecond: known.reduce((sum, { finishedPerSecond }) => sum + finishedPerSecond, 0),
    windowMs: Math.min(...known.map(({ windowMs }) => windowMs)),
  };
}

function ratesBetween(from: Look, to: Look): Rates {
  const windowMs = to.atMs - from.atMs;
  // A task that is canceled while it waits leaves without having come out: less is there than was.
  const perSecond = (count: number): number => (Math.max(0, count) * 1_000) / windowMs;
  return {
    addedPerSecond: perSecond(to.added - from.added),
    finishedPerSecond: perSecond(to.finished - from.finished),
    windowMs,
  };
}
