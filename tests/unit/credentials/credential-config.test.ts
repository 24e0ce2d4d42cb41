// What the settings say of credentials, and what is said of settings that contradict each other.
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { COORDINATOR_KEYS } from "../../../lib/config/keys/tables.ts";
import { openConfiguredSecrets } from "../../../lib/config/configured-secrets.ts";
import { readSettings } from "../../../lib/config/settings.ts";
import { silentLogger } from "../../../lib/core/logger.ts";
import { Redactor } from "../../../lib/secrets/redactor.ts";
import type { Secrets } from "../../../lib/secrets/secrets.ts";
import type { CredentialSettings } from "../../../services/coordinator/access/credentials.ts";
import { credentialSettingsOf } from "../../../services/coordinator/credential-config.ts";

type Env = Readonly<Record<string, string>>;

const redactor = new Redactor();
let secrets: Secrets;
beforeAll(async () => {
  const settings = readSettings({ keys: COORDINATOR_KEYS, env: {} });
  secrets = await openConfiguredSecrets({ settings, redactor, logger: silentLogger });
});
afterAll(() => secrets[Symbol.asyncDispose]());

const read = (env: Env): Promise<CredentialSettings> =>
  credentialSettingsOf(readSettings({ keys: COORDINATOR_KEYS, env }), secrets);

const SECRET = "a shared secret of more than 32 bytes";
const ISSUER = { MYCEL_JWT_ISSUER: "https://issuer.example", MYCEL_JWT_AUDIENCE: "mycel" };

test("without any, there is neither an operator's key nor an issuer", async () => {
  expect(await read({})).toEqual({ operatorKey: undefined, jwt: undefined });
});

test("secrets are told to nobody who prints them", async () => {
  const { operatorKey, jwt } = await read({
    ...ISSUER,
    MYCEL_JWT_SECRET: SECRET,
    MYCEL_ADMIN_KEY: "mk_operator_0123456789abcdef0123456789abcdef",
  });
  expect(operatorKey?.current.reveal()).toBe("mk_operator_0123456789abcdef0123456789abcdef");
  expect(JSON.stringify(jwt)).not.toContain(SECRET);
  expect(redactor.clean(`${SECRET} and mk_operator_0123456789abcdef0123456789abcdef`)).toBe(
    "[redacted] and [redacted]",
  );
  expect(jwt).toMatchObject({ issuer: "https://issuer.example", audience: "mycel", clockSkewMs: 30_000 });
});

describe("keys come", () => {
  test("from a URL", async () => {
    const { jwt } = await read({
      ...ISSUER,
      MYCEL_JWKS_URL: "https://issuer.example/jwks",
      MYCEL_JWT_ALGORITHMS: "ES256",
    });
    expect(jwt).toMatchObject({ keys: { kind: "url", url: "https://issuer.example/jwks" }, algorithms: ["ES256"] });
  });

  test("from a file", async () => {
    const { jwt } = await read({ ...ISSUER, MYCEL_JWKS_FILE: "/etc/mycel/jwks.json" });
    expect(jwt?.keys).toEqual({ kind: "file", path: "/etc/mycel/jwks.json" });
  });
});

const [secret, url, file] = [
  "access.jwt.secret (MYCEL_JWT_SECRET)",
  "access.jwt.jwksUrl (MYCEL_JWKS_URL)",
  "access.jwt.jwksFile (MYCEL_JWKS_FILE)",
];

test.for<[string, Env, string]>([
  ["an issuer without keys", ISSUER, `one of ${secret}, ${file}, ${url} is required to verify tokens`],
  [
    "keys without an issuer",
    { MYCEL_JWKS_URL: "https://x/", MYCEL_JWT_AUDIENCE: "mycel" },
    "access.jwt.issuer (MYCEL_JWT_ISSUER) is required to verify tokens",
  ],
  [
    "no audience",
    { MYCEL_JWKS_URL: "https://x/", MYCEL_JWT_ISSUER: "i" },
    "access.jwt.audience (MYCEL_JWT_AUDIENCE) is required to verify tokens",
  ],
  [
    "a secret beside key pairs",
    { ...ISSUER, MYCEL_JWT_SECRET: SECRET, MYCEL_JWKS_URL: "https://x/" },
    `${secret}, ${url} exclude each other: give one`,
  ],
  [
    "a secret with algorithms",
    { ...ISSUER, MYCEL_JWT_SECRET: SECRET, MYCEL_JWT_ALGORITHMS: "RS256" },
    "access.jwt.algorithms (MYCEL_JWT_ALGORITHMS) is for key pairs: tokens of a secret are signed by HS256",
  ],
  [
    "an operator's key that can be guessed",
    { MYCEL_ADMIN_KEY: "mk_operator_secret" },
    "access.adminKey (MYCEL_ADMIN_KEY): the operator's key must be mk_operator_ and 32 to 256 characters of A-Z a-z 0-9 _ -",
  ],
  [
    "a secret that can be guessed",
    { ...ISSUER, MYCEL_JWT_SECRET: "secret" },
    `${secret}: the secret of tokens must have at least 32 bytes, has 6`,
  ],
  [
    "keys that anybody on the way could exchange",
    { ...ISSUER, MYCEL_JWKS_URL: "http://issuer.example/jwks" },
    `${url}: the JWKS URL must be an https URL without user and password (http on loopback only)`,
  ],
  [
    "an algorithm that is none of key pairs",
    { ...ISSUER, MYCEL_JWKS_URL: "https://x/", MYCEL_JWT_ALGORITHMS: "ES256,HS256" },
    'access.jwt.algorithms (MYCEL_JWT_ALGORITHMS): algorithms must be of RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512, EdDSA, Ed25519, one is "HS256"',
  ],
])("%s is refused in a line", async ([, env, message]) => {
  await expect(read(env)).rejects.toMatchObject({ name: "ConfigError", message });
});
