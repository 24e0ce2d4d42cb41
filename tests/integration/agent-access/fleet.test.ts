// Whose agents are whose, and who is let in: what a coordinator's fleet says to those who come.

import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { Kvm } from "@nats-io/kv";
import { createUser } from "@nats-io/nkeys";
import { expect, test } from "vitest";
import { IssuedCredentialsSchema } from "../../../gen/mycel/v1/agent_log_pb.ts";
import { AgentState } from "../../../gen/mycel/v1/agent_pb.ts";
import { HeartbeatRequestSchema } from "../../../gen/mycel/v1/agent_protocol_pb.ts";
import { type RegisterAgentRequest, RegisterAgentRequestSchema } from "../../../gen/mycel/v1/agent_service_pb.ts";
import type { Action } from "../../../lib/core/access/action.ts";
import type { Principal } from "../../../lib/core/access/principal.ts";
import { MeshError } from "../../../lib/core/mesh-error.ts";
import { CREDENTIALS_BUCKET } from "../../../lib/wire/subjects.ts";
import { msFromTimestamp, timestampFromMs } from "../../../lib/wire/time-codec.ts";
import type { Fleet } from "../../../services/coordinator/agents/fleet.ts";
import { agentNamed, openFleet, RecordingTrust } from "../../support/agent-fleet.ts";
import { TENANT } from "../../support/mesh-log.ts";

const STAYS = new AbortController().signal;
const KEY = createUser().getPublicKey();
const OTHER_KEY = createUser().getPublicKey();

test("an agent's id is its principal's while it is registered, and anybody's afterwards", async () => {
  await using mesh = await openFleet();
  const other = await mesh.openOther();
  const [alice, mallory] = [keyOf("alice"), keyOf("mallory")];
  await mesh.fleet.register(alice, request({ agentId: "a" }), STAYS);

  await expect(mesh.fleet.register(mallory, request({ agentId: "a" }), STAYS)).rejects.toMatchObject({
    reason: "AGENT_ID_TAKEN",
  });
  await expect(other.fleet.register(mallory, request({ agentId: "a" }), STAYS)).rejects.toMatchObject({
    reason: "AGENT_ID_TAKEN",
  });
  await mesh.fleet.register(alice, request({ agentId: "a", concurrency: 7 }), STAYS);
  expect(mesh.fleet.get(TENANT, "a")).toMatchObject({ concurrency: 7, principal: "key:alice" });

  await mesh.fleet.deregister(alice, "a");
  const { agent } = await other.fleet.register(mallory, request({ agentId: "a" }), STAYS);
  expect(agent.principal).toBe("key:mallory");
});

test("of two principals that register an id at once, by coordinators that know nothing of each other, one gets it", async () => {
  await using mesh = await openFleet();
  const deaf = await Promise.all([mesh.openDeaf(), mesh.openDeaf()]);
  const outcomes = await Promise.allSettled(
    deaf.map((fleet, i) => fleet.register(keyOf(`p${i}`), request({ agentId: "a" }), STAYS)),
  );
  expect(outcomes.map(({ status }) => status).sort()).toEqual(["fulfilled", "rejected"]);
  const refused = outcomes.find((outcome) => outcome.status === "rejected");
  expect(refused?.reason).toMatchObject({ reason: "AGENT_ID_TAKEN" });
});

test("nobody else deregisters an agent, except who may revoke it", async () => {
  await using mesh = await openFleet();
  await mesh.fleet.register(keyOf("alice"), request({ agentId: "a" }), STAYS);

  await expect(mesh.fleet.deregister(keyOf("mallory"), "a")).rejects.toMatchObject({ reason: "AGENT_NOT_FOUND" });
  expect(await mesh.isRegistered("a")).toBe(true);
  await mesh.fleet.deregister(keyOf("root", ["agent:revoke"]), "a");
  expect(await mesh.isRegistered("a")).toBe(false);
});

