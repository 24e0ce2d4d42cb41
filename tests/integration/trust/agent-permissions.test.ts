// What an agent's credential is good for on a real server: everything that the stock agent does, and nothing else, whatever a raw client tries.
import type { JetStreamManager } from "@nats-io/jetstream";
import { headers, jwtAuthenticator, type Msg, type NatsConnection } from "@nats-io/nats-core";
import { connect } from "@nats-io/transport-node";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { AgentRequests } from "../../../lib/nats/agent-requests.ts";
import { openNats } from "../../../lib/nats/connection.ts";
import { ensureTopology } from "../../../lib/nats/topology.ts";
import { issueAgentCredential } from "../../../lib/nats/trust/agent-credential.ts";
import { SigningKey } from "../../../lib/nats/trust/signing-key.ts";
import { coordinatorCredentials, readCoordinatorTrust } from "../../../lib/nats/trust/trust-folder.ts";
import { inboxPrefix, laneConsumer, signalSubject } from "../../../lib/wire/subjects.ts";
import { openTestNats, type TestNats } from "../../support/nats.ts";
import { makeIn, type TestTrust, testTrust } from "../../support/trust.ts";

const [TENANT, AGENT, OTHER] = ["acme", "worker_1", "worker_2"];
const [LANE, OTHER_LANE] = [laneConsumer(TENANT, "echo", 5), laneConsumer(TENANT, "other", 5)];
const NEXT = "$JS.API.CONSUMER.MSG.NEXT.MYCEL_TASKS";
const PULL = JSON.stringify({ batch: 1, no_wait: true });

let nats: TestNats;
let trust: TestTrust;
let coordinator: NatsConnection;
let manager: JetStreamManager;
let agent: NatsConnection;
let requests: AgentRequests;
let refused: string[];
let asked: string[];

/** A raw connection of an agent, which is told of everything that the broker refuses. */
async function openAgent(agentId = AGENT, tenant = TENANT, lanes = [laneConsumer(tenant, "echo", 5)]) {
  const key = SigningKey.create("U");
  const { agentsSigning: signingKey, ids } = await readCoordinatorTrust(trust.coordinatorDir);
  const request = {
    tenant,
    agentId,
    publicKey: key.publicKey,
    lanes: lanes.map((consumer) => ({ stream: "MYCEL_TASKS", consumer })),
    expiresMs: Date.now() + 60_000,
  };
  const jwt = issueAgentCredential(request, { signingKey, account: ids.agents, nowMs: Date.now() });
  return await connect({
    servers: nats.url,
    name: `${tenant}.${agentId}`,
    reconnect: false,
    inboxPrefix: inboxPrefix(tenant, agentId),
    authenticator: jwtAuthenticator(jwt, new TextEncoder().encode(key.seed)),
  });
}

beforeAll(async () => {
  trust = await testTrust();
  nats = await openTestNats({ trust });
  const credentialsFile = coordinatorCredentials(trust.coordinatorDir);
  coordinator = await openNats({ servers: nats.url, name: "coordinator", credentialsFile });
  manager = await ensureTopology(coordinator, { replicas: 1, retentionMs: 600_000, maxBytes: -1, agentTtlMs: 60_000 });
  for (const [queue, durable] of [
    ["echo", LANE],
    ["other", OTHER_LANE],
  ] as const) {
    const filter = `task.${TENANT}.*.q.${queue}.5`;
    const config = { durable_name: durable, ack_policy: "explicit", filter_subject: filter } as const;
    await manager.consumers.add("MYCEL_TASKS", config);
  }
  asked = [];
  requests = new AgentRequests(coordinator, {
    report: async (from) => {
      asked.push(`report ${from.tenant} ${from.agentId}`);
      return { $typeName: "mycel.v1.ReportResponse", results: [] };
    },
    heartbeat: async (from) => {
      asked.push(`heartbeat ${from.tenant} ${from.agentId}`);
      return { $typeName: "mycel.v1.HeartbeatResponse", registered: true };
    },
    onGarbage: (why, subject) => asked.push(`garbage ${subject}: ${why}`),
    onError: (error) => asked.push(String(error)),
  });
  agent = await openAgent();
  void (async () => {
    for await (const status of agent.status()) if (status.type === "error") refused.push(status.error.message);
  })();
});
afterAll(async () => {
  await agent.close();
  await requests[Symbol.asyncDispose]();
  await coordinator.close();
  await nats[Symbol.asyncDispose]();
});
beforeEach(() => {
  refused = [];
  asked.length = 0;
});

