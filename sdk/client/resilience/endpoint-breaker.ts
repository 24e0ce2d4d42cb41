// The circuit breaker of one endpoint: counts only what says something about the endpoint, and keeps calls away while it is out.
// The states and their counting are cockatiel's; time is a parameter here, since cockatiel knows only the wall clock.
import { ConnectError } from "@connectrpc/connect";
import { type CircuitBreakerPolicy, circuitBreaker, CircuitState, handleWhen } from "cockatiel";
import type { Clock } from "../../../lib/core/clock.ts";
import type { BreakerChange, BreakerState, ResolvedBreakerOptions } from "./breaker-options.ts";
import { OutageDetector } from "./outage-detector.ts";

/** What a failed try says about the endpoint: it lives and refused, it could not be reached, or nothing. */
export type Verdict = "alive" | "out" | "unknown";

/** What a breaker needs. */
export interface EndpointBreakerOptions {
  readonly url: string;
  readonly options: ResolvedBreakerOptions;
  readonly clock: Clock;
  readonly onChange: (change: BreakerChange) => void;
}

/** How long one trial has the endpoint for itself, in milliseconds. */
const TRIAL_MS = 1_000;

type Tried<T> = { readonly value: T } | { readonly refusal: unknown };

const STATES: ReadonlyMap<CircuitState, BreakerState> = new Map([
  [CircuitState.Closed, "closed"],
  [CircuitState.Open, "open"],
  [CircuitState.HalfOpen, "half_open"],
]);

/** A circuit breaker. */
export class EndpointBreaker {
  readonly #parts: EndpointBreakerOptions;
  #policy: CircuitBreakerPolicy;
  #state: BreakerState = "closed";
  /** The trial of a half-open circuit on which its policy waits. */
  #trial: symbol | undefined;
  /** When the last trial began. */
  #trialMs = 0;
  #halfOpenAtMs = 0;
  #lastFailure = "";

  constructor(parts: EndpointBreakerOptions) {
    this.#parts = parts;
    this.#policy = this.#made();
  }

  /** Where it is. An open one whose time is up is half-open, though nobody may have tried yet. */
  get state(): BreakerState {
    return this.#state === "open" && this.opensInMs === 0 ? "half_open" : this.#state;
  }

  /** How long it will keep every call away, in milliseconds; 0 if it does not. */
  get opensInMs(): number {
    return this.#state === "open" ? Math.max(0, this.#halfOpenAtMs - this.#parts.clock.monotonicMs()) : 0;
  }

  /** What failed last, one line; empty if nothing did since the circuit was closed. */
  get lastFailure(): string {
    return this.#lastFailure;
  }

  /** Whether the next call may be tried: always while it is closed; one at a time while it is half-open, or one a second if that takes long. */
  get admits(): boolean {
    if (this.#state === "closed") return true;
    if (this.opensInMs > 0) return false;
    return this.#trial === undefined || this.#parts.clock.monotonicMs() - this.#trialMs >= TRIAL_MS;
  }

  /** Makes a try that was admitted, and takes note of what becomes of it. `judge` says what an error means. */
  run<T>(work: () => Promise<T>, judge: (error: unknown) => Verdict): Promise<T> {
    return this.#state === "closed" ? this.#try(work, judge, false) : this.#runTrial(work, judge);
  }

  /** Takes note of what became of a try after it had begun well. */
  note(failure: unknown, verdict: Verdict): void {
    if (this.#state !== "closed") return;
    const failed = this.run(
      () => Promise.reject(failure),
      () => verdict,
    );
    // Whoever made the try knows.
    failed.catch(() => undefined);
  }

  /** The endpoint seems to be back: the next call may see for itself. */
  hasten(): void {
    if (this.#state === "open") this.#halfOpenAtMs = this.#parts.clock.monotonicMs();
  }

  /** Closes it and forgets every failure. */
  reset(): void {
    this.#policy = this.#made();
    this.#trial = undefined;
    this.#turn("closed");
  }

  async #runTrial<T>(work: () => Promise<T>, judge: (error: unknown) => Verdict): Promise<T> {
    this.#trialMs = this.#parts.clock.monotonicMs();
    // One that takes long, a long poll perhaps, must not keep everybody else away.
    if (this.#trial !== undefined) return await this.#tryBeside(work, judge);
    const trial = Symbol("trial");
    this.#trial = trial;
    try {
      return await this.#try(work, judge, true);
    } finally {
      if (this.#trial === trial) this.#trial = undefined;
    }
  }

  async #try<T>(work: () => Promise<T>, judge: (error: unknown) => Verdict, isTrial: boolean): Promise<T> {
    try {
      const tried = await this.#policy.execute(async (): Promise<Tried<T>> => {
        try {
          return { value: await work() };
        } catch (error) {
          const verdict = judge(error);
          // A refusal proves that somebody is there, as well as an answer does.
          if (verdict === "alive") return { refusal: error };
          // A trial that its caller broke off proves nothing, and must not close the circuit.
          throw verdict === "out" || isTrial ? new OutOfReach(error) : error;
        }
      });
      if ("refusal" in tried) throw tried.refusal;
      return tried.value;
    } catch (error) {
      throw error instanceof OutOfReach ? error.cause : error;
    }
  }

  /** A trial beside one whose end is open, which the policy would wait for: it can only close the circuit. */
  async #tryBeside<T>(work: () => Promise<T>, judge: (error: unknown) => Verdict): Promise<T> {
    try {
      const value = await work();
      this.#closeAfterTrial();
      return value;
    } catch (error) {
      if (judge(error) === "alive") this.#closeAfterTrial();
      throw error;
    }
  }

  #closeAfterTrial(): void {
    if (this.#state === "half_open") this.reset();
  }

  #made(): CircuitBreakerPolicy {
    const { options, clock } = this.#parts;
    const policy = circuitBreaker(
      handleWhen((error) => error instanceof OutOfReach),
      {
        breaker: new OutageDetector(options, () => clock.monotonicMs()),
        // How long it is open is decided by `admits`, on a clock that does not jump: whoever gets as far as the policy may try.
        halfOpenAfter: Number.NEGATIVE_INFINITY,
      },
    );
    policy.onStateChange((state) => {
      // One that was reset goes on for the calls that were under way, and says nothing any more.
      if (policy === this.#policy) this.#turn(STATES.get(state) ?? "closed", lineOf(policy.lastFailure));
    });
    return policy;
  }

  #turn(to: BreakerState, failure = ""): void {
    const from = this.#state;
    this.#state = to;
    this.#lastFailure = to === "closed" ? "" : failure;
    if (to === "open") this.#halfOpenAtMs = this.#parts.clock.monotonicMs() + this.#parts.options.openMs;
    if (from === to) return;
    this.#parts.onChange({ url: this.#parts.url, from, to, because: to === "open" ? failure : "" });
  }
}

/** Marks for the policy what counts as a failure. */
class OutOfReach extends Error {
  constructor(cause: unknown) {
    super("out of reach", { cause });
  }
}

function lineOf(failure: CircuitBreakerPolicy["lastFailure"]): string {
  const reason = failure !== undefined && "error" in failure ? failure.error : undefined;
  const cause = reason instanceof OutOfReach ? reason.cause : reason;
  const text =
    cause instanceof ConnectError ? cause.rawMessage : cause instanceof Error ? cause.message : String(cause);
  return text.split("\n", 1)[0] ?? "";
}