test.for<[string, MessageInitShape<typeof RegisterAgentRequestSchema>]>([
  ["a type that its role does not name", { capabilities: [{ type: "echo" }, { type: "payroll" }] }],
  ["a queue that its role does not name", { capabilities: [{ type: "echo", queue: "payroll" }] }],
])("an agent may not serve %s", async ([, asked]) => {
  await using mesh = await openFleet();
  const narrow = keyOf("narrow", ["agent:register"], ["echo", "code-*"]);
  await expect(mesh.fleet.register(narrow, request({ agentId: "a", ...asked }), STAYS)).rejects.toMatchObject({
    reason: "ACTION_NOT_ALLOWED",
  });
  expect(await mesh.isRegistered("a")).toBe(false);
  const allowed = request({
    agentId: "a",
    capabilities: [{ type: "echo" }, { type: "code-review", queue: "code-slow" }],
  });
  await mesh.fleet.register(narrow, allowed, STAYS);
});

test("a role that asks for labels lets nobody serve a queue: what waits there has any labels", async () => {
  await using mesh = await openFleet();
  const labelled: Principal = {
    ...keyOf("labelled"),
    grants: [{ actions: new Set<Action>(["agent:register"]), taskTypes: ["*"], labels: { team: "a" } }],
  };
  await expect(mesh.fleet.register(labelled, request({}), STAYS)).rejects.toMatchObject({
    reason: "ACTION_NOT_ALLOWED",
  });
});

test("a credential is for the agent's own key and lanes, lives as long as said, and needs a key", async () => {
  const trust = new RecordingTrust();
  await using mesh = await openFleet(trust);
  const beforeMs = Date.now();
  const { session } = await mesh.fleet.register(keyOf("alice"), request({ agentId: "a", publicKey: KEY }), STAYS);

  expect(session.credential).toBe(`jwt of ${KEY}`);
  const expiresMs = Number(session.credentialExpireTime?.seconds) * 1_000;
  expect(expiresMs).toBeGreaterThan(beforeMs + 58_000);
  expect(expiresMs).toBeLessThanOrEqual(Date.now() + 60_000);
  expect(trust.issued).toMatchObject([{ tenant: TENANT, agentId: "a", publicKey: KEY, expiresMs }]);
  expect(trust.issued[0]?.lanes.map(({ consumer }) => consumer)).toEqual(
    [15, 10, 5, 1].map((p) => `default=echo=${p}`),
  );

  for (const publicKey of ["", "UAAA", `S${KEY.slice(1)}`]) {
    await expect(mesh.fleet.register(keyOf("alice"), request({ publicKey }), STAYS)).rejects.toMatchObject({
      reason: "INVALID_REQUEST",
      violations: [{ field: "public_key" }],
    });
  }
});

test("a revoked agent is shut out by every coordinator, with all keys that it ever got, until it is restored", async () => {
  const trust = new RecordingTrust();
  await using mesh = await openFleet(trust);
  const other = await mesh.openOther();
  const [alice, root] = [keyOf("alice"), keyOf("root", ["agent:revoke"])];
  await mesh.fleet.register(alice, request({ agentId: "a", publicKey: KEY }), STAYS);
  await mesh.fleet.register(alice, request({ agentId: "a", publicKey: OTHER_KEY }), STAYS);

  const shown = await other.fleet.revoke(root, "a", "it went mad");

  expect(shown).toMatchObject({ agentId: "a", state: AgentState.REVOKED, publicKey: OTHER_KEY });
  expect(shown.revocation).toMatchObject({ reason: "it went mad", principal: "key:root" });
  expect(new Set(trust.revoked)).toEqual(new Set([KEY, OTHER_KEY]));
  expect(await mesh.isRegistered("a")).toBe(false);
  await expect.poll(() => mesh.revocations.isShutOut(agentNamed("a"))).toBe(true);
  const beat = create(HeartbeatRequestSchema, { running: 1 });
  expect((await mesh.fleet.heartbeat(agentNamed("a"), beat)).registered).toBe(false);
  for (const { fleet } of [mesh, other]) {
    const again = fleet.register(alice, request({ agentId: "a", publicKey: KEY }), STAYS);
    await expect(again).rejects.toMatchObject({ reason: "AGENT_REVOKED" });
    expect(fleet.get(TENANT, "a").state).toBe(AgentState.REVOKED);
  }
  expect(await mesh.isRegistered("a")).toBe(false);

  await mesh.fleet.restore(TENANT, "a");
  await other.fleet.register(alice, request({ agentId: "a", publicKey: KEY }), STAYS);
  expect(await mesh.isRegistered("a")).toBe(true);
});

