// API keys over a real broker, with several coordinators: what is accepted, what is not any more, and what is stored of a key.
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { jetstreamManager } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import {
  CreateKeyRequestSchema,
  ListKeysRequestSchema,
  RevokeKeyRequestSchema,
} from "../../../gen/mycel/v1/key_service_pb.ts";
import type { Principal } from "../../../lib/core/access/principal.ts";
import { silentLogger } from "../../../lib/core/logger.ts";
import type { KeyStore } from "../../../lib/nats/key-store.ts";
import { Secret } from "../../../lib/secrets/secret.ts";
import { createApiKeyAuthenticator } from "../../../services/coordinator/access/keys/api-key-authenticator.ts";
import type { Authenticator } from "../../../services/coordinator/access/authenticator.ts";
import { KeyDesk } from "../../../services/coordinator/access/keys/key-desk.ts";
import { LastUse } from "../../../services/coordinator/access/keys/last-use.ts";
import { OperatorKey } from "../../../services/coordinator/access/keys/operator-key.ts";
import { OPEN_PRINCIPAL } from "../../../services/coordinator/access/principal-values.ts";
import { grantOf, policyOf } from "../../support/fake-policy.ts";
import { type HandClock, handClock } from "../../support/hand-clock.ts";
import { openTcpProxy } from "../../faults/mesh/tcp-proxy.ts";
import { onceItWorks } from "../../support/soon.ts";
import { type KeyBroker, openKeyBroker } from "../../support/test-keys.ts";

const OPERATOR_KEY = `mk_operator_${"0".repeat(32)}`;
const MINUTE_MS = 60_000;
const DAY_MS = 86_400_000;

const peer = { address: "192.0.2.1" };
const invalid = expect.objectContaining({ reason: "CREDENTIAL_INVALID", message: "the credential is not valid" });
const notAllowed = expect.objectContaining({ reason: "ACTION_NOT_ALLOWED" });

/** What one coordinator has to do with keys. */
interface Coordinator {
  readonly store: KeyStore;
  readonly desk: KeyDesk;
  readonly authenticator: Authenticator;
  readonly lastUse: LastUse;
}

const ADMIN: Principal = { kind: "token", id: "ada", tenant: "acme", grants: [grantOf("admin")], expiresMs: Infinity };

let clock: HandClock;
let broker: KeyBroker;
beforeEach(async () => {
  clock = handClock(Date.now());
  broker = await openKeyBroker();
});
afterEach(() => broker[Symbol.asyncDispose]());

async function coordinator(operatorKey?: OperatorKey, url?: string): Promise<Coordinator> {
  const [keys, policy] = [await broker.store(url), policyOf()];
  const lastUse = new LastUse({ keys, clock, logger: silentLogger });
  const onUse = lastUse.used.bind(lastUse);
  const authenticator = createApiKeyAuthenticator({ keys, operatorKey, policy, clock, onUse });
  return { store: keys, desk: new KeyDesk({ keys, policy, clock, maxKeys: 3 }), authenticator, lastUse };
}

type Wanted = Omit<MessageInitShape<typeof CreateKeyRequestSchema>, "$typeName">;

const creation = (wanted: Wanted = {}) => create(CreateKeyRequestSchema, { roles: ["submitter"], ...wanted });
const revocation = (keyId: string, tenant = "") => create(RevokeKeyRequestSchema, { keyId, tenant });
const listing = (wanted: MessageInitShape<typeof ListKeysRequestSchema> = {}) => create(ListKeysRequestSchema, wanted);

/** What a coordinator makes of a key that is presented; an error for one that it does not accept. */
function present({ authenticator }: Coordinator, secret: string): Principal {
  const found = authenticator.authenticate({ authorization: `Bearer ${secret}`, peer });
  if (found === undefined || found instanceof Promise) throw new Error("it was not taken for a key");
  return found;
}

