// The secrets of a webhook endpoint over time: which of them sign, and what a rotation leaves. Does not sign.

import { MAX_FORMER_SECRETS } from "./webhook-delivery.ts";

/** A secret and how long it signs. */
export interface SigningSecret {
  /** `whsec_` and base64. */
  readonly secret: string;
  /** When it stops signing, in milliseconds since 1970; undefined for the one in force. */
  readonly expireMs: number | undefined;
}

/** The secrets that sign at a moment, the one in force first. */
export function signingSecrets(secrets: readonly SigningSecret[], nowMs: number): readonly SigningSecret[] {
  return secrets.filter(({ expireMs }) => expireMs === undefined || expireMs > nowMs);
}

/**
 * The secrets after a rotation: the new one in force, those that signed beside it until their time is over, the newest first. A secret that
 * is in force already stays as it is. One that is a former one comes back into force.
 */
export function rotateSecrets(
  secrets: readonly SigningSecret[],
  next: string,
  overlapMs: number,
  nowMs: number,
): readonly SigningSecret[] {
  const active = signingSecrets(secrets, nowMs);
  if (active[0]?.secret === next) return active;
  const untilMs = nowMs + overlapMs;
  const former = active
    .filter(({ secret }) => secret !== next)
    // A rotation never lengthens the life of a secret that was rotated out before.
    .map(({ secret, expireMs }) => ({ secret, expireMs: Math.min(expireMs ?? untilMs, untilMs) }))
    .filter(({ expireMs }) => expireMs > nowMs)
    .slice(0, MAX_FORMER_SECRETS);
  return [{ secret: next, expireMs: undefined }, ...former];
}
