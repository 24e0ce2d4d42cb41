// The headers of a webhook by the Standard Webhooks specification, signed with every secret that is in force; and what a secret looks like.

import { Webhook } from "standardwebhooks";
import { type SigningSecret, signingSecrets } from "../core/webhook-secrets.ts";

const PREFIX = "whsec_";
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

/** How many bytes a secret may have, as the specification recommends. */
export const MIN_SECRET_BYTES = 24;
/** See {@link MIN_SECRET_BYTES}. */
export const MAX_SECRET_BYTES = 64;

/** A secret as it is written, of these bytes. */
export function secretOf(bytes: Uint8Array): string {
  return PREFIX + Buffer.from(bytes).toString("base64");
}

/** What is wrong with a secret; undefined if it is one. Never says what stands in it. */
export function secretFault(secret: string): string | undefined {
  const text = secret.slice(PREFIX.length);
  const bytes = BASE64.test(text) ? Buffer.from(text, "base64").length : 0;
  const fits = secret.startsWith(PREFIX) && bytes >= MIN_SECRET_BYTES && bytes <= MAX_SECRET_BYTES;
  return fits ? undefined : `must be ${PREFIX} and the base64 of ${MIN_SECRET_BYTES} to ${MAX_SECRET_BYTES} bytes`;
}

/** What is signed. */
export interface SignedMessage {
  /** The `webhook-id`. Has no dots. */
  readonly id: string;
  /** When the attempt is made, in milliseconds since 1970. */
  readonly atMs: number;
  readonly body: string;
}

/** The headers of one attempt: id, time, and one signature for each secret that signs now. */
export function webhookHeaders(
  { id, atMs, body }: SignedMessage,
  secrets: readonly SigningSecret[],
): Readonly<Record<string, string>> {
  const signatures = signingSecrets(secrets, atMs).map(({ secret }) =>
    new Webhook(secret).sign(id, new Date(atMs), body),
  );
  return {
    "content-type": "application/json",
    "webhook-id": id,
    "webhook-timestamp": String(Math.floor(atMs / 1_000)),
    "webhook-signature": signatures.join(" "),
  };
}