/** How much every stream holds, and every lane has in hand, the agent's own one too or not: what only coordinators may change. */
async function stand(whose: "all" | "others" = "all"): Promise<unknown> {
  const streams: unknown[] = [];
  for await (const { config, state } of manager.streams.list()) {
    if (config.name === "MYCEL_OUTPUT") continue;
    const consumers = await manager.consumers.list(config.name).next();
    const lanes = consumers.filter(({ name }) => name.includes("=") && (whose === "all" || name !== LANE));
    const held = lanes.map((info) => [
      info.name,
      info.num_ack_pending,
      info.num_pending,
      info.num_waiting,
      info.paused,
    ]);
    streams.push([config, state.messages, state.last_seq, held]);
  }
  return streams;
}

/** Waits until the broker has handled everything that the agent sent, and what followed from it. */
async function settled(): Promise<void> {
  await agent.flush();
  await coordinator.flush();
  await agent.flush();
}

async function dispatch(taskId: string, queue: string): Promise<void> {
  await coordinator.request(`task.${TENANT}.${taskId}.q.${queue}.5`, "work");
}

/** Pulls one message as the stock agent does. */
async function pull(connection: NatsConnection, consumer: string): Promise<Msg> {
  const body = JSON.stringify({ batch: 1, expires: 5_000_000_000 });
  return await connection.request(`${NEXT}.${consumer}`, body, { timeout: 6_000, noMux: true });
}

describe("an agent may", () => {
  test("pull from its own lane, renew what it got, and is told what it is by the message's own subject", async () => {
    await dispatch("pulled", "echo");
    const delivery = await pull(agent, LANE);
    expect(delivery.subject).toBe(`task.${TENANT}.pulled.q.echo.5`);
    expect(delivery.reply).toMatch(`$JS.ACK.MYCEL_TASKS.${LANE}.1.`);
    const before = (await manager.consumers.info("MYCEL_TASKS", LANE)).ack_floor;
    agent.publish(delivery.reply!, "+WPI");
    await settled();
    expect(await manager.consumers.info("MYCEL_TASKS", LANE)).toMatchObject({ num_ack_pending: 1, ack_floor: before });
    coordinator.publish(delivery.reply!);
    await coordinator.flush();
    expect((await manager.consumers.info("MYCEL_TASKS", LANE)).num_ack_pending).toBe(0);
    expect(refused).toEqual([]);
  });

  test("stream outputs of a task under its own id, report, say that it lives, and hear its signals", async () => {
    expect((await agent.request(`out.${TENANT}.some-task.${AGENT}.1`, "chunk")).json()).toMatchObject({
      stream: "MYCEL_OUTPUT",
    });
    await agent.request(`mycel.agent.${TENANT}.${AGENT}.report`);
    await agent.request(`mycel.agent.${TENANT}.${AGENT}.heartbeat`);
    expect(asked).toEqual([`report ${TENANT} ${AGENT}`, `heartbeat ${TENANT} ${AGENT}`]);
    const signal = Promise.withResolvers<string>();
    agent.subscribe(signalSubject(TENANT, AGENT), { max: 1, callback: (_, msg) => signal.resolve(msg.string()) });
    await agent.flush();
    coordinator.publish(signalSubject(TENANT, AGENT), "stop");
    expect(await signal.promise).toBe("stop");
    expect(refused).toEqual([]);
  });

  test("be known by as many lanes as a registration may have", async () => {
    const many = Array.from({ length: 256 }, (_, i) => laneConsumer("t".repeat(64), `${"q".repeat(61)}${i}`, 15));
    const connection = await openAgent("a".repeat(64), "t".repeat(64), many);
    expect((await connection.request(`mycel.agent.${"t".repeat(64)}.${"a".repeat(64)}.heartbeat`)).data.length).toBe(2);
    await connection.close();
  });
});

