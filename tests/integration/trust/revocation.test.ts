// A credential that is taken back: whoever holds it is off the bus within seconds and does not come back, in a cluster, after restarts, and
// however many coordinators revoke at once.
import { Kvm } from "@nats-io/kv";
import { jwtAuthenticator, type NatsConnection } from "@nats-io/nats-core";
import { connect } from "@nats-io/transport-node";
import { describe, expect, test, vi } from "vitest";
import { openNats } from "../../../lib/nats/connection.ts";
import { ensureTopology } from "../../../lib/nats/topology.ts";
import { agentsAccountClaims } from "../../../lib/nats/trust/accounts.ts";
import { type BusTrust, openBusTrust } from "../../../lib/nats/trust/bus-trust.ts";
import { signClaims } from "../../../lib/nats/trust/claims.ts";
import { ClaimsDesk } from "../../../lib/nats/trust/claims-desk.ts";
import { SigningKey } from "../../../lib/nats/trust/signing-key.ts";
import { type CoordinatorTrust, readCoordinatorTrust } from "../../../lib/nats/trust/trust-folder.ts";
import { TrustRecords } from "../../../lib/nats/trust/trust-record.ts";
import { TRUST_BUCKET } from "../../../lib/wire/subjects.ts";
import { openNatsCluster } from "../../support/nats-cluster.ts";
import { openTestNats } from "../../support/nats.ts";
import { testTrust } from "../../support/trust.ts";

const SOON = { timeout: 30_000, interval: 20 };

/** A coordinator's trust on its own connection. */
async function openCoordinator(servers: string, replicas = 1, aheadMs = 0, own?: CoordinatorTrust) {
  const trust = own ?? (await readCoordinatorTrust((await testTrust()).coordinatorDir));
  const { credentialsFile } = trust;
  const connection = await openNats({ servers, credentialsFile, name: "coordinator", connectTimeoutMs: 30_000 });
  await ensureTopology(connection, { replicas, retentionMs: 600_000, maxBytes: -1, agentTtlMs: 60_000 });
  const troubles: unknown[] = [];
  const bus = openBusTrust({
    trust,
    connection,
    servers,
    clock: { now: () => Date.now() + aheadMs },
    onTrouble: (error) => troubles.push(error),
  });
  return {
    bus,
    trust,
    connection,
    troubles,
    [Symbol.asyncDispose]: async () => {
      await bus[Symbol.asyncDispose]();
      await connection.close();
    },
  };
}

interface Agent extends AsyncDisposable {
  readonly publicKey: string;
  readonly connection: NatsConnection;
  /** Resolves when the broker has closed its connection. */
  readonly off: Promise<unknown>;
  /** Connects once more with what it has. */
  again(url: string): Promise<NatsConnection>;
}

async function openAgent(bus: BusTrust, url: string, key = SigningKey.create("U")): Promise<Agent> {
  const { publicKey } = key;
  const expiresMs = Date.now() + 600_000;
  const jwt = bus.issueAgentCredential({ tenant: "acme", agentId: "worker", publicKey, lanes: [], expiresMs });
  const authenticator = jwtAuthenticator(jwt, new TextEncoder().encode(key.seed));
  const again = async (servers: string): Promise<NatsConnection> =>
    await connect({ servers, authenticator, reconnect: false, timeout: 10_000 });
  const connection = await again(url);
  return { publicKey, connection, off: connection.closed(), again, [Symbol.asyncDispose]: () => connection.close() };
}

