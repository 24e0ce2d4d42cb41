// The settings of what callers show of themselves. One entry a key.
import type { SecretReference } from "../../secrets/secret-reference.ts";
import type { Key } from "../key.ts";
import { duration, file, list, secret, text } from "../kinds.ts";

export const adminKey: Key<SecretReference | undefined> = secret({
  path: "access.adminKey",
  variable: "MYCEL_ADMIN_KEY",
  doc:
    "The operator's key, which may do everything and creates the first API key of every tenant: `mk_operator_` and 32 to 256 random " +
    "characters of `A-Z a-z 0-9 _ -`. Read again when it changes: the former one is worth nothing from then on.",
});

export const jwtIssuer: Key<string | undefined> = text({
  path: "access.jwt.issuer",
  variable: "MYCEL_JWT_ISSUER",
  fallback: undefined,
  fallbackText: "no tokens are accepted",
  doc: "Who issues the tokens (JWT) of callers: their `iss`, as it is written.",
});

export const jwtAudience: Key<string | undefined> = text({
  path: "access.jwt.audience",
  variable: "MYCEL_JWT_AUDIENCE",
  fallback: undefined,
  doc: "For whom tokens must have been issued: their `aud`, or one of them. Required beside an issuer.",
});

export const jwtSecret: Key<SecretReference | undefined> = secret({
  path: "access.jwt.secret",
  variable: "MYCEL_JWT_SECRET",
  doc:
    "The secret with which the issuer signs tokens by HS256, of at least 32 bytes. Read again when it changes: tokens of the former one are " +
    "refused from then on. One of the secret, `jwksFile` and `jwksUrl` is required beside an issuer, and no two.",
});

export const jwksFile: Key<string | undefined> = file({
  path: "access.jwt.jwksFile",
  variable: "MYCEL_JWKS_FILE",
  fallback: undefined,
  doc: "The JWK set with the issuer's public keys, read again every 2 seconds.",
});

export const jwksUrl: Key<string | undefined> = text({
  path: "access.jwt.jwksUrl",
  variable: "MYCEL_JWKS_URL",
  fallback: undefined,
  allowed: "an https URL",
  doc:
    "Where the issuer shows its JWK set: over https, or http on loopback. Read again every 5 minutes, and for unknown keys at most every 30 " +
    "seconds. When it can't be read for 10 minutes, no token is accepted until it can.",
});

export const jwtAlgorithms: Key<readonly string[] | undefined> = list({
  path: "access.jwt.algorithms",
  variable: "MYCEL_JWT_ALGORITHMS",
  fallback: undefined,
  fallbackText: "RS256, PS256, ES256, EdDSA, Ed25519; HS256 with a secret",
  doc:
    "The algorithms that tokens of key pairs may be signed with: of RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512, EdDSA and " +
    "Ed25519.",
});

export const jwtClockSkewMs: Key<number> = duration({
  path: "access.jwt.clockSkew",
  variable: "MYCEL_JWT_CLOCK_SKEW",
  fallback: 30_000,
  min: 0,
  max: 300_000,
  doc: "By how much the issuer's clock may differ from the coordinators'.",
});

export const policyFile: Key<string | undefined> = file({
  path: "access.policy",
  variable: "MYCEL_POLICY",
  fallback: undefined,
  fallbackText: "the built-in roles, bound to nobody",
  doc: "The file that says what roles allow and who has them. Read again when it changes.",
});