/** Every request of JetStream's API that does or tells something, about streams, consumers and messages that are there. */
const API: readonly (readonly [subject: string, body: string])[] = [
  ["$JS.API.INFO", ""],
  ["$JS.API.ACCOUNT.PURGE.MYCEL", ""],
  ["$JS.API.STREAM.CREATE.STOLEN", JSON.stringify({ name: "STOLEN", subjects: ["stolen"] })],
  ["$JS.API.STREAM.CREATE.STOLEN", JSON.stringify({ name: "STOLEN", sources: [{ name: "MYCEL_TASKS" }] })],
  ["$JS.API.STREAM.UPDATE.MYCEL_TASKS", JSON.stringify({ name: "MYCEL_TASKS", subjects: ["task.>"], max_msgs: 1 })],
  ["$JS.API.STREAM.NAMES", ""],
  ["$JS.API.STREAM.LIST", ""],
  ["$JS.API.STREAM.INFO.MYCEL_TASKS", JSON.stringify({ subjects_filter: ">" })],
  ["$JS.API.STREAM.DELETE.MYCEL_TASKS", ""],
  ["$JS.API.STREAM.PURGE.MYCEL_TASKS", ""],
  ["$JS.API.STREAM.SNAPSHOT.MYCEL_TASKS", JSON.stringify({ deliver_subject: `${inboxPrefix(TENANT, AGENT)}.x` })],
  ["$JS.API.STREAM.RESTORE.STOLEN", JSON.stringify({ config: { name: "STOLEN" }, state: {} })],
  ["$JS.API.STREAM.MSG.GET.MYCEL_TASKS", JSON.stringify({ seq: 1 })],
  ["$JS.API.STREAM.MSG.DELETE.MYCEL_TASKS", JSON.stringify({ seq: 1 })],
  ["$JS.API.STREAM.PEER.REMOVE.MYCEL_TASKS", JSON.stringify({ peer: "n0" })],
  ["$JS.API.STREAM.LEADER.STEPDOWN.MYCEL_TASKS", ""],
  ["$JS.API.META.LEADER.STEPDOWN", ""],
  ["$JS.API.SERVER.REMOVE", JSON.stringify({ peer: "n0" })],
  ["$JS.API.DIRECT.GET.MYCEL_TASKS", JSON.stringify({ seq: 1 })],
  [`$JS.API.DIRECT.GET.MYCEL_TASKS.task.${TENANT}.pulled.q.echo.5`, ""],
  ["$JS.API.DIRECT.GET.KV_MYCEL_AGENTS", JSON.stringify({ last_by_subj: "$KV.MYCEL_AGENTS.>" })],
  ["$JS.API.CONSUMER.CREATE.MYCEL_TASKS", JSON.stringify({ stream_name: "MYCEL_TASKS", config: {} })],
  [`$JS.API.CONSUMER.CREATE.MYCEL_TASKS.${LANE}`, JSON.stringify({ stream_name: "MYCEL_TASKS", config: {} })],
  ["$JS.API.CONSUMER.CREATE.MYCEL_TASKS.x.task.>", JSON.stringify({ stream_name: "MYCEL_TASKS", config: {} })],
  ["$JS.API.CONSUMER.DURABLE.CREATE.MYCEL_TASKS.x", JSON.stringify({ stream_name: "MYCEL_TASKS", config: {} })],
  ["$JS.API.CONSUMER.NAMES.MYCEL_TASKS", ""],
  ["$JS.API.CONSUMER.LIST.MYCEL_TASKS", ""],
  [`$JS.API.CONSUMER.INFO.MYCEL_TASKS.${LANE}`, ""],
  [`$JS.API.CONSUMER.DELETE.MYCEL_TASKS.${LANE}`, ""],
  [`$JS.API.CONSUMER.PAUSE.MYCEL_TASKS.${LANE}`, JSON.stringify({ pause_until: "2099-01-01T00:00:00Z" })],
  [`$JS.API.CONSUMER.UNPIN.MYCEL_TASKS.${LANE}`, JSON.stringify({ group: "x" })],
  [`$JS.API.CONSUMER.RESET.MYCEL_TASKS.${LANE}`, ""],
  [`$JS.API.CONSUMER.LEADER.STEPDOWN.MYCEL_TASKS.${LANE}`, ""],
  [`${NEXT}.${OTHER_LANE}`, PULL],
  [`${NEXT}.${laneConsumer("zeta", "echo", 5)}`, PULL],
  [`${NEXT}.*`, PULL],
  ["$JS.API.CONSUMER.MSG.NEXT.MYCEL_TIMERS.timers", PULL],
];

