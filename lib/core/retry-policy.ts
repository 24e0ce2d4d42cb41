// When a failed attempt is followed by another, and after how long. Time and chance are arguments.

/** A retry policy with all defaults filled in. */
export interface RetryPolicy {
  /** How many attempts a task may have in all, from 1. */
  readonly maximumAttempts: number;
  /** The wait after the first failed attempt, in milliseconds. */
  readonly initialIntervalMs: number;
  /** The factor by which the wait grows, from 1. */
  readonly backoffCoefficient: number;
  /** The longest wait before jitter, in milliseconds. */
  readonly maximumIntervalMs: number;
  /** Reasons that end the task at once. */
  readonly nonRetryableReasons: readonly string[];
}

/** What a submission that says nothing gets. */
export const DEFAULT_RETRY_POLICY: RetryPolicy = {
  maximumAttempts: 3,
  initialIntervalMs: 5_000,
  backoffCoefficient: 2,
  maximumIntervalMs: 300_000,
  nonRetryableReasons: [],
};

/** The share by which a wait varies to either side, so that tasks that failed together do not return together. */
export const JITTER = 0.2;

/** The wait after a failed attempt before jitter, in milliseconds. `attempt` is the one that failed, from 1. */
export function baseBackoffMs(policy: RetryPolicy, attempt: number): number {
  // The power overflows to Infinity at absurd attempt counts, and 0 * Infinity is NaN: hence the early answer for 0.
  if (policy.initialIntervalMs === 0) return 0;
  const grown = policy.initialIntervalMs * policy.backoffCoefficient ** (attempt - 1);
  return Math.min(grown, policy.maximumIntervalMs);
}

/** The wait after a failed attempt, in whole milliseconds. `random` is from 0 (inclusive) to 1 (exclusive). */
export function backoffMs(policy: RetryPolicy, attempt: number, random: number): number {
  const base = baseBackoffMs(policy, attempt);
  return Math.round(base * (1 - JITTER + 2 * JITTER * random));
}

/** Whether another attempt may follow a failed one. */
export function mayRetry(policy: RetryPolicy, attempt: number, retryable: boolean, reason: string): boolean {
  return retryable && attempt < policy.maximumAttempts && !policy.nonRetryableReasons.includes(reason);
}
