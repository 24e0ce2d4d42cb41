// The public keys of an issuer: they rotate while calls are made, and the page that shows them fails in every way.
import { mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { exportJWK } from "jose";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { Logger } from "../../../lib/core/logger.ts";
import { silentLogger } from "../../../lib/core/logger.ts";
import type { Principal } from "../../../lib/core/access/principal.ts";
import type { Authenticator } from "../../../services/coordinator/access/authenticator.ts";
import { jwksUrl } from "../../../services/coordinator/access/jwt/jwks-source.ts";
import { createJwtAuthenticator } from "../../../services/coordinator/access/jwt/jwt-authenticator.ts";
import { type KeySetOptions, openKeySet } from "../../../services/coordinator/access/jwt/key-set.ts";
import { policyOf } from "../../support/fake-policy.ts";
import { type HandClock, handClock } from "../../support/hand-clock.ts";
import { onceItWorks } from "../../support/soon.ts";
import {
  issuerKey,
  type JwksBehaviour,
  openTestIssuer,
  signToken,
  type TestIssuer,
} from "../../support/test-issuer.ts";

const MINUTE_MS = 60_000;

let clock: HandClock;
let issuer: TestIssuer;
let stack: AsyncDisposableStack;
beforeEach(async () => {
  clock = handClock(Date.now());
  stack = new AsyncDisposableStack();
  issuer = stack.use(await openTestIssuer());
});
afterEach(() => stack.disposeAsync());

/** An authenticator whose key set is read when a call asks for it, and by nothing else unless told so. */
async function opened(options: Partial<KeySetOptions> = {}): Promise<Authenticator> {
  const source = { kind: "url", url: new URL(issuer.jwksUrl) } as const;
  const set = { source, clock, logger: silentLogger, refreshMs: 1_000_000, timeoutMs: 2_000, ...options };
  const keys = stack.use(await openKeySet(set));
  const { issuer: iss, audience } = issuer;
  return createJwtAuthenticator({ keys, issuer: iss, audience, foreignPrefixes: [], policy: policyOf(), clock });
}

async function presented(authenticator: Authenticator, token: string): Promise<Principal | undefined> {
  return await authenticator.authenticate({ authorization: `Bearer ${token}`, peer: { address: "" } });
}

const invalid = expect.objectContaining({ reason: "CREDENTIAL_INVALID" });
const unavailable = expect.objectContaining({ reason: "ACCESS_UNAVAILABLE" });

describe("rotation", () => {
  test("a token of a new key is accepted at once, and those of the former one as long as it is shown", async () => {
    const authenticator = await opened();
    const old = await issuer.token();
    await presented(authenticator, old);
    await issuer.rotate();
    clock.advance(30_000);
    const young = await issuer.token();
    expect(await presented(authenticator, young)).toMatchObject({ id: "alice" });
    expect(await presented(authenticator, old)).toMatchObject({ id: "alice" });
  });

  test("a token of a withdrawn key is refused once that is known, though it was remembered; and calls that last hear of it", async () => {
    const authenticator = await opened();
    const old = await issuer.token();
    await presented(authenticator, old);
    const heard = vi.fn();
    authenticator.onRevoked?.(heard);
    await issuer.rotate({ withdraw: true });
    clock.advance(30_000);
    await presented(authenticator, await issuer.token());
    expect(heard).toHaveBeenCalledOnce();
    await expect(presented(authenticator, old)).rejects.toEqual(invalid);
  });

  test("no call with a right token fails while keys rotate", async () => {
    const authenticator = await opened({ cooldownMs: 0 });
    let rotating = true;
    const calls = async (): Promise<number> => {
      let count = 0;
      for (; rotating; count += 1) await presented(authenticator, await issuer.token());
      return count;
    };
    const callers = [calls(), calls(), calls(), calls()];
    for (let i = 0; i < 20; i += 1) await issuer.rotate();
    rotating = false;
    expect(Math.min(...(await Promise.all(callers)))).toBeGreaterThan(0);
  });

  test("strangers with unknown keys can't have the page asked for more than once in a while", async () => {
    const authenticator = await opened();
    const key = await issuerKey();
    const forged = await Promise.all(
      Array.from({ length: 50 }, (_, i) => signToken({ ...issuer, key: { ...key, kid: `unknown-${i}` } })),
    );
    const all = (): Promise<unknown> => Promise.allSettled(forged.map((token) => presented(authenticator, token)));
    await all();
    expect(issuer.requests).toBe(1);
    clock.advance(30_000);
    await all();
    expect(issuer.requests).toBe(2);
    // Nor while the page fails.
    issuer.behaviour = "down";
    clock.advance(30_000);
    await all();
    await all();
    expect(issuer.requests).toBe(3);
  });

  test("it is read again and again without a call", async () => {
    const heard = vi.fn();
    const authenticator = await opened({ refreshMs: 10 });
    const old = await issuer.token();
    authenticator.onRevoked?.(heard);
    await issuer.rotate({ withdraw: true });
    await onceItWorks(() => expect(heard).toHaveBeenCalledOnce());
    await expect(presented(authenticator, old)).rejects.toEqual(invalid);
  });
});

describe.for<JwksBehaviour>(["down", "slow", "garbage", "huge", "endless", "redirect"])(
  "a page that is %s",
  (behaviour) => {
    test("keeps right tokens out until it is well, if it never was", async () => {
      issuer.behaviour = behaviour;
      const authenticator = await opened();
      const token = await issuer.token();
      await expect(presented(authenticator, token)).rejects.toEqual(unavailable);
      clock.advance(30_000);
      await expect(presented(authenticator, token)).rejects.toEqual(unavailable);
      issuer.behaviour = "well";
      // Not asked again at once, whoever calls.
      await expect(presented(authenticator, token)).rejects.toEqual(unavailable);
      clock.advance(30_000);
      expect(await presented(authenticator, token)).toMatchObject({ id: "alice" });
    });

    test("changes nothing for ten minutes, and then lets nobody in, remembered or not", async () => {
      const authenticator = await opened();
      const token = await issuer.token({ lifetimeS: 3_600 });
      await presented(authenticator, token);
      issuer.behaviour = behaviour;
      clock.advance(10 * MINUTE_MS);
      expect(await presented(authenticator, token)).toMatchObject({ id: "alice" });
      expect(await presented(authenticator, await issuer.token({ nowMs: clock.now() }))).toMatchObject({ id: "alice" });
      clock.advance(1);
      await expect(presented(authenticator, token)).rejects.toEqual(unavailable);
      await expect(presented(authenticator, await issuer.token({ nowMs: clock.now() }))).rejects.toEqual(unavailable);
    });
  },
);

test("calls that last hear when the keys can't be relied on any more", async () => {
  const authenticator = await opened({ refreshMs: 10 });
  const heard = vi.fn();
  authenticator.onRevoked?.(heard);
  issuer.behaviour = "down";
  clock.advance(10 * MINUTE_MS + 1);
  await onceItWorks(() => expect(heard).toHaveBeenCalledOnce());
});

describe("a JWKS file", () => {
  let folder: string;
  let path: string;
  const write = async (text: string): Promise<void> => {
    // As whoever cares about readers does it.
    await writeFile(`${path}.new`, text);
    await rename(`${path}.new`, path);
  };
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "mycel-jwks-"));
    stack.defer(() => rm(folder, { recursive: true }));
    path = join(folder, "jwks.json");
    await write(JSON.stringify(issuer.jwks));
  });
  const ofFile = (logger: Logger = silentLogger): Promise<Authenticator> =>
    opened({ source: { kind: "file", path }, refreshMs: 10, logger });

  test("is read again when it changes, and what is no JWK set changes nothing", async () => {
    const warned = Promise.withResolvers<void>();
    const authenticator = await ofFile({ ...silentLogger, warn: () => warned.resolve() });
    const old = await issuer.token();
    await presented(authenticator, old);
    await write("{");
    await warned.promise;
    expect(await presented(authenticator, old)).toMatchObject({ id: "alice" });
    const changed = Promise.withResolvers<void>();
    authenticator.onRevoked?.(changed.resolve);
    await issuer.rotate({ withdraw: true });
    await write(JSON.stringify(issuer.jwks));
    await changed.promise;
    await expect(presented(authenticator, old)).rejects.toEqual(invalid);
    expect(await presented(authenticator, await issuer.token())).toMatchObject({ id: "alice" });
  });

  test("that holds secrets or private keys by mistake does not let in whoever has read it", async () => {
    const [shown, secret] = [await issuerKey(), { kty: "oct", k: "c2VjcmV0", kid: "shared", alg: "ES256" }];
    const privateJwk = { ...(await exportJWK(shown.privateKey)), kid: shown.kid, alg: shown.alg };
    const token = await signToken({ ...issuer, key: shown });
    await write(JSON.stringify({ keys: [shown.publicJwk] }));
    expect(await presented(await ofFile(), token)).toMatchObject({ id: "alice" });
    await write(JSON.stringify({ keys: [privateJwk, secret] }));
    const authenticator = await ofFile();
    await expect(presented(authenticator, token)).rejects.toEqual(invalid);
    const shared = await signToken({ ...issuer, key: { ...shown, kid: "shared" } });
    await expect(presented(authenticator, shared)).rejects.toEqual(invalid);
  });

  test("must be there, and be one, from the start", async () => {
    await write('{"keys":{}}');
    await expect(ofFile()).rejects.toThrow(`JWKS file ${path}: it is no JWK set`);
    await write(" ".repeat(300_000));
    await expect(ofFile()).rejects.toThrow(`JWKS file ${path}: the JWK set has more than 262144 bytes`);
    await rm(path);
    await expect(ofFile()).rejects.toThrow(`JWKS file ${path}: ENOENT`);
  });
});

test("keys are fetched over https only, but for this machine", () => {
  for (const good of ["https://issuer.example/jwks", "http://127.0.0.1:8080/", "http://localhost/", "http://[::1]/x"]) {
    expect(jwksUrl(good).href, good).toContain("://");
  }
  for (const bad of [
    "http://issuer.example/",
    "https://user@issuer.example/",
    "ftp://x/",
    "x",
    "",
    "http://127.0.0.1.evil.example/",
    "file:///etc/passwd",
  ]) {
    expect(() => jwksUrl(bad), bad).toThrow("the JWKS URL must be an https URL without user and password");
  }
});

test("algorithms of shared secrets can't be named beside key pairs", async () => {
  for (const algorithms of [["HS256"], ["ES256", "HS512"], ["none"], []]) {
    await expect(opened({ algorithms })).rejects.toThrow(RangeError);
  }
  const authenticator = await opened({ algorithms: ["RS256"] });
  await expect(presented(authenticator, await issuer.token())).rejects.toEqual(invalid);
});