describe("on one server", () => {
  test("a revoked agent is cut off and stays out over a restart; others, and what it gets later, are good", async () => {
    const trust = await testTrust();
    await using nats = await openTestNats({ trust });
    await using coordinator = await openCoordinator(nats.url);
    const key = SigningKey.create("U");
    await using agent = await openAgent(coordinator.bus, nats.url, key);
    await using bystander = await openAgent(coordinator.bus, nats.url);
    await coordinator.bus.revoke([agent]);
    expect(String(await agent.off)).toMatch(/Revoked/);
    await bystander.connection.flush();
    await expect(agent.again(nats.url)).rejects.toThrow(/Authorization/);
    await nats.restart();
    await expect(agent.again(nats.url)).rejects.toThrow(/Authorization/);
    await (await bystander.again(nats.url)).close();
    // A credential counts by the second of its issue.
    await expect
      .poll(async () => {
        await using restored = await openAgent(coordinator.bus, nats.url, key);
        return restored.publicKey;
      }, SOON)
      .toBe(key.publicKey);
  });

  test("hundreds of keys of an agent end by one change and one push, the one in use among them", async () => {
    const trust = await testTrust();
    await using nats = await openTestNats({ trust });
    await using coordinator = await openCoordinator(nats.url);
    await using agent = await openAgent(coordinator.bus, nats.url);
    const others = Array.from({ length: 511 }, (_, i) => ({ publicKey: `U${String(i).padStart(55, "A")}` }));
    // The first revocation comes after the first look after the servers' idea of the account, which may make a change of its own.
    await coordinator.bus.revoke(others.slice(0, 1));
    const bucket = await new Kvm(coordinator.connection).open(TRUST_BUCKET);
    const changes = async (): Promise<number> => (await bucket.status()).streamInfo.state.last_seq;
    const before = await changes();
    using pushes = vi.spyOn(ClaimsDesk.prototype, "push");

    await coordinator.bus.revoke([...others, agent]);

    expect(String(await agent.off)).toMatch(/Revoked/);
    expect(await changes()).toBe(before + 1);
    // One more if the regular look comes in between.
    expect(pushes.mock.calls.length).toBeLessThanOrEqual(2);
    const { revoked } = await new TrustRecords(coordinator.connection).read();
    expect(Object.keys(revoked)).toHaveLength(512);
  });

  test("a credential from a coordinator whose clock is ahead ends, too", async () => {
    const trust = await testTrust();
    await using nats = await openTestNats({ trust });
    await using behind = await openCoordinator(nats.url);
    await using ahead = await openCoordinator(nats.url, 1, 20_000);
    await using agent = await openAgent(ahead.bus, nats.url);
    await behind.bus.revoke([{ publicKey: agent.publicKey, issuedMs: Date.now() + 20_000 }]);
    expect(String(await agent.off)).toMatch(/Revoked/);
    await expect(agent.again(nats.url)).rejects.toThrow(/Authorization/);
  });

  test("all agents can be sent away at once", async () => {
    const trust = await testTrust();
    await using nats = await openTestNats({ trust });
    await using coordinator = await openCoordinator(nats.url);
    await using one = await openAgent(coordinator.bus, nats.url);
    await using two = await openAgent(coordinator.bus, nats.url);
    await coordinator.bus.revokeAll();
    await Promise.all([one.off, two.off]);
    await coordinator.connection.flush();
  });

  test("none of many revocations at the same moment by several coordinators is lost", async () => {
    const trust = await testTrust();
    await using nats = await openTestNats({ trust });
    await using stack = new AsyncDisposableStack();
    // One whose clock is ahead makes JWTs that look newer than the others'.
    const coordinators = await Promise.all(
      [0, 5_000, -5_000].map(async (aheadMs) => stack.use(await openCoordinator(nats.url, 1, aheadMs))),
    );
    const keys = Array.from({ length: 24 }, () => SigningKey.create("U"));
    const agents = await Promise.all(keys.map((key) => openAgent(coordinators[2]!.bus, nats.url, key)));
    for (const agent of agents) stack.use(agent);
    await Promise.all(agents.map((agent, i) => coordinators[i % 3]!.bus.revoke([agent])));
    await Promise.all(agents.map(({ off }) => off));
    for (const agent of agents) await expect(agent.again(nats.url)).rejects.toThrow(/Authorization/);
  });

  test("a new signing key of coordinators counts as soon as one starts with it, and the old one no more", async () => {
    const trust = await testTrust();
    await using nats = await openTestNats({ trust });
    const old = await openCoordinator(nats.url);
    await using agent = await openAgent(old.bus, nats.url);
    await old[Symbol.asyncDispose]();
    const next = { ...old.trust, agentsSigning: SigningKey.create("A") };
    await using renewed = await openCoordinator(nats.url, 1, 0, next);
    await agent.off;
    await expect(agent.again(nats.url)).rejects.toThrow(/Authorization/);
    await using _newcomer = await openAgent(renewed.bus, nats.url);
  });

  test("an account's JWT from before, pushed by whoever was slow, is replaced", async () => {
    const trust = await testTrust();
    await using nats = await openTestNats({ trust });
    await using coordinator = await openCoordinator(nats.url);
    await using agent = await openAgent(coordinator.bus, nats.url);
    await coordinator.bus.revoke([agent]);
    await agent.off;
    const { ids, agentsSigning, operatorSigning, systemFile } = coordinator.trust;
    const state = {
      signingKeys: [agentsSigning.publicKey],
      revoked: {},
      issuedAtS: Math.floor(Date.now() / 1_000) - 60,
    };
    await using desk = new ClaimsDesk({ servers: nats.url, credentialsFile: systemFile });
    await desk.push(signClaims(agentsAccountClaims(ids, state), operatorSigning));
    await (await agent.again(nats.url)).close();
    await expect
      .poll(() => agent.again(nats.url).then((opened) => opened.close(), String), SOON)
      .toMatch(/Authorization/);
  });
});