test("an agent that registers while it is revoked is shut out all the same", async () => {
  const trust = new RecordingTrust();
  await using mesh = await openFleet(trust);
  const other = await mesh.openOther();
  for (let round = 0; round < 10; round += 1) {
    const agentId = `a${round}`;
    const [registered] = await Promise.allSettled([
      mesh.fleet.register(keyOf("alice"), request({ agentId, publicKey: KEY }), STAYS),
      other.fleet.revoke(keyOf("root", ["agent:revoke"]), agentId, ""),
    ]);
    // Whoever was given a credential is among those whose key was revoked.
    if (registered.status === "fulfilled") expect(trust.revoked.splice(0)).toContain(KEY);
    else expect(registered.reason).toMatchObject({ reason: "AGENT_REVOKED" });
  }
});

test("an agent that is not there is revoked before it comes", async () => {
  await using mesh = await openFleet();
  expect((await mesh.fleet.revoke(keyOf("root"), "later", "")).agentId).toBe("later");
  await expect(mesh.fleet.register(keyOf("alice"), request({ agentId: "later" }), STAYS)).rejects.toMatchObject({
    reason: "AGENT_REVOKED",
  });
  expect(mesh.fleet.revoked(TENANT).map(({ agentId }) => agentId)).toEqual(["later"]);
  expect(mesh.fleet.revoked("another")).toEqual([]);
});

test("the agents of a principal that was revoked are shut out until somebody else who may registers them", async () => {
  const trust = new RecordingTrust();
  await using mesh = await openFleet(trust);
  const other = await mesh.openOther();
  await mesh.fleet.register(keyOf("alice"), request({ agentId: "a", publicKey: KEY }), STAYS);
  await other.fleet.register(keyOf("bob"), request({ agentId: "b", publicKey: OTHER_KEY }), STAYS);
  await expect.poll(() => knows(other.fleet, "a")).toBe(true);

  await other.fleet.revokePrincipal({ kind: "key", id: "alice", tenant: TENANT });

  expect(trust.revoked).toEqual([KEY]);
  expect(other.revocations.isShutOut(agentNamed("a"))).toBe(true);
  expect(other.revocations.isShutOut(agentNamed("b"))).toBe(false);
  expect(other.fleet.revoked(TENANT)).toEqual([]);
  await other.fleet.register(keyOf("bob"), request({ agentId: "a", publicKey: OTHER_KEY }), STAYS);
  expect(other.revocations.isShutOut(agentNamed("a"))).toBe(false);
  // Every coordinator hears of it, some of them late: what is another principal's by now is left alone.
  await other.fleet.revokePrincipal({ kind: "key", id: "alice", tenant: TENANT });
  expect(other.revocations.isShutOut(agentNamed("a"))).toBe(false);
  expect(other.fleet.get(TENANT, "a").principal).toBe("key:bob");
  expect(trust.revoked).toEqual([KEY]);
});

