// The options of circuit breakers: what they mean, their defaults, and their check.
import { invalidOption } from "../mycel-error.ts";

/** What a breaker does with calls: lets them through, keeps them away, or lets one through to see. */
export type BreakerState = "closed" | "open" | "half_open";

/** A breaker that changed. */
export interface BreakerChange {
  /** Whose it is. */
  readonly url: string;
  readonly from: BreakerState;
  readonly to: BreakerState;
  /** What failed last, one line; empty for a change for the better. */
  readonly because: string;
}

/** When a coordinator that fails is left alone, and for how long. */
export interface BreakerOptions {
  /** Opens when so many tries in a row failed. From 1 to 1,000,000; default 5. */
  readonly failures?: number;
  /** Opens when a larger share of the last 100 tries failed, once 20 were made. Between 0 and 1, both excluded; default 0.5. */
  readonly failureRatio?: number;
  /**
   * Opens only after either has held for so long, in milliseconds. From 0 to 600,000; default 10,000: a coordinator that is restarted
   * costs callers a wait, not an error.
   */
  readonly patienceMs?: number;
  /** How long it stays open until one call may try again, in milliseconds. From 1 to 3,600,000; default 30,000. */
  readonly openMs?: number;
  /**
   * How often a coordinator whose breaker is open is asked for its health, in milliseconds: one that says that it serves is tried at once.
   * From 100 to 600,000, or 0 for never; default 2,000.
   */
  readonly probeMs?: number;
  /** Told of every change, after it. Must not throw. */
  readonly onStateChange?: (change: BreakerChange) => void;
}

/** The options with their defaults filled in. */
export type ResolvedBreakerOptions = Required<BreakerOptions>;

// A handful: fewer are bad luck, more are a caller's patience.
const DEFAULT_FAILURES = 5;
const DEFAULT_FAILURE_RATIO = 0.5;
// What replaces a coordinator, be it a supervisor or a cluster, has done so by then.
const DEFAULT_PATIENCE_MS = 10_000;
const DEFAULT_OPEN_MS = 30_000;
const DEFAULT_PROBE_MS = 2_000;

/** Fills in the defaults; undefined for no breakers. Throws a MycelError (INVALID_OPTION). */
export function resolveBreakerOptions(options: BreakerOptions | false): ResolvedBreakerOptions | undefined {
  if (options === false) return undefined;
  const { failureRatio = DEFAULT_FAILURE_RATIO, probeMs = DEFAULT_PROBE_MS } = options;
  if (!(failureRatio > 0 && failureRatio < 1)) {
    throw invalidOption("breaker.failureRatio", `must be between 0 and 1, both excluded, got ${failureRatio}`);
  }
  if (probeMs !== 0 && !(probeMs >= 100 && probeMs <= 600_000)) {
    throw invalidOption("breaker.probeMs", `must be 0 or from 100 to 600000, got ${probeMs}`);
  }
  return {
    failures: whole("failures", options.failures ?? DEFAULT_FAILURES, 1, 1_000_000),
    failureRatio,
    patienceMs: within("patienceMs", options.patienceMs ?? DEFAULT_PATIENCE_MS, 0, 600_000),
    openMs: within("openMs", options.openMs ?? DEFAULT_OPEN_MS, 1, 3_600_000),
    probeMs,
    onStateChange: options.onStateChange ?? (() => undefined),
  };
}

function whole(name: string, value: number, from: number, to: number): number {
  if (Number.isInteger(value)) return within(name, value, from, to);
  throw invalidOption(`breaker.${name}`, `must be a whole number, got ${value}`);
}

function within(name: string, value: number, from: number, to: number): number {
  if (value >= from && value <= to) return value;
  throw invalidOption(`breaker.${name}`, `must be from ${from} to ${to}, got ${value}`);
}
