// Secrets in HashiCorp Vault, against a server that speaks its API and misbehaves when told to.
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { Redactor } from "../../../lib/secrets/redactor.ts";
import { Secret } from "../../../lib/secrets/secret.ts";
import { SecretError } from "../../../lib/secrets/secret-error.ts";
import { readSecretPlace, type SecretReference } from "../../../lib/secrets/secret-reference.ts";
import { openSecrets, type Secrets, type VaultOptions } from "../../../lib/secrets/secrets.ts";
import { logLines } from "../../support/log-lines.ts";
import { answer, silence, VaultServer } from "../../support/vault-server.ts";
import { makeCertificate } from "../../support/web-server.ts";

const value = (text: string): SecretReference => ({ named: "T", place: { kind: "value", secret: new Secret(text) } });
const refer = (text: string): SecretReference => ({ named: "MYCEL_KEY", place: readSecretPlace(text, "/")! });
const KEY = refer("vault:secret/mycel/keys#key");
const DATA = "secret/data/mycel/keys";
const RENEW = "auth/token/renew-self";
const LOGIN = "auth/approle/login";

let vault: VaultServer;
let stack: AsyncDisposableStack;

beforeEach(async () => {
  stack = new AsyncDisposableStack();
  vault = stack.use(await VaultServer.open());
  vault.tokens.set("hvs.root", { ttl: 0, renewable: false });
  vault.secrets.set("secret/mycel/keys", { key: "key-number-1", other: "other-1", count: 7, list: ["x"], empty: "" });
});
afterEach(() => stack.disposeAsync());

interface Opened {
  readonly secrets: Secrets;
  readonly redactor: Redactor;
  readonly lines: ReturnType<typeof logLines>;
}

function open(options: Partial<VaultOptions> = {}): Opened {
  const [redactor, lines] = [new Redactor(), logLines()];
  const auth = { kind: "token", token: value("hvs.root") } as const;
  const settings = { address: vault.url, auth, timeoutMs: 5_000, refreshMs: 60_000, ...options };
  return { secrets: stack.use(openSecrets({ vault: settings, redactor, logger: lines.logger })), redactor, lines };
}

const appRole = (secretId = "secret-id-1"): VaultOptions["auth"] => ({
  kind: "approle",
  mount: "approle",
  roleId: "role-1",
  secretId: value(secretId),
});

describe("a secret in Vault", () => {
  test("is read by its field, with the token and the namespace, and is taken out of every line from then on", async () => {
    const { secrets, redactor } = open({ namespace: "team-a" });
    const secret = await secrets.open(KEY);
    expect(secret.current.reveal()).toBe("key-number-1");
    expect(vault.calls.at(-1)).toMatchObject({ method: "GET", path: DATA, token: "hvs.root", namespace: "team-a" });
    expect(redactor.clean("it was key-number-1, by hvs.root")).toBe("it was [redacted], by [redacted]");
  });

  test("is read once for all of its fields", async () => {
    const { secrets } = open();
    const [one, other, count] = await Promise.all([
      secrets.open(KEY),
      secrets.open(refer("vault:secret/mycel/keys#other")),
      secrets.open(refer("vault:secret/mycel/keys#count")),
    ]);
    expect([one, other, count].map(({ current }) => current.reveal())).toEqual(["key-number-1", "other-1", "7"]);
    expect(vault.count(DATA)).toBe(1);
  });

  test("may be behind a certificate of one's own", async () => {
    const certificate = await makeCertificate();
    await using secure = await VaultServer.open(certificate);
    secure.tokens.set("hvs.root", { ttl: 0, renewable: false });
    secure.secrets.set("secret/mycel/keys", { key: "key-number-1" });
    const trusting = open({ address: secure.url, ca: certificate.cert });
    expect((await trusting.secrets.open(KEY)).current.reveal()).toBe("key-number-1");
    await expect(open({ address: secure.url }).secrets.open(KEY)).rejects.toThrow(
      /cannot be reached: \w*(SIGNED|VERIFY)/,
    );
  });

  test("that changes is told to who subscribed", async () => {
    const { secrets } = open({ refreshMs: 50 });
    const secret = await secrets.open(KEY);
    const changed = new Promise<Secret>((resolve) => secret.subscribe(resolve));
    vault.secrets.set("secret/mycel/keys", { key: "key-number-2" });
    expect((await changed).reveal()).toBe("key-number-2");
    expect(secret.current.reveal()).toBe("key-number-2");
  });

  test("stays the last one while Vault is sealed or forgets it, with one warning each time, and follows again after that", async () => {
    const { secrets, lines } = open({ refreshMs: 50 });
    const secret = await secrets.open(KEY);
    vault.isSealed = true;
    await vault.called(DATA, vault.count(DATA) + 3);
    expect(secret.current.reveal()).toBe("key-number-1");
    expect(lines.of("secret cannot be read again, keeping the last one")).toHaveLength(1);
    const changed = new Promise<Secret>((resolve) => secret.subscribe(resolve));
    vault.isSealed = false;
    vault.secrets.set("secret/mycel/keys", { key: "key-number-3" });
    expect((await changed).reveal()).toBe("key-number-3");
    expect(lines.of("secret can be read again")).toHaveLength(1);
    vault.secrets.set("secret/mycel/keys", "deleted");
    await vault.called(DATA, vault.count(DATA) + 3);
    expect(secret.current.reveal()).toBe("key-number-3");
    expect(lines.of("secret cannot be read again, keeping the last one")).toHaveLength(2);
    expect(JSON.stringify(lines.all)).not.toContain("key-number");
  });

  test("that a subscriber cannot take is still the current one, for others too", async () => {
    const { secrets, lines } = open({ refreshMs: 50 });
    const secret = await secrets.open(KEY);
    secret.subscribe(() => {
      throw new Error("not now");
    });
    const changed = new Promise<Secret>((resolve) => secret.subscribe(resolve));
    vault.secrets.set("secret/mycel/keys", { key: "key-number-2" });
    expect((await changed).reveal()).toBe("key-number-2");
    expect(lines.of("changed secret was not taken over")).toHaveLength(1);
  });
});