test("an agent has few keys, and all of them end at once", async () => {
  const trust = new RecordingTrust();
  await using mesh = await openFleet(trust);
  const keys = Array.from({ length: 16 }, () => createUser().getPublicKey());
  const beforeMs = Date.now();
  for (const publicKey of keys) await mesh.fleet.register(keyOf("alice"), request({ agentId: "a", publicKey }), STAYS);
  await expect(
    mesh.fleet.register(keyOf("alice"), request({ agentId: "a", publicKey: KEY }), STAYS),
  ).rejects.toMatchObject({ reason: "RATE_LIMITED" });
  // One that it has is renewed as ever.
  await mesh.fleet.register(keyOf("alice"), request({ agentId: "a", publicKey: keys[3]! }), STAYS);

  await mesh.fleet.revoke(keyOf("root"), "a", "");
  expect(trust.calls).toHaveLength(1);
  expect(new Set(trust.revoked)).toEqual(new Set(keys));
  for (const { issuedMs, expiresMs } of trust.calls[0]!) {
    expect(issuedMs).toBeGreaterThanOrEqual(beforeMs);
    expect(expiresMs).toBeGreaterThan(beforeMs + 58_000);
  }
  // What is revoked is not revoked once more.
  await mesh.fleet.revoke(keyOf("root"), "a", "");
  expect(trust.calls).toHaveLength(1);
  await mesh.fleet.restore(TENANT, "a");
  await mesh.fleet.register(keyOf("alice"), request({ agentId: "a", publicKey: keys[0]! }), STAYS);
  await mesh.fleet.revoke(keyOf("root"), "a", "");
  expect(trust.calls[1]?.map(({ publicKey }) => publicKey)).toEqual([keys[0]]);
});

test("nobody takes another's public key for its own: it could have that revoked", async () => {
  const trust = new RecordingTrust();
  await using mesh = await openFleet(trust);
  await mesh.fleet.register(keyOf("alice"), request({ agentId: "a", publicKey: KEY }), STAYS);
  for (const thief of [
    { ...keyOf("mallory"), tenant: "zeta" },
    { ...keyOf("alice"), tenant: "zeta" },
    keyOf("mallory"),
  ]) {
    const stolen = mesh.fleet.register(thief, request({ agentId: "thief", publicKey: KEY }), STAYS);
    await expect(stolen).rejects.toMatchObject({ reason: "INVALID_REQUEST", violations: [{ field: "public_key" }] });
  }
  expect(await mesh.isRegistered("thief")).toBe(false);
  expect(trust.issued).toHaveLength(1);
  // An agent without an id of its own that never heard the answer asks for another one.
  await mesh.fleet.register(keyOf("alice"), request({ publicKey: KEY }), STAYS);
  await mesh.fleet.register(keyOf("alice"), request({ agentId: "a", publicKey: KEY }), STAYS);
});

test("whoever takes over an agent's id ends what the one before got for it", async () => {
  const trust = new RecordingTrust();
  await using mesh = await openFleet(trust);
  await mesh.fleet.register(keyOf("alice"), request({ agentId: "a", publicKey: KEY }), STAYS);
  await mesh.fleet.register(keyOf("alice"), request({ agentId: "a", publicKey: OTHER_KEY }), STAYS);
  await mesh.fleet.deregister(keyOf("alice"), "a");
  expect(trust.revoked).toEqual([]);

  const publicKey = createUser().getPublicKey();
  await mesh.fleet.register(keyOf("bob"), request({ agentId: "a", publicKey }), STAYS);
  expect(trust.calls).toHaveLength(1);
  expect(new Set(trust.revoked)).toEqual(new Set([KEY, OTHER_KEY]));
  await mesh.fleet.register(keyOf("bob"), request({ agentId: "a", publicKey }), STAYS);
  expect(trust.calls).toHaveLength(1);
});

