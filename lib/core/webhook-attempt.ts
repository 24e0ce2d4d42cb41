// What follows from one posting of a webhook: delivered, again after a while, or given up. Knows neither HTTP nor the store.

const SECOND_MS = 1_000;
const MINUTE_MS = 60 * SECOND_MS;
const HOUR_MS = 60 * MINUTE_MS;

/** How a delivery is tried again. */
export interface WebhookRetryPolicy {
  /** How long to wait after the first failed attempt, the second, and so on, in milliseconds. After the last one comes one more attempt. */
  readonly delaysMs: readonly number[];
  /** The longest wait that a receiver may ask for by `retry-after`, in milliseconds. */
  readonly maxRetryAfterMs: number;
}

/**
 * Quick at first, so that a restart of the receiver goes by unnoticed; then slower, so that an outage over night is survived and a dead
 * receiver costs little: 11 attempts over 27.7 hours.
 */
export const WEBHOOK_RETRY_POLICY: WebhookRetryPolicy = {
  delaysMs: [
    5 * SECOND_MS,
    30 * SECOND_MS,
    2 * MINUTE_MS,
    10 * MINUTE_MS,
    30 * MINUTE_MS,
    HOUR_MS,
    2 * HOUR_MS,
    4 * HOUR_MS,
    8 * HOUR_MS,
    12 * HOUR_MS,
  ],
  maxRetryAfterMs: 24 * HOUR_MS,
};

/** By how much a wait is shortened or lengthened at most, as a part of itself: what failed together must not come back together. */
export const WEBHOOK_JITTER = 0.1;

/** What an attempt brought. */
export interface WebhookOutcome {
  /** The HTTP status; 0 if there was no answer. */
  readonly status: number;
  /** How long the receiver asked to be left alone, in milliseconds; undefined if it did not. */
  readonly retryAfterMs: number | undefined;
}

/** What follows from an attempt. */
export type AfterAttempt =
  | { readonly kind: "delivered" }
  /** The receiver wants nothing any more: the endpoint is to be disabled. */
  | { readonly kind: "gone" }
  | { readonly kind: "again"; readonly delayMs: number }
  | { readonly kind: "given_up" };

/** Whether a status says that the receiver has taken the delivery. Redirects do not: they are not followed. */
export function isDelivered(status: number): boolean {
  return status >= 200 && status <= 299;
}

/** Decides what follows from the attempt of this number (from 1) since the delivery was made or redelivered. `random` is from 0 to 1. */
export function afterAttempt(
  policy: WebhookRetryPolicy,
  outcome: WebhookOutcome,
  attempt: number,
  random: number,
): AfterAttempt {
  if (isDelivered(outcome.status)) return { kind: "delivered" };
  if (outcome.status === 410) return { kind: "gone" };
  const baseMs = policy.delaysMs[attempt - 1];
  if (baseMs === undefined) return { kind: "given_up" };
  const ownMs = baseMs * (1 + WEBHOOK_JITTER * (2 * random - 1));
  const askedMs = Math.min(outcome.retryAfterMs ?? 0, policy.maxRetryAfterMs);
  return { kind: "again", delayMs: Math.round(Math.max(ownMs, askedMs)) };
}
