// Asks endpoints whose circuit is open whether they serve again, so that an outage is not longer for its callers than it was.
// One question at a time for each; nothing is asked while the circuit is closed.
import { context, ROOT_CONTEXT } from "@opentelemetry/api";
import type { BreakerState } from "./breaker-options.ts";

/** The probes of a client. Disposing ends them. */
export class HealthProbes implements Disposable {
  readonly #everyMs: number;
  readonly #serves: (url: string) => Promise<boolean>;
  readonly #onBack: (url: string) => void;
  readonly #timers = new Map<string, NodeJS.Timeout>();
  #over = false;

  /** `everyMs`: 0 for no probes. `serves` must not reject. */
  constructor(everyMs: number, serves: (url: string) => Promise<boolean>, onBack: (url: string) => void) {
    this.#everyMs = everyMs;
    this.#serves = serves;
    this.#onBack = onBack;
  }

  /** The breaker of an endpoint has changed. */
  turn(url: string, to: BreakerState): void {
    if (this.#everyMs === 0 || this.#over) return;
    this.#stop(url);
    if (to === "open") this.#plan(url);
  }

  [Symbol.dispose](): void {
    this.#over = true;
    for (const url of this.#timers.keys()) this.#stop(url);
  }

  #plan(url: string): void {
    // Not in the trace of the call whose failure led to it.
    const ask = context.bind(ROOT_CONTEXT, () => void this.#ask(url, timer));
    // A client that nobody uses must not be what keeps its process alive.
    const timer: NodeJS.Timeout = setTimeout(ask, this.#everyMs).unref();
    this.#timers.set(url, timer);
  }

  async #ask(url: string, timer: NodeJS.Timeout): Promise<void> {
    const serves = await this.#serves(url);
    // Of a circuit that has changed meanwhile, this says nothing any more.
    if (this.#timers.get(url) !== timer) return;
    if (serves) {
      this.#stop(url);
      this.#onBack(url);
    } else this.#plan(url);
  }

  #stop(url: string): void {
    clearTimeout(this.#timers.get(url));
    this.#timers.delete(url);
  }
}
