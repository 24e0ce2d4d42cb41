// Which secrets sign, what a rotation leaves, and what the official library says to the signatures.
import * as fc from "fast-check";
import { Webhook } from "standardwebhooks";
import { describe, expect, test } from "vitest";
import { MAX_FORMER_SECRETS } from "../../../lib/core/webhook-delivery.ts";
import { rotateSecrets, type SigningSecret, signingSecrets } from "../../../lib/core/webhook-secrets.ts";
import { secretFault, secretOf, webhookHeaders } from "../../../lib/wire/webhook-signature.ts";

const secretNumber = (n: number): string => secretOf(new Uint8Array(32).fill(n));
const OLD = secretNumber(1);
const NEW = secretNumber(2);

describe("a rotation", () => {
  test("leaves the former secret for the overlap, and not longer", () => {
    const secrets = rotateSecrets([{ secret: OLD, expireMs: undefined }], NEW, 1_000, 5_000);
    expect(secrets).toEqual([
      { secret: NEW, expireMs: undefined },
      { secret: OLD, expireMs: 6_000 },
    ]);
    expect(signingSecrets(secrets, 5_999).map(({ secret }) => secret)).toEqual([NEW, OLD]);
    expect(signingSecrets(secrets, 6_000).map(({ secret }) => secret)).toEqual([NEW]);
  });

  test("without an overlap leaves the new secret alone, whatever was rotated out before", () => {
    const before = rotateSecrets([{ secret: OLD, expireMs: undefined }], NEW, 100_000, 0);
    expect(rotateSecrets(before, secretNumber(3), 0, 1)).toEqual([{ secret: secretNumber(3), expireMs: undefined }]);
  });

  test("to the secret in force changes nothing, and one back to a former secret puts it into force", () => {
    const before = rotateSecrets([{ secret: OLD, expireMs: undefined }], NEW, 1_000, 0);
    expect(rotateSecrets(before, NEW, 9_000, 1)).toEqual(before);
    expect(rotateSecrets(before, OLD, 500, 1)).toEqual([
      { secret: OLD, expireMs: undefined },
      { secret: NEW, expireMs: 501 },
    ]);
  });

  test("leaves one secret in force, bounded former ones, and none twice, however often it is done", () => {
    const step = fc.record({
      next: fc.integer({ min: 1, max: 8 }),
      overlapMs: fc.nat(1_000),
      passedMs: fc.nat(1_000),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
        let nowMs = 0;
        let secrets: readonly SigningSecret[] = [{ secret: OLD, expireMs: undefined }];
        for (const { next, overlapMs, passedMs } of steps) {
          nowMs += passedMs;
          secrets = rotateSecrets(secrets, secretNumber(next), overlapMs, nowMs);
          expect(secrets[0]).toEqual({ secret: secretNumber(next), expireMs: undefined });
          expect(secrets.length).toBeLessThanOrEqual(1 + MAX_FORMER_SECRETS);
          expect(new Set(secrets.map(({ secret }) => secret)).size).toBe(secrets.length);
          for (const { expireMs } of secrets.slice(1)) expect(expireMs).toBeGreaterThan(nowMs);
        }
      }),
    );
  });
});

describe("what is signed", () => {
  const nowMs = Date.now();
  const body = '{"type":"task.completed","text":"ünï \u{1f30d}"}';
  const secrets = rotateSecrets([{ secret: OLD, expireMs: undefined }], NEW, 60_000, nowMs);

  test("verifies with each secret that is in force, by the official library, and with no other", () => {
    const headers = webhookHeaders({ id: "msg_t_1", atMs: nowMs, body }, secrets);
    for (const secret of [OLD, NEW]) expect(new Webhook(secret).verify(body, headers)).toEqual(JSON.parse(body));
    expect(() => new Webhook(secretNumber(3)).verify(body, headers)).toThrow("No matching signature");
    expect(() => new Webhook(NEW).verify(`${body} `, headers)).toThrow("No matching signature");
    expect(() => new Webhook(NEW).verify(body, { ...headers, "webhook-id": "msg_t_2" })).toThrow("No matching");
  });

  test("verifies with the new secret alone once the overlap is over", () => {
    const headers = webhookHeaders({ id: "msg_t_1", atMs: nowMs + 60_000, body }, secrets);
    expect(new Webhook(NEW).verify(body, headers)).toEqual(JSON.parse(body));
    expect(() => new Webhook(OLD).verify(body, headers)).toThrow("No matching signature");
  });
});

test.for([
  [secretOf(new Uint8Array(24)), true],
  [secretOf(new Uint8Array(64).fill(255)), true],
  [secretOf(new Uint8Array(23)), false],
  [secretOf(new Uint8Array(65)), false],
  [secretOf(new Uint8Array(32)).slice("whsec_".length), false],
  ["whsec_", false],
  ["whsec_not base64 at all, but long enough to be one", false],
  [`${secretOf(new Uint8Array(32))}\n`, false],
] as const)("%j is a secret: %s", ([secret, fits]) => {
  expect(secretFault(secret) === undefined).toBe(fits);
});
