// Tokens that must not be accepted, each made with jose from what a stranger can have: the issuer's public key, a right token of another
// audience, another issuer's key, any header.
import { createHash } from "node:crypto";
import { base64url, exportJWK, SignJWT, UnsecuredJWT } from "jose";
import { type IssuerKey, issuerKey, publicPem, signToken, type TokenOptions } from "./test-issuer.ts";

/** The issuer whose tokens are forged. */
export interface ForgedIssuer {
  readonly issuer: string;
  readonly audience: string;
  readonly key: IssuerKey;
}

/** The subject that the forgeries claim to be. */
const SUBJECT = "alice";

/** Makes the forgeries, by what is wrong with each. */
export async function forgedTokens(of: ForgedIssuer, nowMs: number = Date.now()): Promise<Record<string, string>> {
  const { issuer, audience, key } = of;
  const stranger = await issuerKey(key.alg);
  const named = { ...stranger, kid: key.kid };
  const [right, signedBy] = [
    (options: TokenOptions) => signToken(of, { nowMs, ...options }),
    (options: TokenOptions) => signToken({ ...of, key: named }, { nowMs, ...options }),
  ];
  const nowS = Math.floor(nowMs / 1_000);
  const payload = { iss: issuer, aud: audience, sub: SUBJECT, iat: nowS, exp: nowS + 300 };
  const pem = await publicPem(key);
  const { kid: _, ...anonymousJwk } = key.publicJwk;
  const secretOf = (text: string): Uint8Array => new TextEncoder().encode(text);
  const hmac = async (secret: Uint8Array, kid: string, alg = "HS256"): Promise<string> =>
    await new SignJWT(payload).setProtectedHeader({ alg, kid }).sign(secret);
  const good = await right({});
  const [head = "", body = "", signature = ""] = good.split(".");
  const unsigned = new UnsecuredJWT(payload).encode();
  const recoded = (part: string, change: (value: Record<string, unknown>) => object): string =>
    base64url.encode(
      JSON.stringify(change(JSON.parse(new TextDecoder().decode(base64url.decode(part))) as Record<string, unknown>)),
    );
  return {
    expired: await right({ nowMs: nowMs - 1_000_000 }),
    "not valid yet": await right({ claims: { nbf: nowS + 600 } }),
    "without an end": await right({ claims: { exp: undefined } }),
    "with an end that is no number": await right({ claims: { exp: "9999999999" } }),
    "with a beginning that is no number": await right({ claims: { nbf: "0" } }),
    "without a subject": await right({ claims: { sub: undefined } }),
    "with an empty subject": await right({ claims: { sub: "" } }),
    "with a subject of control characters": await right({ claims: { sub: "alice\nadmin" } }),
    "with a subject that is too long": await right({ claims: { sub: "a".repeat(257) } }),
    "of another issuer": await right({ claims: { iss: "https://evil.example" } }),
    "without an issuer": await right({ claims: { iss: undefined } }),
    "of an issuer that begins alike": await right({ claims: { iss: `${issuer}.evil.example` } }),
    "for another audience": await right({ claims: { aud: "somebody-else" } }),
    "for other audiences": await right({ claims: { aud: ["a", "b"] } }),
    "without an audience": await right({ claims: { aud: undefined } }),
    "signed by a stranger": await signToken({ ...of, key: stranger }, { nowMs }),
    "signed by a stranger with the issuer's kid": await signedBy({}),
    "with the stranger's key in its header": await signedBy({ header: { jwk: await exportJWK(stranger.publicKey) } }),
    "with the stranger's JWKS URL in its header": await signedBy({ header: { jku: `${issuer}/evil.json` } }),
    "with the stranger's certificate URL in its header": await signedBy({ header: { x5u: `${issuer}/evil.pem` } }),
    "with a kid that is a path": await signToken(of, {
      nowMs,
      key: { ...stranger, kid: "../../../../../dev/null" },
    }),
    "with a kid that is SQL": await signToken(of, { nowMs, key: { ...stranger, kid: "' OR 1=1 --" } }),
    "with a kid that objects have": await signToken(of, { nowMs, key: { ...stranger, kid: "__proto__" } }),
    "signed by nobody": unsigned,
    "signed by nobody, with a signature": `${unsigned}${signature}`,
    "of algorithm NONE": `${base64url.encode('{"alg":"NONE"}')}.${body}.`,
    "without its signature": `${head}.${body}.`,
    "with the issuer's public PEM as a shared secret": await hmac(secretOf(pem), key.kid),
    "with the issuer's public PEM, trimmed, as a shared secret": await hmac(secretOf(pem.trim()), key.kid),
    "with the issuer's public JWK as a shared secret": await hmac(secretOf(JSON.stringify(key.publicJwk)), key.kid),
    "with the issuer's bare JWK as a shared secret": await hmac(secretOf(JSON.stringify(anonymousJwk)), key.kid),
    "with the hash of the issuer's public PEM as a shared secret": await hmac(
      createHash("sha256").update(pem).digest(),
      key.kid,
    ),
    "with the issuer's public PEM as a shared secret of HS512": await hmac(secretOf(pem.padEnd(64)), key.kid, "HS512"),
    "with zeroes as a shared secret": await hmac(new Uint8Array(32), key.kid),
    "with a critical header that nobody knows": await criticalToken(of, nowMs),
    "with claims that were changed after it was signed": `${head}.${recoded(body, (claims) => ({ ...claims, sub: "admin" }))}.${signature}`,
    "with a header that was changed after it was signed": `${recoded(head, (header) => ({ ...header, typ: "at+jwt" }))}.${body}.${signature}`,
    "with another token's signature": `${head}.${body}.${(await right({ subject: "bob" })).split(".")[2]}`,
    "with a signature of zeroes": `${head}.${body}.${base64url.encode(new Uint8Array(64))}`,
    "with a fourth part": `${good}.${signature}`,
    "of five parts": `${head}.${body}.${body}.${body}.${signature}`,
    "of one part": head,
    "of no JSON": `${base64url.encode("x")}.${base64url.encode("y")}.${signature}`,
    // Of a header, servers take 16 KiB before they look at it.
    "that is too long": await right({ claims: { padding: "x".repeat(9_000) } }),
  };
}

async function criticalToken(of: ForgedIssuer, nowMs: number): Promise<string> {
  const nowS = Math.floor(nowMs / 1_000);
  return await new SignJWT({ iss: of.issuer, aud: of.audience, sub: SUBJECT, iat: nowS, exp: nowS + 300 })
    .setProtectedHeader({ alg: of.key.alg, kid: of.key.kid, crit: ["urn:nobody"], "urn:nobody": true })
    .sign(of.key.privateKey, { crit: { "urn:nobody": true } });
}
