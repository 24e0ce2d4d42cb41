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

/** Waits of one reader. News that comes while nobody waits ends the next wait at once. */
export class Sleeper implements Waits, Wakeable, Disposable {
  readonly #wheel: KeepAliveWheel;
  readonly #signal: AbortSignal | undefined;
  readonly #check: () => void;
  #news = false;
  #listening = true;
  #resolve: ((reason: WakeReason) => void) | undefined;
  readonly #onAbort = (): void => this.#end("news");

  /** `signal` ends the waits of a caller who left; `check` throws when the process wants them to end. */
  constructor(wheel: KeepAliveWheel, signal: AbortSignal | undefined, check: () => void) {
    this.#wheel = wheel;
    this.#signal = signal;
    this.#check = check;
    signal?.addEventListener("abort", this.#onAbort);
  }

  async sleep(delayMs: number): Promise<WakeReason> {
    this.check();
    if (this.#news) {
      this.#news = false;
      return "news";
    }
    const reason = await this.#wait(delayMs);
    if (reason === "news") this.#news = false;
    return reason;
  }

  async pause(delayMs: number): Promise<void> {
    this.check();
    this.#listening = false;
    const { promise, resolve } = Promise.withResolvers<WakeReason>();
    this.#resolve = resolve;
    // Only a reader in trouble pauses, so it may have a timer of its own.
    const timer = setTimeout(() => this.#end("tick"), delayMs);
    await promise;
    clearTimeout(timer);
    this.#listening = true;
    this.check();
  }

  check(): void {
    this.#signal?.throwIfAborted();
    this.#check();
  }

  /** There is news. */
  notify(): void {
    this.#news = true;
    if (this.#listening) this.#end("news");
  }

  /** Ends the wait so that the reader finds out why. */
  interrupt(): void {
    this.#end("news");
  }

  wake(): void {
    this.#end("tick");
  }

  [Symbol.dispose](): void {
    this.#signal?.removeEventListener("abort", this.#onAbort);
  }

  async #wait(delayMs: number): Promise<WakeReason> {
    const { promise, resolve } = Promise.withResolvers<WakeReason>();
    this.#resolve = resolve;
    const cancel = this.#wheel.add(this, delayMs);
    const reason = await promise;
    cancel();
    this.check();
    return reason;
  }

  #end(reason: WakeReason): void {
    const resolve = this.#resolve;
    this.#resolve = undefined;
    resolve?.(reason);
  }
}
