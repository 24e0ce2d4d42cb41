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
  readonly #patienceMs: number;
  readonly #nowMs: () => number;
  /** Since when it looks like an outage, and whether most of the recent tries failed at the last failure. */
  #badSinceMs: number | undefined;
  #mostFailed = false;
  #lastFailureMs = 0;

  /** `nowMs` is a monotonic clock. */
  constructor(options: Pick<ResolvedBreakerOptions, "failures" | "failureRatio" | "patienceMs">, nowMs: () => number) {
    this.#inARow = new ConsecutiveBreaker(options.failures);
    this.#recent = new CountBreaker({
      threshold: options.failureRatio,
      size: RECENT_TRIES,
      minimumNumberOfCalls: MINIMUM_TRIES,
    });
    this.#patienceMs = options.patienceMs;
    this.#nowMs = nowMs;
  }

  /** A try went well. */
  success(state: CircuitState): void {
    this.#inARow.success();
    this.#recent.success(state);
    if (!this.#mostFailed) this.#badSinceMs = undefined;
  }

  /** A try failed. Returns whether the circuit must open. */
  failure(state: CircuitState): boolean {
    const nowMs = this.#nowMs();
    const inARow = this.#inARow.failure();
    // Of an outage, the beginning says enough: the failures of a second without an answer would outweigh many good ones after it.
    if (!inARow) this.#mostFailed = this.#recent.failure(state);
    // After a long while without a failure, the trouble of then is not that of now.
    if (nowMs - this.#lastFailureMs > this.#patienceMs && !inARow) this.#badSinceMs = undefined;
    this.#lastFailureMs = nowMs;
    if (state !== CircuitState.Closed) return true;
    if (!inARow && !this.#mostFailed) {
      this.#badSinceMs = undefined;
      return false;
    }
    this.#badSinceMs ??= nowMs;
    return nowMs - this.#badSinceMs >= this.#patienceMs;
  }
}