describe("a key", () => {
  test("is its holder in its tenant with its roles, on every coordinator", async () => {
    const [one, other] = [await coordinator(), await coordinator()];
    const { key, secret } = await one.desk.create(ADMIN, creation({ description: "nightly runs" }));
    expect(key).toMatchObject({
      tenant: "acme",
      roles: ["submitter"],
      description: "nightly runs",
      creator: "token:ada",
      prefix: `mk_${key.keyId}_`,
    });
    expect(secret).toMatch(/^mk_[0-9a-f]{16}_[A-Za-z0-9_-]{43}$/);
    const principal = {
      kind: "key",
      id: key.keyId,
      tenant: "acme",
      grants: [grantOf("submitter")],
      expiresMs: Infinity,
    };
    expect(present(one, secret)).toEqual(principal);
    await onceItWorks(() => expect(present(other, secret)).toEqual(principal));
  });

  test("is refused on all coordinators once it is revoked, and calls that last hear of it", async () => {
    const all = await Promise.all([coordinator(), coordinator(), coordinator()]);
    const { key, secret } = await all[0].desk.create(ADMIN, creation());
    await Promise.all(all.map((each) => onceItWorks(() => present(each, secret))));
    const heard = all.map(({ authenticator }) => {
      const { promise, resolve } = Promise.withResolvers<void>();
      authenticator.onRevoked?.(resolve);
      return promise;
    });
    const revoked = await all[1].desk.revoke(ADMIN, revocation(key.keyId));
    expect(revoked).toMatchObject({ keyId: key.keyId, revoker: "token:ada" });
    await Promise.all(heard);
    for (const each of all) expect(() => present(each, secret)).toThrow(invalid);
    // Revoked again, it stays as it was.
    clock.advance(MINUTE_MS);
    expect(await all[2].desk.revoke(ADMIN, revocation(key.keyId))).toEqual(revoked);
  });

  test("is refused when its life is over", async () => {
    const one = await coordinator();
    const { secret, key } = await one.desk.create(ADMIN, creation({ lifetime: { seconds: 60n } }));
    expect(present(one, secret)).toMatchObject({ expiresMs: clock.now() + MINUTE_MS });
    clock.advance(MINUTE_MS - 1);
    present(one, secret);
    clock.advance(1);
    expect(() => present(one, secret)).toThrow(invalid);
    expect(one.desk.list(ADMIN, listing()).keys).toEqual([]);
    expect(one.desk.list(ADMIN, listing({ includeEnded: true })).keys).toEqual([key]);
  });

  test("is refused in every other form than its own, and all refusals are alike", async () => {
    const one = await coordinator();
    const { key, secret } = await one.desk.create(ADMIN, creation());
    const random = secret.slice(key.prefix.length);
    const flipped = `${secret.slice(0, -2)}${secret.at(-2) === "A" ? "B" : "A"}${secret.at(-1)}`;
    const wrong = [
      flipped,
      secret.slice(0, -1),
      `${secret}A`,
      key.prefix,
      `mk_${"0".repeat(16)}_${random}`,
      `mk_${key.keyId.toUpperCase()}_${random}`,
      `mk_${key.keyId}${random}`,
      `mk_${key.keyId}.x_${random}`,
      `mk_operator_${random}`,
      OPERATOR_KEY,
      "mk_",
      "mk___proto___",
      `mk_${"9".repeat(100_000)}`,
    ];
    for (const text of wrong) expect(() => present(one, text), text.slice(0, 80)).toThrow(invalid);
    present(one, secret);
  });

  test("is not what is stored: only its digest is", async () => {
    const one = await coordinator();
    const { key, secret } = await one.desk.create(ADMIN, creation());
    await using connection = await connect({ servers: broker.nats.url });
    const manager = await jetstreamManager(connection);
    const stored = await manager.streams.getMessage("KV_MYCEL_KEYS", {
      last_by_subj: `$KV.MYCEL_KEYS.api.${key.keyId}`,
    });
    const text = Buffer.from(stored?.data ?? []).toString("latin1");
    expect(text).toContain(key.keyId);
    expect(text).not.toContain(secret.slice(key.prefix.length, key.prefix.length + 8));
  });
});

