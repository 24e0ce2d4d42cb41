// Decides whether an endpoint is out: many failures in a row, or most of the recent tries, and that for a while. Time is a parameter.
import { CircuitState, ConsecutiveBreaker, CountBreaker, type IBreaker } from "cockatiel";
import type { ResolvedBreakerOptions } from "./breaker-options.ts";

const RECENT_TRIES = 100;
const MINIMUM_TRIES = 20;

/** Counts what became of tries, for a circuit breaker. */
export class OutageDetector implements IBreaker {
  /** Nothing is kept beyond the process. */
  state: unknown = undefined;
  readonly #inARow: ConsecutiveBreaker;
  readonly #recent: CountBreaker;
  readonly #failureRatio: number;
  readonly #patienceMs: number;
  readonly #nowMs: () => number;
  /** Since when it looks like an outage. */
  #badSinceMs: number | undefined;

  /** `nowMs` is a monotonic clock. */
  constructor(options: Pick<ResolvedBreakerOptions, "failures" | "failureRatio" | "patienceMs">, nowMs: () => number) {
    this.#inARow = new ConsecutiveBreaker(options.failures);
    this.#recent = new CountBreaker({
      threshold: options.failureRatio,
      size: RECENT_TRIES,
      minimumNumberOfCalls: MINIMUM_TRIES,
    });
    this.#failureRatio = options.failureRatio;
    this.#patienceMs = options.patienceMs;
    this.#nowMs = nowMs;
  }

  /** A try went well. */
  success(state: CircuitState): void {
    this.#inARow.success();
    this.#recent.success(state);
    // Otherwise the next failure, however late, would find an outage that seems to have lasted since.
    if (this.#badSinceMs !== undefined && !this.#mostFail()) this.#badSinceMs = undefined;
  }

  /** A try failed. Returns whether the circuit must open. */
  failure(state: CircuitState): boolean {
    const inARow = this.#inARow.failure();
    const recently = this.#recent.failure(state);
    if (state !== CircuitState.Closed) return true;
    if (!inARow && !recently) {
      this.#badSinceMs = undefined;
      return false;
    }
    const nowMs = this.#nowMs();
    this.#badSinceMs ??= nowMs;
    return nowMs - this.#badSinceMs >= this.#patienceMs;
  }

  #mostFail(): boolean {
    const { successes, failures } = this.#recent.state as { readonly successes: number; readonly failures: number };
    const tries = successes + failures;
    return tries >= MINIMUM_TRIES && failures > this.#failureRatio * tries;
  }
}
