// Stream tokens over a real broker, with several coordinators: what they show, what they don't, and when they end.
import { base64url, decodeJwt, decodeProtectedHeader, SignJWT, UnsecuredJWT } from "jose";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { covers, type ScopedTask, taskScopeOf } from "../../../lib/core/access/task-scope.ts";
import type { Grant, Principal } from "../../../lib/core/access/principal.ts";
import { silentLogger } from "../../../lib/core/logger.ts";
import { taskNotFound } from "../../../lib/core/mesh-error.ts";
import type { KeyStore } from "../../../lib/nats/key-store.ts";
import type { Authenticator } from "../../../services/coordinator/access/authenticator.ts";
import { OPEN_PRINCIPAL } from "../../../services/coordinator/access/principal-values.ts";
import { StreamSecrets } from "../../../services/coordinator/access/stream-token/stream-secrets.ts";
import { createStreamTokenAuthenticator } from "../../../services/coordinator/access/stream-token/stream-token-authenticator.ts";
import { StreamTokenDesk } from "../../../services/coordinator/access/stream-token/stream-token-desk.ts";
import { grantOf } from "../../support/fake-policy.ts";
import { type HandClock, handClock } from "../../support/hand-clock.ts";
import { onceItWorks } from "../../support/soon.ts";
import { type KeyBroker, openKeyBroker } from "../../support/test-keys.ts";

const MINUTE_MS = 60_000;
const HOUR_MS = 3_600_000;
const DAY_MS = 86_400_000;
/** A whole day, so that tests know how far the next one is. */
const START_MS: number = 20_000 * DAY_MS + 12 * HOUR_MS;

const TASKS: readonly ScopedTask[] = [
  { taskId: "mine", type: "echo", labels: { team: "a", run: "7" } },
  { taskId: "other", type: "code-analysis", labels: { team: "b", run: "7" } },
  { taskId: "lonely", type: "echo", labels: {} },
];

const invalid = expect.objectContaining({ reason: "CREDENTIAL_INVALID", message: "the credential is not valid" });
const notAllowed = expect.objectContaining({ reason: "ACTION_NOT_ALLOWED" });

const grant = (change: Partial<Grant> = {}): Grant => ({ ...grantOf("admin"), ...change });
const ADA: Principal = { kind: "token", id: "ada", tenant: "acme", grants: [grant()], expiresMs: Infinity };

interface Coordinator {
  readonly store: KeyStore;
  readonly secrets: StreamSecrets;
  readonly desk: StreamTokenDesk;
  readonly authenticator: Authenticator;
}

let clock: HandClock;
let broker: KeyBroker;
let stack: AsyncDisposableStack;
beforeEach(async () => {
  clock = handClock(START_MS);
  stack = new AsyncDisposableStack();
  broker = stack.use(await openKeyBroker());
});
afterEach(() => stack.disposeAsync());

async function coordinator(): Promise<Coordinator> {
  const keys = await broker.store();
  const secrets = stack.use(await StreamSecrets.open({ keys, clock, logger: silentLogger, lookMs: 10 }));
  const read = async (tenant: string, taskId: string): Promise<ScopedTask> => {
    const found = tenant === "acme" ? TASKS.find((task) => task.taskId === taskId) : undefined;
    if (found === undefined) throw taskNotFound(taskId);
    return found;
  };
  return {
    store: keys,
    secrets,
    desk: new StreamTokenDesk({ secrets, read, clock }),
    authenticator: createStreamTokenAuthenticator({ secrets, keys, clock }),
  };
}

async function present({ authenticator }: Coordinator, token: string): Promise<Principal> {
  const found = await authenticator.authenticate({ authorization: `Bearer ${token}`, peer: { address: "" } });
  if (found === undefined) throw new Error("it was not taken for a stream token");
  return found;
}

/** The tasks that a principal may read. */
function shownTo(principal: Principal): string[] {
  const scope = taskScopeOf(principal, "task:read");
  return TASKS.filter((task) => covers(scope, task)).map(({ taskId }) => taskId);
}

const mine = { kind: "task", taskId: "mine" } as const;
const run7 = { kind: "group", label: "run", value: "7" } as const;

