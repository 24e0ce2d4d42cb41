// How a reader waits: until there is news, until it has waited long enough, or until it must not go on.

import type { KeepAliveWheel, Wakeable } from "./keep-alive-wheel.ts";

/** Why a wait is over. */
export type WakeReason = "news" | "tick";

/** Where a reader waits. */
export interface Waits {
  /** Waits for news, at most so many milliseconds. Throws when the reader must not go on. */
  sleep(delayMs: number): Promise<WakeReason>;
  /** Waits so many milliseconds, whatever the news. Throws when the reader must not go on. */
  pause(delayMs: number): Promise<void>;
  /** Throws when the reader must not go on. */
  check(): void;
}

/** Hears that its rest is over. */
export interface Rester {
  /** Called once for each rest. Must not throw. */
  woken(reason: WakeReason): void;
}

/** What all sleepers of a process share. */
export interface Dormitory {
  readonly wheel: KeepAliveWheel;
  /** Those who sleep here. */
  readonly sleepers: Set<Sleeper>;
  /** Throws when the process wants waits to end. */
  check(): void;
}

/** Waits of one reader. News that comes while nobody waits ends the next wait at once. */
export class Sleeper implements Waits, Wakeable, Disposable {
  readonly #dormitory: Dormitory;
  #news = false;
  #listening = true;
  #rester: Rester | undefined;
  /** Its place on the wheel. */
  #slot: number | undefined;
  #stopped: { readonly reason: unknown } | undefined;
  readonly #unlink: (() => void) | undefined;

  /** `signal` ends the waits of a caller who left. */
  constructor(dormitory: Dormitory, signal?: AbortSignal) {
    this.#dormitory = dormitory;
    dormitory.sleepers.add(this);
    if (signal === undefined) return;
    const onAbort = (): void => this.stop(signal.reason);
    if (signal.aborted) onAbort();
    else signal.addEventListener("abort", onAbort);
    this.#unlink = () => signal.removeEventListener("abort", onAbort);
  }

  /**
   * Waits for news, at most so many milliseconds, and holds nothing meanwhile that an async function would. Whether the one who waited
   * may go on is for {@link check} to say.
   */
  rest(delayMs: number, rester: Rester): void {
    if (this.#news) {
      this.#news = false;
      rester.woken("news");
      return;
    }
    this.#rester = rester;
    this.#slot = this.#dormitory.wheel.add(this, delayMs);
  }

  async sleep(delayMs: number): Promise<WakeReason> {
    this.check();
    const reason = await new Promise<WakeReason>((woken) => this.rest(delayMs, { woken }));
    this.check();
    return reason;
  }

  async pause(delayMs: number): Promise<void> {
    this.check();
    this.#listening = false;
    const { promise, resolve } = Promise.withResolvers<WakeReason>();
    this.#rester = { woken: resolve };
    // Only a reader in trouble pauses, so it may have a timer of its own.
    const timer = setTimeout(() => this.#end("tick"), delayMs);
    await promise;
    clearTimeout(timer);
    this.#listening = true;
    this.check();
  }

  check(): void {
    if (this.#stopped !== undefined) throw this.#stopped.reason;
    this.#dormitory.check();
  }

  /** There is news. */
  notify(): void {
    this.#news = true;
    if (this.#listening) this.#end("news");
  }

  /** Ends the waits for good, for this reason. */
  stop(reason: unknown): void {
    this.#stopped ??= { reason };
    this.interrupt();
  }

  /** Ends the wait so that the reader finds out why. */
  interrupt(): void {
    this.#end("news");
  }

  wake(): void {
    this.#end("tick");
  }

  [Symbol.dispose](): void {
    this.#unlink?.();
    this.#leaveWheel();
    this.#dormitory.sleepers.delete(this);
  }

  #end(reason: WakeReason): void {
    const rester = this.#rester;
    if (rester === undefined) return;
    this.#rester = undefined;
    this.#leaveWheel();
    if (reason === "news") this.#news = false;
    rester.woken(reason);
  }

  #leaveWheel(): void {
    if (this.#slot !== undefined) this.#dormitory.wheel.remove(this, this.#slot);
    this.#slot = undefined;
  }
}