test(
  "of a cluster's servers none lets a revoked agent in, nor one that was down meanwhile",
  { timeout: 120_000 },
  async () => {
    const trust = await testTrust();
    await using cluster = await openNatsCluster({ settings: { trust } });
    await using coordinator = await openCoordinator(cluster.url, 3);
    await using stack = new AsyncDisposableStack();
    const agents = await Promise.all(
      cluster.nodes.map(async ({ url }) => stack.use(await openAgent(coordinator.bus, url))),
    );
    const down = cluster.nodes[2]!;
    await Promise.all(agents.slice(0, 2).map((agent) => coordinator.bus.revoke([agent])));
    await Promise.all(agents.slice(0, 2).map(({ off }) => off));

    await down.stop();
    await coordinator.bus.revoke([agents[2]!]);
    await down.restart();
    for (const { url } of cluster.nodes) {
      for (const agent of agents) {
        const tried = (): Promise<unknown> => agent.again(url).then((opened) => opened.close(), String);
        await expect.poll(tried, SOON).toMatch(/Authorization/);
      }
    }
  },
);

test("what a revocation is kept for is forgotten when all that it revokes has ended", async () => {
  await using nats = await openTestNats();
  const connection = await openNats({ servers: nats.url, name: "test" });
  await ensureTopology(connection, { replicas: 1, retentionMs: 600_000, maxBytes: -1, agentTtlMs: 60_000 });
  const records = new TrustRecords(connection);
  const [old, fresh] = [
    { untilS: 10, endS: 910 },
    { untilS: 1_000, endS: 1_900 },
  ];
  const first = await records.change(1_000_000, () => ({ OLD: old, NEW: fresh }));
  expect(first).toEqual({ issuedAtS: 1_000, revoked: { OLD: old, NEW: fresh } });
  expect(await records.read()).toEqual(first);
  // Faster than the clock: each is newer than the one before.
  expect((await records.change(1_000_000, (revoked) => revoked)).issuedAtS).toBe(1_001);
  expect((await records.read()).issuedAtS).toBe(1_001);
  // What was written before ends were: it is kept for as long as a credential may live.
  const bucket = await new Kvm(connection).open(TRUST_BUCKET);
  await bucket.put("agents", JSON.stringify({ issuedAtS: 2_000, revoked: { OLD: 10 } }));
  expect((await records.read()).revoked).toEqual({ OLD: { untilS: 10, endS: 86_410 } });
  await connection.close();
});
