// The folder of trust: who can read what in it, what is refused, and what its JWTs say.
import { createPublicKey, verify } from "node:crypto";
import { chmod, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Codec } from "@nats-io/nkeys/lib/codec.js";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { signClaims } from "../../../lib/nats/trust/claims.ts";
import { issueAgentCredential } from "../../../lib/nats/trust/agent-credential.ts";
import { isPublicKey, SigningKey } from "../../../lib/nats/trust/signing-key.ts";
import { makeTrust, readCoordinatorTrust, readServerTrust } from "../../../lib/nats/trust/trust-folder.ts";
import { type Revocation, withRevoked } from "../../../lib/nats/trust/trust-record.ts";

const NOW_MS = Date.UTC(2026, 0, 1);

let parent: string;
let dir: string;
beforeAll(async () => {
  parent = await mkdtemp(join(tmpdir(), "mycel-trust-"));
  dir = join(parent, "trust");
  await makeTrust(dir, NOW_MS);
});
afterAll(async () => {
  await rm(parent, { recursive: true });
});

async function filesIn(folder: string): Promise<string[]> {
  const found = await readdir(folder, { recursive: true, withFileTypes: true });
  return found.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
}

describe("a folder of trust", () => {
  test("has secrets that only its owner can read, and tells servers none", async () => {
    for (const file of await filesIn(dir)) {
      const text = await readFile(file, "utf8");
      const isSecret = /^S[UAO][A-Z2-7]{56}$/m.test(text);
      expect([file, (await stat(file)).mode & 0o077, isSecret]).toEqual([
        file,
        file.endsWith("trust.conf") ? 0o044 : 0,
        !/\.(?:conf|json)$/.test(file),
      ]);
    }
    expect((await stat(dir)).mode & 0o077).toBe(0);
  });

  test("is made once: neither it nor half of it is ever replaced", async () => {
    const before = await readServerTrust(dir);
    await expect(makeTrust(dir, NOW_MS)).rejects.toThrow(
      `${dir} is there already: trust is made once, in a new folder`,
    );
    expect(await readServerTrust(dir)).toEqual(before);
    expect(await readdir(parent)).toEqual(["trust"]);
  });

  test("is refused in one line without a secret when it is not what it was", async () => {
    const coordinator = join(dir, "coordinator");
    const file = join(coordinator, "agents-signing.nk");
    const seed = (await readFile(file, "utf8")).trim();
    const refusal = async (): Promise<string> => {
      const error: unknown = await readCoordinatorTrust(coordinator).catch((reason: unknown) => reason);
      expect(error).toMatchObject({ name: "TrustError" });
      return String(error);
    };
    await chmod(file, 0o604);
    expect(await refusal()).toContain(`${file} can be read by everybody: chmod 600 it`);
    await chmod(file, 0o600);
    await writeFile(file, `${seed.slice(0, -3)}AAA`);
    expect(await refusal()).toContain(`${file}: it is no seed of a key (SA…)`);
    await writeFile(file, SigningKey.create("O").seed);
    expect(await refusal()).toContain(`${file}: it is not the seed of a key of this kind (SA…)`);
    await rm(file);
    expect(await refusal()).toContain(`${file} can't be read (ENOENT): is this a folder that "mycel trust init" made?`);
    await writeFile(file, seed, { mode: 0o600 });
    await expect(readCoordinatorTrust(coordinator)).resolves.toBeDefined();
    await expect(readCoordinatorTrust(join(dir, "nats"))).rejects.toThrow(/does not hold|can't be read/);
  });
});

describe("a signing key", () => {
  test("signs what its public part verifies", () => {
    const key = SigningKey.create("A");
    const jwt = signClaims({ subject: "x", name: "n", issuedAtS: 1, kind: "account", nats: {} }, key);
    const [head, body, signature] = jwt.split(".");
    const x = Buffer.from(Codec._decode(Buffer.from(key.publicKey)).subarray(1)).toString("base64url");
    const publicKey = createPublicKey({ format: "jwk", key: { kty: "OKP", crv: "Ed25519", x } });
    const bytes = Buffer.from(signature!, "base64url");
    expect(verify(null, Buffer.from(`${head}.${body}`), publicKey, bytes)).toBe(true);
    expect(verify(null, Buffer.from(`${head}.${body}x`), publicKey, bytes)).toBe(false);
    expect(key.publicKey).toMatch(/^A[A-Z2-7]{55}$/);
  });

  test.for(["", "U", "U".repeat(56), "UABC\n", "not a key"])("has no public part like %j", (text) => {
    expect(isPublicKey(text, "U")).toBe(false);
    const { publicKey } = SigningKey.create("U");
    expect([isPublicKey(publicKey, "U"), isPublicKey(publicKey, "A")]).toEqual([true, false]);
    expect(
      isPublicKey(
        publicKey.replace(/.$/, (last) => (last === "A" ? "B" : "A")),
        "U",
      ),
    ).toBe(false);
  });
});

describe("a credential is not issued for", () => {
  const good = {
    tenant: "acme",
    agentId: "worker",
    publicKey: SigningKey.create("U").publicKey,
    lanes: [{ stream: "MYCEL_TASKS", consumer: "acme=echo=5" }],
    expiresMs: NOW_MS,
  };
  const signer = { signingKey: SigningKey.create("A"), account: SigningKey.create("A").publicKey, nowMs: NOW_MS };

  test.for([
    ["another tenant's lane", { lanes: [{ stream: "MYCEL_TASKS", consumer: "zeta=echo=5" }] }],
    ["a lane that is a pattern", { lanes: [{ stream: "MYCEL_TASKS", consumer: "*" }] }],
    ["a lane with more behind it", { lanes: [{ stream: "MYCEL_TASKS", consumer: "acme=echo=5.>" }] }],
    ["a consumer of the mesh itself", { lanes: [{ stream: "MYCEL_TASKS", consumer: "delayed" }] }],
    ["another stream", { lanes: [{ stream: "MYCEL_TIMERS", consumer: "acme=echo=5" }] }],
    ["a tenant that is a pattern", { tenant: "*", lanes: [] }],
    ["an agent that is a pattern", { agentId: ">" }],
    ["an agent with a dot", { agentId: "a.b" }],
    ["an account's key", { publicKey: SigningKey.create("A").publicKey }],
    ["a time that never comes", { expiresMs: Infinity }],
  ] as const)("%s", ([, bad]) => {
    expect(issueAgentCredential(good, signer).split(".")).toHaveLength(3);
    expect(() => issueAgentCredential({ ...good, ...bad }, signer)).toThrow(RangeError);
  });
});

describe("what is revoked", () => {
  const at = (untilS: number, endS = untilS + 900): Revocation => ({ untilS, endS });

  test("stays so until all that it voids has ended", () => {
    const revoked = withRevoked({ OLD: at(10, 100), KEPT: at(100, 600) }, { NEW: at(500) }, 500);
    expect(revoked).toEqual({ KEPT: at(100, 600), NEW: at(500) });
    expect(withRevoked({ KEY: at(300, 400) }, { KEY: at(200, 900) }, 200)).toEqual({ KEY: at(300, 900) });
  });

  test("needs no entry of its own where everybody is", () => {
    expect(withRevoked({ BEFORE: at(10), AFTER: at(30) }, { "*": at(20) }, 20)).toEqual({ "*": at(20), AFTER: at(30) });
  });

  test("is never let in again because there is too much of it: then everybody registers anew", () => {
    const many = Object.fromEntries(Array.from({ length: 8_000 }, (_, i) => [`K${i}`, at(1_000 + i, 20_000)]));
    const revoked = withRevoked(many, { NEW: at(9_500) }, 9_500);
    expect(revoked["NEW"]).toEqual(at(9_500));
    for (const [key, { untilS }] of Object.entries(many)) {
      const heldS = Math.max(revoked[key]?.untilS ?? 0, revoked["*"]?.untilS ?? 0);
      expect(heldS).toBeGreaterThanOrEqual(untilS);
    }
  });
});