/** What else there is on the bus that would be something, if an agent said it. */
const SUBJECTS: readonly string[] = [
  `task.${TENANT}.pulled.e`,
  `task.${TENANT}.forged.q.echo.5`,
  "task.zeta.forged.q.echo.5",
  `live.${TENANT}.pulled.e`,
  `live.${TENANT}.pulled.o.${AGENT}.1`,
  `timer.set.${TENANT}.pulled.x`,
  `timer.fired.${TENANT}.pulled.x`,
  `webhook.endpoint.${TENANT}.x`,
  `webhook.hook.${TENANT}.x`,
  `hooked.${TENANT}.x`,
  `audit.${TENANT}.writer`,
  `audited.${TENANT}.writer`,
  `out.${TENANT}.pulled.${OTHER}.1`,
  `out.zeta.pulled.${AGENT}.1`,
  `out.${TENANT}.pulled.${AGENT}`,
  `out.${TENANT}.pulled.${AGENT}.1.more`,
  `mycel.agent.${TENANT}.${OTHER}.report`,
  `mycel.agent.${TENANT}.${OTHER}.heartbeat`,
  `mycel.agent.zeta.${AGENT}.report`,
  `mycel.agent.${TENANT}.${AGENT}.whatever`,
  `mycel.agent.${TENANT}.*.heartbeat`,
  `mycel.signal.${TENANT}.${AGENT}`,
  `mycel.signal.${TENANT}.${OTHER}`,
  "mycel.index.list",
  "mycel.role.index",
  "mycel.webhooks.send",
  "mycel.room",
  "$KV.MYCEL_AGENTS.x",
  "$KV.MYCEL_ROLES.index",
  "$KV.MYCEL_TRUST.agents",
  "$O.MYCEL_BLOBS.C.x",
  "$JS.EVENT.ADVISORY.STREAM.LEADER_ELECTED.MYCEL_TASKS",
  "$JS.FC.KV_MYCEL_AGENTS.x.y",
  `$JS.ACK.MYCEL_TASKS.${OTHER_LANE}.1.1.1.1.1`,
  "$JS.ACK.MYCEL_TIMERS.timers.1.1.1.1.1",
  `$JS.ACK._.hash.MYCEL_TASKS.${OTHER_LANE}.1.1.1.1.1`,
  "_INBOX.anything",
  `${inboxPrefix(TENANT, OTHER)}.x`,
  `${inboxPrefix(TENANT, AGENT)}.x`,
  "_R_.anything",
  "$SYS.REQ.CLAIMS.UPDATE",
  "$SYS.REQ.ACCOUNT.PING",
  "$SYS.REQ.SERVER.PING",
  "$SYS.REQ.USER.INFO.MORE",
];