describe("a token", () => {
  test("shows its task and no other, on every coordinator", async () => {
    const [one, other] = [await coordinator(), await coordinator()];
    const { token, expiresMs } = await one.desk.issue(ADA, mine, 10 * MINUTE_MS);
    expect(expiresMs).toBe(START_MS + 10 * MINUTE_MS);
    for (const each of [one, other]) {
      const principal = await present(each, token);
      expect(principal).toMatchObject({ kind: "stream-token", tenant: "acme", taskId: "mine", expiresMs });
      expect(principal.id).toMatch(/^[A-Za-z0-9_-]{12}@token:ada$/);
      expect(principal.grants.map(({ actions }) => [...actions])).toEqual([["task:read"]]);
      expect(shownTo(principal)).toEqual(["mine"]);
    }
  });

  test("of a group shows the tasks that carry its label", async () => {
    const one = await coordinator();
    const { token } = await one.desk.issue(ADA, run7, MINUTE_MS);
    const principal = await present(one, token);
    expect(principal.taskId).toBeUndefined();
    expect(shownTo(principal)).toEqual(["mine", "other"]);
  });

  test("is verified once, and without asking anybody", async () => {
    const one = await coordinator();
    const { token } = await one.desk.issue(ADA, mine, MINUTE_MS);
    await broker.nats.kill();
    const first = await present(one, token);
    const again = one.authenticator.authenticate({ authorization: `Bearer ${token}`, peer: { address: "" } });
    // The same grants: what is worked out of them is remembered by them.
    expect(again).toBe(first);
  });

  test("ends with its time, with its issuer's own, and at the latest after a day", async () => {
    const one = await coordinator();
    const short = await one.desk.issue(ADA, mine, 1_000);
    await present(one, short.token);
    clock.advance(1_000);
    await expect(present(one, short.token)).rejects.toEqual(invalid);
    const leaving = { ...ADA, expiresMs: clock.now() + MINUTE_MS };
    expect((await one.desk.issue(leaving, mine, HOUR_MS)).expiresMs).toBe(leaving.expiresMs);
    expect((await one.desk.issue(ADA, mine, 30 * DAY_MS)).expiresMs).toBe(clock.now() + DAY_MS);
  });

  test("is not issued for a task that its issuer does not see", async () => {
    const one = await coordinator();
    const none = (taskId: string) =>
      expect.objectContaining({ reason: "TASK_NOT_FOUND", message: `no task "${taskId}"` });
    const foreign = { ...ADA, tenant: "evil" };
    await expect(one.desk.issue(foreign, mine, MINUTE_MS)).rejects.toEqual(none("mine"));
    const echoes = { ...ADA, grants: [grant({ taskTypes: ["echo"] })] };
    await one.desk.issue(echoes, mine, MINUTE_MS);
    await expect(one.desk.issue(echoes, { kind: "task", taskId: "other" }, MINUTE_MS)).rejects.toEqual(none("other"));
    await expect(one.desk.issue(echoes, { kind: "task", taskId: "nothing" }, MINUTE_MS)).rejects.toEqual(
      none("nothing"),
    );
    // To share is not to read.
    const blind = { ...ADA, grants: [grant({ actions: new Set(["task:share"]) }), grant({ taskTypes: ["code-*"] })] };
    await expect(one.desk.issue(blind, mine, MINUTE_MS)).rejects.toEqual(none("mine"));
  });

  test.for<[string, readonly Grant[], readonly string[]]>([
    ["of some labels", [grant({ labels: { team: "a" } })], ["mine"]],
    ["of some types", [grant({ taskTypes: ["code-*"] })], ["other"]],
    ["of the group itself", [grant({ labels: { run: "7" } })], ["mine", "other"]],
    [
      "that reads less than it shares",
      [grant({ actions: new Set(["task:share"]) }), grant({ actions: new Set(["task:read"]), labels: { team: "b" } })],
      ["other"],
    ],
    [
      "that shares less than it reads",
      [grant({ actions: new Set(["task:read"]) }), grant({ actions: new Set(["task:share"]), labels: { team: "b" } })],
      ["other"],
    ],
  ])("of a group shows no more than its issuer may read and share: one %s", async ([, grants, shown]) => {
    const one = await coordinator();
    const { token } = await one.desk.issue({ ...ADA, grants }, run7, MINUTE_MS);
    expect(shownTo(await present(one, token))).toEqual(shown);
  });

  test.for<[string, readonly Grant[]]>([
    ["of another group", [grant({ labels: { run: "8" } })]],
    [
      "that reads and shares by different grants, of which neither is about everything",
      [
        grant({ actions: new Set(["task:share"]), taskTypes: ["echo"] }),
        grant({ actions: new Set(["task:read"]), labels: { team: "b" } }),
      ],
    ],
  ])("of a group is not issued to one %s", async ([, grants]) => {
    const one = await coordinator();
    await expect(one.desk.issue({ ...ADA, grants }, run7, MINUTE_MS)).rejects.toEqual(notAllowed);
  });

  test("of a label that objects have by themselves shows what carries it, and not everything", async () => {
    const one = await coordinator();
    for (const label of ["__proto__", "constructor", "toString", "hasOwnProperty"]) {
      const { token } = await one.desk.issue(ADA, { kind: "group", label, value: "x" }, MINUTE_MS);
      const principal = await present(one, token);
      expect(shownTo(principal), label).toEqual([]);
      const labels = Object.fromEntries([[label, "x"]]);
      expect(covers(taskScopeOf(principal, "task:read"), { taskId: "t", type: "x", labels }), label).toBe(true);
    }
  });

  test("is not issued if it would not fit into a header", async () => {
    const one = await coordinator();
    const grants = Array.from({ length: 100 }, (_, i) => grant({ labels: { team: `${i}`.padStart(100) } }));
    await expect(one.desk.issue({ ...ADA, grants }, run7, MINUTE_MS)).rejects.toMatchObject({
      reason: "INVALID_REQUEST",
    });
  });
});

