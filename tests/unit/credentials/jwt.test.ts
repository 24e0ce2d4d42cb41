// Tokens of an issuer outside of the mesh: the right ones are taken, every forgery that jose can make is not.
import { SignJWT } from "jose";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { MeshError } from "../../../lib/core/mesh-error.ts";
import { Secret } from "../../../lib/secrets/secret.ts";
import type { Authenticator } from "../../../services/coordinator/access/authenticator.ts";
import { createJwtAuthenticator, type JwtOptions } from "../../../services/coordinator/access/jwt/jwt-authenticator.ts";
import { openKeySet } from "../../../services/coordinator/access/jwt/key-set.ts";
import { secretKey } from "../../../services/coordinator/access/jwt/secret-key.ts";
import type { TokenKeys } from "../../../services/coordinator/access/jwt/token-keys.ts";
import { forgedTokens } from "../../support/forged-tokens.ts";
import { type HandClock, handClock } from "../../support/hand-clock.ts";
import { silentLogger } from "../../../lib/core/logger.ts";
import { issuerKey, openTestIssuer, type TestIssuer } from "../../support/test-issuer.ts";
import { grantOf, policyOf } from "../../support/fake-policy.ts";

const SECRET = "a shared secret of more than 32 bytes";

const bearer = (token: string) => ({ authorization: `Bearer ${token}`, peer: { address: "192.0.2.1" } });

function authenticatorOf(
  keys: TokenKeys,
  issuer: { issuer: string; audience: string },
  options: Partial<JwtOptions> = {},
) {
  return createJwtAuthenticator({
    keys,
    issuer: issuer.issuer,
    audience: issuer.audience,
    foreignPrefixes: ["mk_"],
    policy: policyOf({ "token:alice": ["submitter"] }),
    clock: handClock(Date.now()),
    ...options,
  });
}

/** Why a credential was refused, as the log has it; the caller is told the same for all. */
async function refusalOf(authenticator: Authenticator, token: string): Promise<string> {
  try {
    await authenticator.authenticate(bearer(token));
  } catch (error) {
    if (!(error instanceof MeshError)) throw error;
    expect(error).toMatchObject({ reason: "CREDENTIAL_INVALID", message: "the credential is not valid", metadata: {} });
    return (error.cause as Error).message;
  }
  throw new Error("it was accepted");
}

describe.for(["RS256", "PS256", "ES256", "EdDSA"])("with keys of %s", (alg) => {
  let issuer: TestIssuer;
  let keys: TokenKeys;
  let authenticator: Authenticator;
  beforeAll(async () => {
    issuer = await openTestIssuer({ alg });
    const source = { kind: "url", url: new URL(issuer.jwksUrl) } as const;
    keys = await openKeySet({ source, clock: handClock(), logger: silentLogger });
    authenticator = authenticatorOf(keys, issuer);
  });
  afterAll(async () => {
    await keys[Symbol.asyncDispose]();
    await issuer[Symbol.asyncDispose]();
  });

  test("a right token is its subject in the tenant and the roles that the policy says", async () => {
    const token = await issuer.token();
    const principal = await authenticator.authenticate(bearer(token));
    expect(principal).toMatchObject({ kind: "token", id: "alice", tenant: "default", grants: [grantOf("submitter")] });
    // Remembered, it is told at once, and the same.
    expect(authenticator.authenticate(bearer(token))).toEqual(principal);
  });

  test("a token of somebody whom no binding names may do nothing", async () => {
    const token = await issuer.token({ subject: "mallory" });
    expect(await authenticator.authenticate(bearer(token))).toMatchObject({ id: "mallory", grants: [] });
  });

  test("no forgery is accepted, and all are refused alike", async () => {
    const accepted: string[] = [];
    for (const [name, token] of Object.entries(await forgedTokens(issuer))) {
      await refusalOf(authenticator, token).catch((error: unknown) => accepted.push(`${name}: ${String(error)}`));
    }
    expect(accepted).toEqual([]);
  });
});