describe("an agent may not", () => {
  test.for(API)("ask JetStream for %s", async ([subject, body]) => {
    const before = await stand();
    await expect(agent.request(subject, body, { timeout: 2_000 })).rejects.toThrow(/Permissions Violation/);
    await settled();
    expect(await stand()).toEqual(before);
  });

  test.for(SUBJECTS)("publish to %s", async (subject) => {
    const before = await stand();
    agent.publish(subject, "forged");
    await settled();
    expect(refused).toEqual([expect.stringContaining(`Permissions Violation for Publish to "${subject}"`)]);
    expect(await stand()).toEqual(before);
    expect(asked).toEqual([]);
  });

  test.for([
    ">",
    "*",
    "*.>",
    "_INBOX.>",
    "_AGENT_INBOX.>",
    `_AGENT_INBOX.${TENANT}.*.>`,
    `${inboxPrefix(TENANT, OTHER)}.>`,
    `${inboxPrefix("zeta", AGENT)}.>`,
    "_R_.>",
    "mycel.>",
    "mycel.signal.>",
    `mycel.signal.${TENANT}.*`,
    `mycel.signal.${TENANT}.${OTHER}`,
    `mycel.agent.${TENANT}.${AGENT}.report`,
    "mycel.agent.*.*.*",
    "task.>",
    `task.${TENANT}.*.q.echo.5`,
    `live.${TENANT}.pulled.e`,
    "out.>",
    `out.${TENANT}.*.${AGENT}.*`,
    "$JS.>",
    "$JS.EVENT.ADVISORY.>",
    "$JS.ACK.>",
    "$KV.>",
    "$SYS.>",
  ])("listen to %s", async (subject) => {
    const heard: string[] = [];
    agent.subscribe(subject, { callback: (error, msg) => void (error === null && heard.push(msg.subject)) });
    await settled();
    expect(refused).toEqual([expect.stringContaining(`Permissions Violation for Subscription to "${subject}"`)]);
    coordinator.publish(`mycel.signal.${TENANT}.${OTHER}`, "for the other");
    await dispatch("overheard", "other");
    await settled();
    expect(heard).toEqual([]);
  });

  test("join a queue group under a subject of its own to hear more", async () => {
    agent.subscribe(`mycel.agent.${TENANT}.${AGENT}.report`, { queue: "coordinators", callback: () => undefined });
    await settled();
    expect(refused).toEqual([expect.stringContaining("Permissions Violation for Subscription")]);
  });

  // With its own rights the broker answers to whatever reply subject it is given, and so do coordinators: with permissions alone, each of
  // these would be a command.
  test.for([
    "$JS.API.STREAM.DELETE.MYCEL_TASKS",
    "$JS.API.STREAM.PURGE.MYCEL_TIMERS",
    `$JS.API.CONSUMER.DELETE.MYCEL_TASKS.${OTHER_LANE}`,
    "$JS.API.META.LEADER.STEPDOWN",
    `${NEXT}.${OTHER_LANE}`,
    `task.${TENANT}.pulled.e`,
    `task.${TENANT}.copied.q.other.5`,
    `timer.set.${TENANT}.pulled.x`,
    "$KV.MYCEL_TRUST.agents",
    "$JS.FC.KV_MYCEL_AGENTS.x.y",
    "mycel.role.index",
    `mycel.agent.${TENANT}.${OTHER}.heartbeat`,
    `out.${TENANT}.pulled.${OTHER}.1`,
    "_INBOX.anything",
    "$SYS.REQ.CLAIMS.UPDATE",
  ])("have an answer sent to %s", async (reply) => {
    await dispatch(`bait-${crypto.randomUUID()}`, "echo");
    const before = await stand("others");
    const outputs = (await manager.streams.info("MYCEL_OUTPUT")).state.messages;
    const overheard: string[] = [];
    const listening = await connect(nats.access);
    listening.subscribe(reply, { callback: (_, msg) => void overheard.push(msg.string()) });
    await listening.flush();
    agent.publish(`out.${TENANT}.pulled.${AGENT}.1`, "output", { reply });
    agent.publish(`mycel.agent.${TENANT}.${AGENT}.report`, "", { reply });
    agent.publish(`mycel.agent.${TENANT}.${AGENT}.heartbeat`, "", { reply });
    await settled();
    // Once with a delivery to send there, once with none.
    agent.publish(`${NEXT}.${LANE}`, PULL, { reply });
    agent.publish(`${NEXT}.${LANE}`, PULL, { reply });
    await settled();
    await listening.flush();
    expect(overheard).toEqual([]);
    expect((await manager.streams.info("MYCEL_OUTPUT")).state.messages).toBe(outputs + 1);
    expect(asked).toEqual([`report ${TENANT} ${AGENT}`, `heartbeat ${TENANT} ${AGENT}`]);
    expect(await stand("others")).toEqual(before);
    await listening.close();
  });

  test.for([`$JS.ACK.MYCEL_TASKS.${OTHER_LANE}.1.1.1.1.1`, "_R_.anything"])(
    "even name %s for an answer",
    async (reply) => {
      agent.publish(`${NEXT}.${LANE}`, PULL, { reply });
      await settled();
      expect(refused).toEqual([expect.stringContaining("Permissions Violation for Publish with Reply")]);
    },
  );

  test("acknowledge what others got, by any reply", async () => {
    await dispatch("theirs", "other");
    const delivery = await pull(coordinator, OTHER_LANE);
    const held = (await manager.consumers.info("MYCEL_TASKS", OTHER_LANE)).num_ack_pending;
    for (const body of ["", "+ACK", "+TERM", "-NAK", "+NXT"]) agent.publish(delivery.reply!, body);
    agent.publish(`${NEXT}.${LANE}`, PULL, { reply: delivery.reply! });
    agent.publish(`out.${TENANT}.pulled.${AGENT}.1`, "", { reply: delivery.reply! });
    await settled();
    expect((await manager.consumers.info("MYCEL_TASKS", OTHER_LANE)).num_ack_pending).toBe(held);
    coordinator.publish(delivery.reply!);
  });

  test.for([
    { "Nats-Rollup": "all" },
    { "Nats-Rollup": "sub" },
    { "Nats-Schedule": "@every 1s", "Nats-Schedule-Target": `out.${TENANT}.x.${OTHER}.1` },
    { "Nats-TTL": "1s" },
    { "Nats-Batch-Id": "b", "Nats-Batch-Sequence": "1", "Nats-Batch-Commit": "1" },
    { "Nats-Msg-Id": "id", "Nats-Marker-Reason": "MaxAge", "KV-Operation": "PURGE" },
    { "Nats-Stream-Source": "MYCEL_TASKS 1" },
  ])("do more than add an output with the headers %o", async (fields) => {
    await agent.request(`out.${TENANT}.kept.${AGENT}.1`, "kept");
    const before = await stand();
    const { messages } = (await manager.streams.info("MYCEL_OUTPUT")).state;
    const made = headers();
    for (const [name, value] of Object.entries(fields)) made.set(name, value);
    agent.publish(`out.${TENANT}.kept.${AGENT}.2`, "more", { headers: made });
    await settled();
    const after = (await manager.streams.info("MYCEL_OUTPUT")).state.messages;
    expect([messages, messages + 1]).toContain(after);
    expect(await stand()).toEqual(before);
  });

  test("hold more subscriptions than it needs", async () => {
    const connection = await openAgent(OTHER);
    for (let i = 0; i < 100; i += 1) connection.subscribe(`${inboxPrefix(TENANT, OTHER)}.${i}`);
    await connection.flush().catch(() => undefined);
    const { connections } = (await (await fetch(`${nats.monitorUrl}/connz?subs=1`)).json()) as {
      readonly connections: readonly { readonly name?: string; readonly subscriptions: number }[];
    };
    const subscriptions = connections.find(({ name }) => name === `${TENANT}.${OTHER}`)?.subscriptions;
    expect(subscriptions).toBe(32);
    await connection.close();
  });
});

