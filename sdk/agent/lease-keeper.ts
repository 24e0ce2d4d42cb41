// Owns time for all attempts of an agent: one timer that wakes whoever is due, and the notice that the process stood still.
// It does not know what a lease is; attempts decide what to do when they are woken.
import type { Clock } from "../../lib/core/clock.ts";

/** Something that wants to be woken. */
export interface Watched {
  /** When, on the monotonic clock. May be set at any time; call `touch` when it moves to an earlier moment. */
  dueMs: number;
  /** Called at or after `dueMs`; must set the next `dueMs`. */
  onDue(nowMs: number): void;
}

// Wakes closer together than this would cost more than they are worth: nothing here needs a finer grain.
const GRAIN_MS = 5;
const SUSPECT_AFTER_STALL_MS = 1_000;

/** Wakes the watched. */
export class LeaseKeeper {
  readonly #clock: Clock;
  readonly #stallMs: number;
  readonly #tickMs: number;
  readonly #watched = new Set<Watched>();
  #timer: NodeJS.Timeout | undefined;
  #armedMs = Number.POSITIVE_INFINITY;
  #lastTickMs: number;
  #stallEndMs = Number.NEGATIVE_INFINITY;
  #closed = false;

  /** `stallMs`: a standstill of this length is noticed; a fraction of the lease. */
  constructor(clock: Clock, stallMs: number) {
    this.#clock = clock;
    this.#stallMs = stallMs;
    this.#tickMs = Math.min(stallMs / 2, 1_000);
    this.#lastTickMs = clock.monotonicMs();
    this.#arm(this.#lastTickMs + this.#tickMs);
  }

  /** Starts to watch. */
  watch(item: Watched): void {
    this.#watched.add(item);
    this.touch(item);
  }

  /** Stops to watch. */
  unwatch(item: Watched): void {
    this.#watched.delete(item);
  }

  /** Says that an item's `dueMs` may have moved to an earlier moment. */
  touch(item: Watched): void {
    if (item.dueMs >= this.#armedMs) return;
    const soonestMs = this.#clock.monotonicMs() + GRAIN_MS;
    if (this.#armedMs > soonestMs) this.#arm(Math.max(item.dueMs, soonestMs));
  }

  /** Whether what arrives now may have waited unseen, because the process was stopped or its event loop blocked until just now. */
  stalled(nowMs: number): boolean {
    return nowMs - this.#lastTickMs > this.#stallMs || nowMs - this.#stallEndMs < SUSPECT_AFTER_STALL_MS;
  }

  /** Ends the timer. */
  close(): void {
    this.#closed = true;
    this.#watched.clear();
    clearTimeout(this.#timer);
  }

  #arm(atMs: number): void {
    if (this.#closed) return;
    clearTimeout(this.#timer);
    this.#armedMs = atMs;
    this.#timer = setTimeout(() => this.#wake(), Math.max(1, Math.ceil(atMs - this.#clock.monotonicMs())));
  }

  #wake(): void {
    const nowMs = this.#clock.monotonicMs();
    if (nowMs - this.#lastTickMs > this.#stallMs) this.#stallEndMs = nowMs;
    this.#lastTickMs = nowMs;
    // Whoever is touched while others are woken must not re-arm the timer each time.
    this.#armedMs = Number.NEGATIVE_INFINITY;
    let nextMs = nowMs + this.#tickMs;
    for (const item of this.#watched) {
      if (item.dueMs <= nowMs) item.onDue(nowMs);
    }
    for (const item of this.#watched) {
      if (item.dueMs < nextMs) nextMs = item.dueMs;
    }
    this.#arm(Math.max(nextMs, nowMs + GRAIN_MS));
  }
}
