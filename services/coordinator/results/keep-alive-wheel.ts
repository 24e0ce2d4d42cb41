// Wakes readers that wait: one timer for all of them, however many there are.

/** Something that can be woken. */
export interface Wakeable {
  /** It has waited long enough. Must not throw. */
  wake(): void;
}

/** How many steps the longest wait has. More are more exact and wake the process more often. */
const STEPS = 15;

/** Wakes whoever waits, at most one step early and never late. */
export class KeepAliveWheel implements Disposable {
  readonly #stepMs: number;
  readonly #slots: Set<Wakeable>[] = Array.from({ length: STEPS + 1 }, () => new Set());
  #at = 0;
  #waiting = 0;
  #timer: NodeJS.Timeout | undefined;

  /** `longestMs` is the longest wait, in milliseconds. */
  constructor(longestMs: number) {
    this.#stepMs = longestMs / STEPS;
  }

  /** Wakes it once, at the latest after so many milliseconds. Returns its slot. */
  add(wakeable: Wakeable, delayMs: number): number {
    const steps = Math.min(Math.max(Math.floor(delayMs / this.#stepMs), 1), STEPS);
    const slot = (this.#at + steps) % this.#slots.length;
    this.#slots[slot]?.add(wakeable);
    this.#waiting += 1;
    this.#timer ??= setInterval(() => this.#step(), this.#stepMs).unref();
    return slot;
  }

  /** Does not wake it any more, if it is still to be woken. `slot` is the one that it got. */
  remove(wakeable: Wakeable, slot: number): void {
    if (this.#slots[slot]?.delete(wakeable) === true) this.#left(1);
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #step(): void {
    this.#at = (this.#at + 1) % this.#slots.length;
    const due = this.#slots[this.#at];
    if (due === undefined) return;
    const woken = [...due];
    due.clear();
    this.#left(woken.length);
    for (const wakeable of woken) wakeable.wake();
  }

  #left(count: number): void {
    this.#waiting -= count;
    if (this.#waiting > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }
}
