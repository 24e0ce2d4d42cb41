// Whatever stands in a header: it is another kind of credential, or it is refused; nothing else ever comes of it, and it is never let in.
import {
  array,
  assert,
  asyncProperty,
  constantFrom,
  mixedCase,
  nat,
  oneof,
  string,
  stringMatching,
  tuple,
} from "fast-check";
import { SignJWT } from "jose";
import { beforeAll, expect, test } from "vitest";
import { MeshError } from "../../../lib/core/mesh-error.ts";
import { Secret } from "../../../lib/secrets/secret.ts";
import type { StoredKey } from "../../../lib/nats/key-store.ts";
import type { Authenticator } from "../../../services/coordinator/access/authenticator.ts";
import { createJwtAuthenticator } from "../../../services/coordinator/access/jwt/jwt-authenticator.ts";
import { secretKey } from "../../../services/coordinator/access/jwt/secret-key.ts";
import { createApiKeyAuthenticator } from "../../../services/coordinator/access/keys/api-key-authenticator.ts";
import { newKey } from "../../../services/coordinator/access/keys/key-text.ts";
import { OperatorKey } from "../../../services/coordinator/access/keys/operator-key.ts";
import { writeStreamToken } from "../../../services/coordinator/access/stream-token/stream-token.ts";
import { createStreamTokenAuthenticator } from "../../../services/coordinator/access/stream-token/stream-token-authenticator.ts";
import { policyOf } from "../../support/fake-policy.ts";
import { handClock } from "../../support/hand-clock.ts";

const SECRET = "a shared secret of more than 32 bytes";
const OPERATOR_KEY = `mk_operator_${"0".repeat(32)}`;
const NOW_MS = 1_800_000_000_000;
const DAY = Math.floor(NOW_MS / 86_400_000);

let authenticators: Authenticator[];
/** Good ones, by what they are. */
let good: Record<"key" | "operator" | "stream" | "token", string>;
beforeAll(async () => {
  const [clock, policy, made] = [handClock(NOW_MS), policyOf(), newKey()];
  const key = { $typeName: "mycel.v1.ApiKey", keyId: made.keyId, tenant: "acme", roles: ["reader"] } as unknown;
  const stored = { key, secretSha256: made.sha256 } as StoredKey;
  const keys = { get: (id: string) => (id === made.keyId ? stored : undefined), listen: () => () => undefined };
  const secret = new Uint8Array(32).fill(7);
  const secrets = { of: (day: number) => (day === DAY ? secret : undefined), onChanged: () => () => undefined };
  const operatorKey = new OperatorKey(new Secret(OPERATOR_KEY));
  const tokens = { keys: secretKey(new Secret(SECRET)), issuer: "i", audience: "a", foreignPrefixes: ["mk_", "mst_"] };
  authenticators = [
    createApiKeyAuthenticator({ keys, operatorKey, policy, clock, onUse: () => undefined }),
    createStreamTokenAuthenticator({ secrets, keys, clock }),
    createJwtAuthenticator({ ...tokens, policy, clock }),
  ];
  const facts = { id: "x", issuer: "token:ada", tenant: "acme", taskId: "t", rules: [], expiresMs: NOW_MS + 60_000 };
  const claims = { iss: "i", aud: "a", sub: "ada", exp: NOW_MS / 1_000 + 60 };
  good = {
    key: made.text,
    operator: OPERATOR_KEY,
    stream: await writeStreamToken(facts, { day: DAY, secret }, NOW_MS),
    token: await new SignJWT(claims).setProtectedHeader({ alg: "HS256" }).sign(new TextEncoder().encode(SECRET)),
  };
});

/** What becomes of a header: who it is, or why it is refused, or that it means nothing to anybody. */
async function outcomeOf(authorization: string): Promise<string> {
  for (const authenticator of authenticators) {
    try {
      const principal = await authenticator.authenticate({ authorization, peer: { address: "" } });
      if (principal !== undefined) return principal.kind;
    } catch (error) {
      if (!(error instanceof MeshError)) throw error;
      return error.reason;
    }
  }
  return "nothing";
}

test("good ones are let in, whatever the case of their scheme", async () => {
  for (const scheme of ["Bearer", "bearer", "BEARER", "bEARER "]) {
    const outcomes = await Promise.all(Object.values(good).map((text) => outcomeOf(`${scheme} ${text}`)));
    expect(outcomes).toEqual(["key", "key", "stream-token", "token"]);
  }
});

test("any text is refused, or means nothing", async () => {
  const token = stringMatching(/^[\w.~+/-]{0,80}$/);
  const text = oneof(
    string({ unit: "binary", maxLength: 200 }),
    token,
    tuple(constantFrom("mk_", "mk_operator_", "mst_", "mst_eyJ", "eyJ", ""), token).map((parts) => parts.join("")),
    array(token, { minLength: 3, maxLength: 3 }).map((parts) => parts.join(".")),
  );
  const scheme = oneof(mixedCase(constantFrom("bearer ")), string({ maxLength: 10 }));
  await assert(
    asyncProperty(scheme, text, async (scheme, text) => {
      expect(["CREDENTIAL_INVALID", "nothing"]).toContain(await outcomeOf(scheme + text));
    }),
    { numRuns: 3_000 },
  );
});

test("a good one in which anything is changed is refused, or means nothing", async () => {
  await assert(
    asyncProperty(
      constantFrom<keyof typeof good>("key", "operator", "stream", "token"),
      nat(),
      // Without + and /: they are read as - and _ in base64, and mean the same.
      stringMatching(/^[\w.~-]{0,3}$/),
      nat(2),
      async (kind, where, put, cut) => {
        const text = good[kind];
        // The last character of a signature has two bits that say nothing.
        const at = where % (text.length - 1);
        const changed = text.slice(0, at) + put + text.slice(at + cut);
        const isSame = changed === text || changed.slice(0, -1) === text.slice(0, -1);
        if (!isSame) expect(["CREDENTIAL_INVALID", "nothing"]).toContain(await outcomeOf(`Bearer ${changed}`));
      },
    ),
    { numRuns: 3_000 },
  );
});

test("a good one is none under another scheme, or beside anything else", async () => {
  for (const text of Object.values(good)) {
    for (const header of [
      `Basic ${text}`,
      text,
      `Bearer ${text}, Bearer ${text}`,
      `Bearer ${text} x`,
      `Bearer\t${text}`,
      `Bearer "${text}"`,
    ]) {
      expect(await outcomeOf(header), header).toBe("nothing");
    }
  }
});