describe("whoever has it issued", () => {
  const keyOf = async ({ store }: Coordinator, keyId: string): Promise<Principal> => {
    const key = { $typeName: "mycel.v1.ApiKey", keyId, prefix: "", tenant: "acme", roles: [] } as const;
    const rest = { description: "", creator: "", revoker: "" };
    await store.add({ key: { ...key, ...rest, roles: [] }, secretSha256: new Uint8Array(32) });
    return { ...ADA, kind: "key", id: keyId };
  };
  const revoke = async ({ store }: Coordinator, keyId: string): Promise<unknown> =>
    await store.change(keyId, (key) => ({
      ...key,
      revokeTime: { $typeName: "google.protobuf.Timestamp", seconds: 1n, nanos: 0 },
    }));

  test("takes it along when its key is revoked, on every coordinator", async () => {
    const [one, other] = [await coordinator(), await coordinator()];
    const { token } = await one.desk.issue(await keyOf(one, "0123456789abcdef"), mine, HOUR_MS);
    await onceItWorks(() => present(other, token));
    const heard = Promise.withResolvers<void>();
    other.authenticator.onRevoked?.(heard.resolve);
    await revoke(one, "0123456789abcdef");
    await heard.promise;
    for (const each of [one, other]) await expect(present(each, token)).rejects.toEqual(invalid);
  });

  test("leaves it be if it was the operator", async () => {
    const one = await coordinator();
    const { token } = await one.desk.issue({ ...ADA, kind: "key", id: "operator" }, mine, HOUR_MS);
    expect(shownTo(await present(one, token))).toEqual(["mine"]);
  });

  test("must have shown who it is, once everybody has to", async () => {
    const one = await coordinator();
    const { token } = await one.desk.issue({ ...OPEN_PRINCIPAL, tenant: "acme" }, mine, HOUR_MS);
    await expect(present(one, token)).rejects.toEqual(invalid);
  });
});

