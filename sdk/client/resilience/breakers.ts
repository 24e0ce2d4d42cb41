// Owns the circuit breakers of a client, one for each endpoint: which endpoints may be used, and what callers are told when none may.
import type { Clock } from "../../../lib/core/clock.ts";
import type { Logger } from "../../../lib/core/logger.ts";
import { MycelError } from "../mycel-error.ts";
import type { BreakerChange, BreakerState, ResolvedBreakerOptions } from "./breaker-options.ts";
import { EndpointBreaker } from "./endpoint-breaker.ts";
import { HealthProbes } from "./health-probes.ts";

/** How long a trial is given before whoever was sent away meanwhile asks again, in milliseconds. */
const TRIAL_MS = 100;

/** The circuit breakers of a client, as its users see them. */
export interface Breakers {
  /** Where each is, by the endpoint's URL. Empty for a client without breakers. */
  state(): ReadonlyMap<string, BreakerState>;
  /** Closes the breaker of one endpoint, or all, and forgets what failed. */
  reset(url?: string): void;
}

/** What breakers need. */
export interface BreakersOptions {
  readonly urls: readonly string[];
  /** Undefined for no breakers. */
  readonly options: ResolvedBreakerOptions | undefined;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Asks an endpoint for its health; resolves with whether it serves. */
  readonly serves: (url: string) => Promise<boolean>;
}

/** The breakers of a client. Disposing ends their probes. */
export class EndpointBreakers implements Breakers, Disposable {
  readonly #byUrl: ReadonlyMap<string, EndpointBreaker>;
  readonly #probes: HealthProbes;

  constructor({ urls, options, clock, logger, serves }: BreakersOptions) {
    this.#probes = new HealthProbes(options?.probeMs ?? 0, serves, (url) => this.#byUrl.get(url)?.hasten());
    const onChange = (change: BreakerChange): void => {
      logger.info({ ...change }, "circuit breaker changed");
      this.#probes.turn(change.url, change.to);
      options?.onStateChange(change);
    };
    const known = options === undefined ? [] : urls.map((url) => [url, options] as const);
    this.#byUrl = new Map(
      known.map(([url, resolved]) => [url, new EndpointBreaker({ url, options: resolved, clock, onChange })]),
    );
  }

  state(): ReadonlyMap<string, BreakerState> {
    return new Map([...this.#byUrl].map(([url, breaker]) => [url, breaker.state]));
  }

  reset(url?: string): void {
    for (const [known, breaker] of this.#byUrl) if (url === undefined || url === known) breaker.reset();
  }

  /** The breaker of an endpoint; undefined without breakers. */
  of(url: string): EndpointBreaker | undefined {
    return this.#byUrl.get(url);
  }

  /** The error of a call that no endpoint may take. */
  allOpen(cause: unknown): MycelError {
    const breakers = [...this.#byUrl];
    const inMs = Math.ceil(Math.min(...breakers.map(([, breaker]) => breaker.opensInMs)));
    // At 0 a trial is under way, which decides it.
    const retryDelayMs = Math.max(TRIAL_MS, inMs);
    const each = breakers.map(([url, { lastFailure }]) =>
      lastFailure.includes(url) ? lastFailure : `${url}: ${lastFailure}`,
    );
    const text = `no coordinator is tried for another ${retryDelayMs} ms, as each failed too often (${each.join("; ")})`;
    return new MycelError("unavailable", text, { reason: "CIRCUIT_OPEN", retryDelayMs, cause });
  }

  [Symbol.dispose](): void {
    this.#probes[Symbol.dispose]();
  }
}