describe("without a secret, a process does not start:", () => {
  test.for<[string, () => void, RegExp]>([
    ["a wrong token", () => vault.tokens.clear(), /does not allow it \(403\): permission denied$/],
    ["no such secret", () => vault.secrets.clear(), /has no such thing \(404\)$/],
    ["a deleted secret", () => vault.secrets.set("secret/mycel/keys", "deleted"), /has no such thing \(404\)$/],
    [
      "no such field",
      () => vault.secrets.set("secret/mycel/keys", { kye: "x", b: "y" }),
      /secret|mycel\/keys has no field key; there are kye, b$/,
    ],
    [
      "a field that is no text",
      () => vault.secrets.set("secret/mycel/keys", { key: { a: 1 } }),
      /holds no text in key$/,
    ],
    ["an empty field", () => vault.secrets.set("secret/mycel/keys", { key: "" }), /holds no text in key$/],
    [
      "a sealed Vault",
      () => void (vault.isSealed = true),
      /is sealed or down for maintenance \(503\): Vault is sealed$/,
    ],
    [
      "a Vault that says nothing",
      () => vault.instead.set(DATA, silence),
      /cannot be reached: no answer within 300 ms$/,
    ],
    [
      "a Vault that stops in the middle",
      () => vault.instead.set(DATA, (response) => response.writeHead(200).write('{"data":')),
      /cannot be reached: no answer within 300 ms$/,
    ],
    [
      "a Vault that hangs up",
      () => vault.instead.set("*", (response) => response.destroy()),
      /cannot be reached: UND_ERR_SOCKET$/,
    ],
    [
      "something that is no Vault",
      () => vault.instead.set("*", (response) => response.end("<html>welcome key-number-1</html>")),
      /answered with something that is no JSON$/,
    ],
    [
      "a KV engine of version 1",
      () => vault.instead.set(DATA, (response) => answer(response, 200, { data: { key: "key-number-1" } })),
      /answered without a usable data\.data$/,
    ],
    [
      "an endless answer",
      () =>
        vault.instead.set(DATA, (response) => {
          const chunk = Buffer.alloc(256 * 1024, "x");
          const more = (): void => void (response.destroyed || response.write(chunk, more));
          more();
        }),
      /answered with more than \d+ bytes$/,
    ],
    [
      "too many requests",
      () => vault.instead.set(DATA, (response) => answer(response, 429, { errors: ["slow down"] })),
      /status 429: slow down$/,
    ],
    [
      "another address",
      () => vault.instead.set(DATA, (response) => response.writeHead(307, { location: "http://127.0.0.1:1/" }).end()),
      /answered with status 307$/,
    ],
  ])("%s", async ([, spoil, message]) => {
    const { secrets } = open({ timeoutMs: 300 });
    spoil();
    const failed = await secrets.open(KEY).catch((error: unknown) => error);
    expect(failed).toBeInstanceOf(SecretError);
    const line = (failed as SecretError).message;
    expect(line).toMatch(/^MYCEL_KEY: vault:secret\/mycel\/keys#key cannot be read: /);
    expect(line).toMatch(message);
    expect(line).not.toMatch(/hvs|key-number|\n/);
  });

  test("no Vault at all", async () => {
    await using secrets = openSecrets({ redactor: new Redactor(), logger: logLines().logger });
    await expect(secrets.open(KEY)).rejects.toThrow(
      "MYCEL_KEY: vault:secret/mycel/keys#key needs vault.address (VAULT_ADDR), which is not set",
    );
  });

  test("a token that is itself in Vault", async () => {
    const { secrets } = open({ auth: { kind: "token", token: KEY } });
    await expect(secrets.open(KEY)).rejects.toThrow("MYCEL_KEY cannot itself be kept in Vault");
  });
});

describe("the session", () => {
  test("logs in by AppRole, once for all who ask at the same time", async () => {
    const { secrets } = open({ auth: appRole() });
    await Promise.all([secrets.open(KEY), secrets.open(refer("vault:secret/mycel/keys#other"))]);
    expect(vault.calls[0]).toMatchObject({
      path: LOGIN,
      body: { role_id: "role-1", secret_id: "secret-id-1" },
      token: undefined,
    });
    expect([vault.count(LOGIN), vault.calls.at(-1)?.token]).toEqual([1, "hvs.login-1"]);
  });

  test("is refused with a wrong secret id, which nothing tells", async () => {
    const { secrets } = open({ auth: appRole("another-secret-id") });
    await expect(secrets.open(KEY)).rejects.toThrow(/status 400: invalid role or secret ID$/);
    await expect(secrets.open(KEY)).rejects.not.toThrow(/another-secret-id/);
  });

  test("logs in by the service account of Kubernetes, read anew each time", async () => {
    const folder = await mkdtemp(join(tmpdir(), "vault-"));
    const tokenFile = join(folder, "token");
    const { secrets } = open({ auth: { kind: "kubernetes", mount: "kubernetes", role: "mycel", tokenFile } });
    await expect(secrets.open(KEY)).rejects.toThrow(/token cannot be read: ENOENT/);
    await writeFile(tokenFile, "pod-jwt\n");
    expect((await secrets.open(KEY)).current.reveal()).toBe("key-number-1");
    await rm(folder, { recursive: true });
  });

  test("renews its token before it expires, again and again", async () => {
    vault.granted = { ttl: 1, renewable: true };
    const { secrets } = open({ auth: appRole() });
    await secrets.open(KEY);
    await vault.called(RENEW, 2);
    expect(vault.count(LOGIN)).toBe(1);
  });

  test("renews a token that it was given, for as long as that is good", async () => {
    vault.tokens.set("hvs.given", { ttl: 1, renewable: true });
    const { secrets } = open({ auth: { kind: "token", token: value("hvs.given") } });
    await secrets.open(KEY);
    await vault.called(RENEW, 1);
    expect(vault.calls.find(({ path }) => path === RENEW)?.token).toBe("hvs.given");
  });

  test("logs in again when its token cannot be renewed, and when it can only for a short while", async () => {
    vault.granted = { ttl: 1, renewable: false };
    const { secrets } = open({ auth: appRole() });
    await secrets.open(KEY);
    await vault.called(LOGIN, 2);
    expect(vault.count(RENEW)).toBe(0);
    vault.granted = { ttl: 3600, renewable: true };
    const other = open({ auth: appRole() });
    vault.granted = { ttl: 2, renewable: true };
    await other.secrets.open(KEY);
    for (const facts of vault.tokens.values()) facts.ttl = 0.5;
    const before = vault.count(LOGIN);
    await vault.called(RENEW, 1);
    await vault.called(LOGIN, before + 1);
  });

  test("logs in again when its token was revoked, without anybody noticing", async () => {
    const { secrets, lines } = open({ auth: appRole(), refreshMs: 50 });
    const secret = await secrets.open(KEY);
    vault.tokens.clear();
    const changed = new Promise<Secret>((resolve) => secret.subscribe(resolve));
    vault.secrets.set("secret/mycel/keys", { key: "key-number-2" });
    expect((await changed).reveal()).toBe("key-number-2");
    expect(vault.count(LOGIN)).toBe(2);
    expect(lines.of("secret cannot be read again, keeping the last one")).toEqual([]);
  });

  test("has its present token and the one before taken out of lines, and no more of them", async () => {
    const { secrets, redactor } = open({ auth: appRole(), refreshMs: 20 });
    const secret = await secrets.open(KEY);
    for (const login of [2, 3]) {
      vault.tokens.clear();
      await vault.called(LOGIN, login);
      await vault.called(DATA, vault.count(DATA) + 2);
    }
    expect(redactor.clean("hvs.login-1 hvs.login-2 hvs.login-3")).toBe("hvs.login-1 [redacted] [redacted]");
    expect(secret.current.reveal()).toBe("key-number-1");
  });

  test("warns once while it can neither renew nor log in, and goes on trying", async () => {
    vault.granted = { ttl: 1, renewable: true };
    const { secrets, lines } = open({ auth: appRole() });
    await secrets.open(KEY);
    vault.isSealed = true;
    await vault.called(LOGIN, 3);
    expect(lines.of("vault token cannot be renewed, trying again")).toHaveLength(1);
    vault.isSealed = false;
    await vault.called(RENEW, vault.count(RENEW) + 1);
    await expect.poll(() => lines.of("vault token is good again").length).toBe(1);
  });

  test("ends at once, also while Vault says nothing", async () => {
    const { secrets, lines } = open({ refreshMs: 20, timeoutMs: 120_000 });
    await secrets.open(KEY);
    const asked = new Promise<void>((resolve) => {
      vault.instead.set(DATA, () => resolve());
    });
    await asked;
    await secrets[Symbol.asyncDispose]();
    expect(lines.all.filter(({ level }) => level === "warn")).toEqual([]);
  });
});