describe("nobody gets in", () => {
  test("without credentials", async () => {
    await expect(connect({ servers: nats.url, reconnect: false })).rejects.toThrow(/Authorization/);
  });

  test("with the JWT of an agent, but not its key", async () => {
    const [key, other] = [SigningKey.create("U"), SigningKey.create("U")];
    const { agentsSigning: signingKey, ids } = await readCoordinatorTrust(trust.coordinatorDir);
    const request = {
      tenant: TENANT,
      agentId: AGENT,
      publicKey: key.publicKey,
      lanes: [],
      expiresMs: Date.now() + 60_000,
    };
    const jwt = issueAgentCredential(request, { signingKey, account: ids.agents, nowMs: Date.now() });
    const authenticator = jwtAuthenticator(jwt, new TextEncoder().encode(other.seed));
    await expect(connect({ servers: nats.url, reconnect: false, authenticator })).rejects.toThrow(/Authorization/);
  });

  test.for(["a signing key of nobody", "the key of another mesh", "the operator's key"])(
    "signed by %s",
    async (who) => {
      const key = SigningKey.create("U");
      const { operatorSigning, ids } = await readCoordinatorTrust(trust.coordinatorDir);
      const stranger = await makeIn(nats.dataDir);
      const signingKey = {
        "a signing key of nobody": SigningKey.create("A"),
        "the key of another mesh": (await readCoordinatorTrust(stranger.coordinatorDir)).agentsSigning,
        "the operator's key": operatorSigning,
      }[who]!;
      const request = {
        tenant: TENANT,
        agentId: AGENT,
        publicKey: key.publicKey,
        lanes: [],
        expiresMs: Date.now() + 60_000,
      };
      const jwt = issueAgentCredential(request, { signingKey, account: ids.agents, nowMs: Date.now() });
      const authenticator = jwtAuthenticator(jwt, new TextEncoder().encode(key.seed));
      await expect(connect({ servers: nats.url, reconnect: false, authenticator })).rejects.toThrow(/Authorization/);
    },
  );

  test("with a credential that has ended", async () => {
    const key = SigningKey.create("U");
    const { agentsSigning: signingKey, ids } = await readCoordinatorTrust(trust.coordinatorDir);
    const request = {
      tenant: TENANT,
      agentId: AGENT,
      publicKey: key.publicKey,
      lanes: [],
      expiresMs: Date.now() - 1_000,
    };
    const jwt = issueAgentCredential(request, { signingKey, account: ids.agents, nowMs: Date.now() - 60_000 });
    const authenticator = jwtAuthenticator(jwt, new TextEncoder().encode(key.seed));
    await expect(connect({ servers: nats.url, reconnect: false, authenticator })).rejects.toThrow(
      /Authorization|expired/i,
    );
  });

  test("into the mesh's account with the key that signs agents", async () => {
    const key = SigningKey.create("U");
    const { agentsSigning: signingKey, ids } = await readCoordinatorTrust(trust.coordinatorDir);
    const request = {
      tenant: TENANT,
      agentId: AGENT,
      publicKey: key.publicKey,
      lanes: [],
      expiresMs: Date.now() + 60_000,
    };
    const jwt = issueAgentCredential(request, { signingKey, account: ids.mesh, nowMs: Date.now() });
    const authenticator = jwtAuthenticator(jwt, new TextEncoder().encode(key.seed));
    await expect(connect({ servers: nats.url, reconnect: false, authenticator })).rejects.toThrow(/Authorization/);
  });
});