describe("who makes keys", () => {
  test("can't give away more than it has", async () => {
    const one = await coordinator();
    const some: Principal = {
      ...ADMIN,
      grants: [{ ...grantOf("reader"), actions: new Set(["key:admin", "task:read"]) }],
    };
    await expect(one.desk.create(some, creation({ roles: ["reader", "admin"] }))).rejects.toEqual(notAllowed);
    expect((await one.desk.create(some, creation({ roles: ["reader"] }))).key.roles).toEqual(["reader"]);
    const narrow = { ...some, grants: some.grants.map((grant) => ({ ...grant, taskTypes: ["echo"] })) };
    await expect(one.desk.create(narrow, creation({ roles: ["reader"] }))).rejects.toEqual(notAllowed);
  });

  test("is told of roles that the policy does not know", async () => {
    const one = await coordinator();
    await expect(one.desk.create(ADMIN, creation({ roles: ["reader", "raeder"] }))).rejects.toMatchObject({
      reason: "INVALID_REQUEST",
      violations: [{ field: "roles[1]", description: 'the policy has no role "raeder"' }],
    });
  });

  test("neither sees nor touches the keys of other tenants", async () => {
    const one = await coordinator();
    const { key, secret } = await one.desk.create(ADMIN, creation());
    const foreign: Principal = { ...ADMIN, tenant: "evil" };
    expect(one.desk.list(foreign, listing({ includeEnded: true })).keys).toEqual([]);
    const none = { reason: "KEY_NOT_FOUND" };
    await expect(one.desk.revoke(foreign, revocation(key.keyId))).rejects.toMatchObject(none);
    await expect(one.desk.revoke(foreign, revocation("nothing"))).rejects.toMatchObject(none);
    await expect(one.desk.revoke(foreign, revocation(key.keyId, "acme"))).rejects.toEqual(notAllowed);
    await expect(one.desk.create(foreign, creation({ tenant: "acme" }))).rejects.toEqual(notAllowed);
    expect(() => one.desk.list(foreign, listing({ tenant: "acme" }))).toThrow(notAllowed);
    // Nor does a key that calls itself the operator's.
    const impostor: Principal = { ...foreign, kind: "token", id: "operator" };
    await expect(one.desk.create(impostor, creation({ tenant: "acme" }))).rejects.toEqual(notAllowed);
    present(one, secret);
  });

  test("has room for so many keys, and gets it back a month after they ended", async () => {
    const one = await coordinator();
    const made = [await one.desk.create(ADMIN, creation()), await one.desk.create(ADMIN, creation())];
    await one.desk.create(ADMIN, creation());
    const full = { reason: "KEY_LIMIT" };
    await expect(one.desk.create(ADMIN, creation())).rejects.toMatchObject(full);
    await one.desk.create({ ...ADMIN, tenant: "other" }, creation());
    for (const { key } of made) await one.desk.revoke(ADMIN, revocation(key.keyId));
    await expect(one.desk.create(ADMIN, creation())).rejects.toMatchObject(full);
    clock.advance(30 * DAY_MS + 1);
    await one.desk.create(ADMIN, creation());
    expect(one.desk.list(ADMIN, listing({ includeEnded: true })).keys).toHaveLength(2);
  });

  test("gets them in pages", async () => {
    const one = await coordinator();
    for (let i = 0; i < 3; i += 1) await one.desk.create(ADMIN, creation());
    const first = one.desk.list(ADMIN, listing({ pageSize: 2 }));
    const second = one.desk.list(ADMIN, listing({ pageSize: 2, pageToken: first.nextPageToken }));
    const ids = [...first.keys, ...second.keys].map(({ keyId }) => keyId);
    expect(ids).toEqual([...new Set(ids)].sort());
    expect([ids.length, second.nextPageToken]).toEqual([3, ""]);
  });
});

describe("the operator's key", () => {
  test("may do everything, and make the first key of any tenant", async () => {
    const one = await coordinator(new OperatorKey(new Secret(OPERATOR_KEY)));
    const operator = present(one, OPERATOR_KEY);
    expect(operator).toMatchObject({ kind: "key", id: "operator", tenant: "default", grants: OPEN_PRINCIPAL.grants });
    const { key, secret } = await one.desk.create(operator, creation({ tenant: "acme", roles: ["admin"] }));
    expect(present(one, secret)).toMatchObject({ tenant: "acme" });
    expect(one.desk.list(operator, listing({ tenant: "acme" })).keys).toEqual([key]);
    await one.desk.revoke(operator, revocation(key.keyId, "acme"));
    expect(() => present(one, secret)).toThrow(invalid);
  });

  test("is worth nothing once it is exchanged", async () => {
    const operatorKey = new OperatorKey(new Secret(OPERATOR_KEY));
    const one = await coordinator(operatorKey);
    const heard = vi.fn();
    one.authenticator.onRevoked?.(heard);
    operatorKey.exchange(new Secret(OPERATOR_KEY));
    expect(heard).not.toHaveBeenCalled();
    const next = `mk_operator_${"1".repeat(32)}`;
    operatorKey.exchange(new Secret(next));
    expect(heard).toHaveBeenCalledOnce();
    expect(() => present(one, OPERATOR_KEY)).toThrow(invalid);
    expect(present(one, next)).toMatchObject({ id: "operator" });
  });

  test("must be one that nobody guesses", () => {
    for (const weak of [
      "",
      "secret",
      "mk_operator_",
      `mk_operator_${"0".repeat(31)}`,
      `mk_operator_${"0".repeat(40)} `,
    ]) {
      expect(() => new OperatorKey(new Secret(weak)), weak).toThrow(RangeError);
    }
  });
});