test("a tenant among others has no more keys than the broker can be told of", async () => {
  const trust = new RecordingTrust();
  await using mesh = await openFleet(trust);
  const bucket = await new Kvm(mesh.connection).open(CREDENTIALS_BUCKET);
  const expireTime = timestampFromMs(Date.now() + 60_000);
  const put = async (agent: string, count: number): Promise<void> => {
    const credentials = Array.from({ length: count }, (_, i) => ({ publicKey: `${agent} ${i}`, expireTime }));
    await bucket.put(agent, toBinary(IssuedCredentialsSchema, create(IssuedCredentialsSchema, { credentials })));
  };
  await mesh.fleet.register(keyOf("alice"), request({ agentId: "a", publicKey: KEY }), STAYS);
  await put(`${TENANT}.many`, 3_599);
  const another = (): Promise<unknown> =>
    mesh.fleet.register(keyOf("alice"), request({ agentId: "b", publicKey: OTHER_KEY }), STAYS);
  // As long as it is alone there is nobody to look after.
  await another();
  await mesh.fleet.deregister(keyOf("alice"), "b");
  await put("zeta.one", 1);
  const more = (): Promise<unknown> =>
    mesh.fleet.register(keyOf("alice"), request({ agentId: "c", publicKey: createUser().getPublicKey() }), STAYS).then(
      () => mesh.fleet.deregister(keyOf("alice"), "c"),
      (error: unknown) => (error instanceof MeshError ? error.reason : error),
    );
  await expect.poll(more).toBe("RATE_LIMITED");
  // What it has goes on.
  await mesh.fleet.register(keyOf("alice"), request({ agentId: "a", publicKey: KEY }), STAYS);
  const other = { ...keyOf("bob"), tenant: "zeta" };
  await mesh.fleet.register(other, request({ agentId: "d", publicKey: createUser().getPublicKey() }), STAYS);
});

test("a sign of life that says nothing new is not written again at once, however fast they come", async () => {
  const startMs = Date.now();
  let nowMs = startMs;
  await using mesh = await openFleet(undefined, () => nowMs);
  await mesh.fleet.register(keyOf("alice"), request({ agentId: "a" }), STAYS);
  const beat = async (afterMs: number, running: number, draining = false): Promise<number | undefined> => {
    nowMs = startMs + afterMs;
    const heartbeat = create(HeartbeatRequestSchema, { running, draining });
    expect((await mesh.fleet.heartbeat(agentNamed("a"), heartbeat)).registered).toBe(true);
    const writtenMs = msFromTimestamp(mesh.fleet.get(TENANT, "a").heartbeatTime);
    return writtenMs === undefined ? undefined : writtenMs - startMs;
  };
  expect(await beat(10, 1)).toBe(10);
  expect(await beat(20, 1)).toBe(10);
  expect(await beat(509, 1)).toBe(10);
  // Half an interval later it must be: else the registration would lapse.
  expect(await beat(510, 1)).toBe(510);
  expect(await beat(520, 2)).toBe(520);
  expect(await beat(530, 2, true)).toBe(530);
  expect(mesh.fleet.get(TENANT, "a")).toMatchObject({ running: 2, state: AgentState.DRAINING });
  expect((await mesh.fleet.heartbeat(agentNamed("nobody"), create(HeartbeatRequestSchema))).registered).toBe(false);
});

function request(fields: MessageInitShape<typeof RegisterAgentRequestSchema>): RegisterAgentRequest {
  return create(RegisterAgentRequestSchema, { name: "a", capabilities: [{ type: "echo" }], ...fields });
}

function keyOf(
  id: string,
  actions: readonly Action[] = ["agent:register"],
  taskTypes: readonly string[] = ["*"],
): Principal {
  return {
    kind: "key",
    id,
    tenant: TENANT,
    grants: [{ actions: new Set(actions), taskTypes, labels: {} }],
    expiresMs: Number.POSITIVE_INFINITY,
  };
}

function knows(fleet: Fleet, agentId: string): boolean {
  try {
    return fleet.get(TENANT, agentId).agentId === agentId;
  } catch {
    return false;
  }
}