describe("with a shared secret", () => {
  const of = { issuer: "https://issuer.example", audience: "mycel" };
  const sign = async (secret: string, alg = "HS256"): Promise<string> =>
    await new SignJWT({ sub: "alice" })
      .setProtectedHeader({ alg })
      .setIssuer(of.issuer)
      .setAudience(of.audience)
      .setExpirationTime("5m")
      .sign(new TextEncoder().encode(secret));

  test("a token that was signed with it is accepted", async () => {
    const authenticator = authenticatorOf(secretKey(new Secret(SECRET)), of);
    expect(await authenticator.authenticate(bearer(await sign(SECRET)))).toMatchObject({ id: "alice" });
  });

  test("another secret, and another algorithm with the same secret, are refused", async () => {
    const authenticator = authenticatorOf(secretKey(new Secret(SECRET)), of);
    expect(await refusalOf(authenticator, await sign(`${SECRET}!`))).toContain("signature");
    const long = SECRET.repeat(2);
    const other = authenticatorOf(secretKey(new Secret(long)), of);
    for (const alg of ["HS384", "HS512"]) {
      expect(await refusalOf(other, await sign(long, alg))).toContain("alg");
    }
  });

  test("no forgery with key pairs is accepted", async () => {
    const authenticator = authenticatorOf(secretKey(new Secret(SECRET)), of);
    for (const token of Object.values(await forgedTokens({ ...of, key: await issuerKey("RS256") }))) {
      await refusalOf(authenticator, token);
    }
  });

  test("tokens of the former secret are refused as soon as it is exchanged, remembered or not", async () => {
    const keys = secretKey(new Secret(SECRET));
    const authenticator = authenticatorOf(keys, of);
    const token = await sign(SECRET);
    await authenticator.authenticate(bearer(token));
    let revoked = 0;
    authenticator.onRevoked?.(() => (revoked += 1));
    keys.exchange(new Secret(`${SECRET}!`));
    expect(revoked).toBe(1);
    await refusalOf(authenticator, token);
    expect(await authenticator.authenticate(bearer(await sign(`${SECRET}!`)))).toMatchObject({ id: "alice" });
  });

  test("a secret that can be guessed is not taken", () => {
    expect(() => secretKey(new Secret("short"))).toThrow("the secret of tokens must have at least 32 bytes, has 5");
  });
});

describe("time", () => {
  let issuer: TestIssuer;
  let keys: TokenKeys;
  beforeAll(async () => {
    issuer = await openTestIssuer();
    const source = { kind: "url", url: new URL(issuer.jwksUrl) } as const;
    keys = await openKeySet({ source, clock: handClock(), logger: silentLogger });
  });
  afterAll(async () => {
    await keys[Symbol.asyncDispose]();
    await issuer[Symbol.asyncDispose]();
  });
  const at = (clock: HandClock, clockSkewMs: number) => authenticatorOf(keys, issuer, { clock, clockSkewMs });

  test("a token ends at its end and the skew, also for who remembers it", async () => {
    const clock = handClock(1_800_000_000_000);
    const authenticator = at(clock, 30_000);
    const token = await issuer.token({ nowMs: clock.now(), lifetimeS: 60 });
    expect(await authenticator.authenticate(bearer(token))).toMatchObject({ expiresMs: clock.now() + 90_000 });
    clock.advance(59_999);
    expect(authenticator.authenticate(bearer(token))).not.toBeInstanceOf(Promise);
    clock.advance(30_000);
    expect(await authenticator.authenticate(bearer(token))).toMatchObject({ id: "alice" });
    clock.advance(1_001);
    expect(await refusalOf(authenticator, token)).toContain("exp");
  });

  test("a token is taken before it begins only within the skew", async () => {
    const clock = handClock(1_800_000_000_000);
    const token = await issuer.token({ nowMs: clock.now(), claims: { nbf: clock.now() / 1_000 + 31 } });
    expect(await refusalOf(at(clock, 30_000), token)).toContain("nbf");
    clock.advance(1_000);
    expect(await at(clock, 30_000).authenticate(bearer(token))).toMatchObject({ id: "alice" });
  });
});

test("a header that shows something else is left to others", async () => {
  const authenticator = authenticatorOf(secretKey(new Secret(SECRET)), { issuer: "i", audience: "a" });
  const peer = { address: "" };
  for (const authorization of [
    "Basic dXNlcjpwYXNz",
    "Bearer",
    "Bearer ",
    "Bearer a b",
    "Bearer mk_0123_x",
    "",
    "bearer\ta",
  ]) {
    expect(authenticator.authenticate({ authorization, peer }), authorization).toBeUndefined();
  }
  expect(authenticator.authenticate({ peer })).toBeUndefined();
});

test("options that would let too much in are refused", () => {
  const keys = secretKey(new Secret(SECRET));
  const of = { issuer: "i", audience: "a" };
  expect(() => authenticatorOf(keys, { ...of, issuer: "" })).toThrow("issuer must not be empty");
  expect(() => authenticatorOf(keys, { ...of, audience: "" })).toThrow("audience must not be empty");
  expect(() => authenticatorOf(keys, of, { clockSkewMs: 300_001 })).toThrow("clockSkewMs must be from 0 to 300000");
  expect(() => authenticatorOf(keys, of, { maxTokenLength: 255 })).toThrow("maxTokenLength must be from 256 to 65536");
});