describe("the last use", () => {
  const lastUseOf = ({ store }: Coordinator, keyId: string): number | undefined => {
    const time = store.get(keyId)?.key.lastUseTime;
    return time === undefined ? undefined : Number(time.seconds);
  };

  test("is noted without a call having to wait, and once a minute however often the key is used", async () => {
    const [one, other] = [await coordinator(), await coordinator()];
    const changes = vi.spyOn(one.store, "change");
    const { key, secret } = await one.desk.create(ADMIN, creation());
    const firstMs = clock.now();
    for (let i = 0; i < 100; i += 1) present(one, secret);
    const seconds = Math.floor(firstMs / 1_000);
    await onceItWorks(() => expect(lastUseOf(other, key.keyId)).toBe(seconds));
    clock.advance(MINUTE_MS - 1);
    present(one, secret);
    expect(changes).toHaveBeenCalledTimes(1);
    clock.advance(1);
    present(one, secret);
    await onceItWorks(() => expect(lastUseOf(other, key.keyId)).toBe(seconds + 60));
    // The other one has heard of it.
    const others = vi.spyOn(other.store, "change");
    present(other, secret);
    expect(others).not.toHaveBeenCalled();
  });

  test("does not bring back a key that is revoked meanwhile", async () => {
    const [one, other] = [await coordinator(), await coordinator()];
    const { key, secret } = await one.desk.create(ADMIN, creation());
    await onceItWorks(() => present(other, secret));
    const revoking = one.desk.revoke(ADMIN, revocation(key.keyId));
    clock.advance(MINUTE_MS);
    for (const each of [one, other]) each.lastUse.used({ key, secretSha256: new Uint8Array(32) });
    await revoking;
    for (const each of [one, other]) await each.lastUse[Symbol.asyncDispose]();
    for (const each of [one, other]) {
      await onceItWorks(() => expect(each.store.get(key.keyId)?.key.revokeTime).toBeDefined());
      expect(() => present(each, secret)).toThrow(invalid);
    }
  });

  test("that can't be noted harms no call", async () => {
    const one = await coordinator();
    const { secret } = await one.desk.create(ADMIN, creation());
    const changes = vi.spyOn(one.store, "change").mockRejectedValue(new Error("no broker"));
    for (let i = 0; i < 3; i += 1) present(one, secret);
    await one.lastUse[Symbol.asyncDispose]();
    expect(changes).toHaveBeenCalledTimes(1);
  });
});

test("keys survive the broker's restart, and what was revoked stays so", async () => {
  const one = await coordinator();
  const [kept, gone] = [await one.desk.create(ADMIN, creation()), await one.desk.create(ADMIN, creation())];
  await one.desk.revoke(ADMIN, revocation(gone.key.keyId));
  await broker.nats.kill();
  // Known without asking.
  present(one, kept.secret);
  await broker.nats.restart();
  const other = await coordinator();
  for (const each of [one, other]) {
    present(each, kept.secret);
    expect(() => present(each, gone.secret)).toThrow(invalid);
  }
});

test("a coordinator that was cut off from the broker hears of what was revoked meanwhile as soon as it is back", async () => {
  await using proxy = await openTcpProxy({ targetPort: Number(new URL(broker.nats.url).port) });
  const [one, cut] = [await coordinator(), await coordinator(undefined, `nats://127.0.0.1:${proxy.port}`)];
  const { key, secret } = await one.desk.create(ADMIN, creation());
  await onceItWorks(() => present(cut, secret));
  await proxy.cut();
  await one.desk.revoke(ADMIN, revocation(key.keyId));
  const young = await one.desk.create(ADMIN, creation());
  const heard = Promise.withResolvers<void>();
  cut.authenticator.onRevoked?.(heard.resolve);
  await proxy.heal();
  await heard.promise;
  expect(() => present(cut, secret)).toThrow(invalid);
  await onceItWorks(() => present(cut, young.secret));
});