describe("the secrets", () => {
  test("are made ahead, and tokens outlive the day on which they were issued", async () => {
    const one = await coordinator();
    const { token } = await one.desk.issue(ADA, mine, DAY_MS);
    expect(one.store.secretDays).toEqual([20_000]);
    clock.advance(11.5 * HOUR_MS);
    await onceItWorks(() => expect(one.store.secretDays.toSorted((a, b) => a - b)).toEqual([20_000, 20_001]));
    const before = await one.secrets.current();
    clock.advance(HOUR_MS);
    expect((await one.secrets.current()).day).toBe(before.day + 1);
    await present(one, token);
    const young = (await one.desk.issue(ADA, mine, DAY_MS)).token;
    expect(decodeProtectedHeader(young.slice("mst_".length)).kid).toBe("20001");
    await present(await coordinator(), young);
  });

  test("are forgotten when nothing that they have signed can be valid", async () => {
    const one = await coordinator();
    clock.advance(DAY_MS);
    await onceItWorks(() => expect(one.store.secretDays.toSorted((a, b) => a - b)).toEqual([20_000, 20_001]));
    clock.advance(DAY_MS);
    await onceItWorks(() => expect(one.store.secretDays.toSorted((a, b) => a - b)).toEqual([20_001, 20_002]));
  });

  test("that an operator deletes take along all tokens at once, and are made anew", async () => {
    const [one, other] = [await coordinator(), await coordinator()];
    const { token } = await one.desk.issue(ADA, mine, HOUR_MS);
    await present(other, token);
    const heard = Promise.withResolvers<void>();
    other.authenticator.onRevoked?.(heard.resolve);
    await one.store.removeSecret(20_000);
    await heard.promise;
    for (const each of [one, other]) await expect(present(each, token)).rejects.toEqual(invalid);
    const next = (await one.desk.issue(ADA, mine, HOUR_MS)).token;
    await onceItWorks(() => present(other, next));
    for (const each of [one, other]) await expect(present(each, token)).rejects.toEqual(invalid);
  });

  test("are the same for all coordinators, whoever made them", async () => {
    const all = await Promise.all([coordinator(), coordinator(), coordinator(), coordinator()]);
    const tokens = await Promise.all(all.map(async ({ desk }) => (await desk.issue(ADA, mine, HOUR_MS)).token));
    for (const each of all) for (const token of tokens) await present(each, token);
  });
});

describe("a forgery", () => {
  test("is not accepted, whatever is wrong with it", async () => {
    const one = await coordinator();
    const { token } = await one.desk.issue(ADA, mine, HOUR_MS);
    const jwt = token.slice("mst_".length);
    const [head = "", body = "", signature = ""] = jwt.split(".");
    const claims = decodeJwt(jwt);
    const header = { alg: "HS256", typ: "mycel-stream+jwt", kid: "20000" };
    const { secret } = await one.secrets.current();
    const signed = async (said: object, head: object = {}, by: Uint8Array = secret): Promise<string> =>
      await new SignJWT({ ...claims, ...said }).setProtectedHeader({ ...header, ...head }).sign(by);
    const changed = base64url.encode(JSON.stringify({ ...claims, task: "other" }));
    const forgeries: Record<string, string> = {
      "for another task": `${head}.${changed}.${signature}`,
      "signed by nobody": new UnsecuredJWT(claims).encode(),
      "without a signature": `${head}.${body}.`,
      "with another secret": await signed({}, {}, new Uint8Array(32)),
      "with another algorithm": await signed({}, { alg: "HS512" }, new Uint8Array([...secret, ...secret])),
      "of another kind": await signed({}, { typ: "at+jwt" }),
      "of no kind": await signed({}, { typ: undefined }),
      "of another day": await signed({}, { kid: "20001" }),
      "of a day long past": await signed({}, { kid: "0" }),
      "of a day that is a path": await signed({}, { kid: "../api.0123456789abcdef" }),
      "of no day": await signed({}, { kid: undefined }),
      "without an end": await signed({ exp: undefined }),
      "that is over": await signed({ exp: START_MS / 1_000 }),
      "of another issuer": await signed({ iss: "evil" }),
      "for another audience": await signed({ aud: "mycel" }),
      "with more than it may say": await signed({ actions: ["task:cancel"] }),
      "about everything": await signed({ task: undefined }),
      "with rules that are none": await signed({ rules: "all" }),
      "of one part": head,
      "of nothing": ".",
    };
    for (const [name, forged] of Object.entries(forgeries)) {
      await expect(present(one, `mst_${forged}`), name).rejects.toEqual(invalid);
    }
    await expect(present(one, `mst_${"x".repeat(5_000)}`)).rejects.toEqual(invalid);
    // The same made rightly is accepted: what is refused above is refused for what its name says.
    expect(shownTo(await present(one, `mst_${await signed({})}`))).toEqual(["mine"]);
  });
});
