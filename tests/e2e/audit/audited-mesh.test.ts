// A mesh that asks who calls, and what its audit log says of friends and strangers: who did what, why others were refused (which they are not
// told), and what happens when it can't be written.
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type CallOptions, type Client, Code, createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { jetstreamManager } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import { afterAll, beforeAll, expect, test } from "vitest";
import { AgentService } from "../../../gen/mycel/v1/agent_service_pb.ts";
import { type AuditEntry, AuditDecision } from "../../../gen/mycel/v1/audit_pb.ts";
import { AuditService } from "../../../gen/mycel/v1/audit_service_pb.ts";
import { KeyService } from "../../../gen/mycel/v1/key_service_pb.ts";
import { QueueService } from "../../../gen/mycel/v1/queue_service_pb.ts";
import { readDetails } from "../../../lib/rpc/rich-error.ts";
import { AuditVerifier } from "../../../lib/wire/audit-verifier.ts";
import { auditEntryIn } from "../../../lib/wire/audit-codec.ts";
import { AUDIT_STREAM } from "../../../lib/wire/subjects.ts";
import { openMesh, type TestMesh } from "../../support/processes.ts";
import { failureOf } from "../../support/rpc-call.ts";

const OPERATOR = `mk_operator_${"x".repeat(40)}`;
const as = (key: string, address = "203.0.113.1"): CallOptions => ({
  headers: { authorization: `Bearer ${key}`, "x-forwarded-for": address },
});

let dir: string;
let mesh: TestMesh;
let agents: Client<typeof AgentService>;
let audit: Client<typeof AuditService>;
let keys: Client<typeof KeyService>;
let queues: Client<typeof QueueService>;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "mycel-audit-"));
  await writeFile(join(dir, "policy.yaml"), "roles: { watcher: { actions: [agent:read] } }");
  mesh = await openMesh({
    env: {
      MYCEL_ADMIN_KEY: OPERATOR,
      MYCEL_POLICY: join(dir, "policy.yaml"),
      MYCEL_RATE_LIMITS: "on",
      MYCEL_LIMIT_REQUESTS: "0",
      MYCEL_LIMIT_TASKS: "5",
      MYCEL_LIMIT_BAD_CREDENTIALS: "3",
      MYCEL_TRUSTED_PROXIES: "127.0.0.1",
    },
  });
  const transport = createGrpcTransport({ baseUrl: mesh.urls[0]! });
  agents = createClient(AgentService, transport);
  audit = createClient(AuditService, transport);
  keys = createClient(KeyService, transport);
  queues = createClient(QueueService, transport);
});
afterAll(async () => {
  await mesh[Symbol.asyncDispose]();
  await rm(dir, { recursive: true, force: true });
});

async function keyOf(tenant: string, role: string): Promise<{ readonly id: string; readonly secret: string }> {
  const { key, secret } = await keys.createKey({ roles: [role], tenant }, as(OPERATOR));
  return { id: key!.keyId, secret };
}

async function logOf(secret: string, mesh = false): Promise<AuditEntry[]> {
  return (await audit.listAuditEntries({ oldestFirst: true, pageSize: 1_000, mesh }, as(secret))).entries;
}

async function reasonOf(call: Promise<unknown>): Promise<string> {
  return await call.then(
    () => "ok",
    async (error: unknown) => readDetails(await failureOf(Promise.reject(error))).reason ?? String(error),
  );
}

test("each tenant reads of its own callers only, by name, and neither what is secret nor what they sent", async () => {
  const acme = await keyOf("acme", "admin");
  const other = await keyOf("other", "admin");
  await reasonOf(queues.pauseQueue({ queue: "acme-queue", reason: "payload-of-acme" }, as(acme.secret)));
  await reasonOf(queues.pauseQueue({ queue: "other-queue" }, as(other.secret, "203.0.113.2")));
  const ofAcme = await logOf(acme.secret);
  expect(ofAcme.at(-1)).toMatchObject({
    tenant: "acme",
    principal: `key:${acme.id}`,
    peerAddress: "203.0.113.1",
    method: "mycel.v1.QueueService/PauseQueue",
    resourceName: "acme-queue",
    decision: AuditDecision.ALLOWED,
  });
  const text = JSON.stringify(ofAcme.map(auditEntryIn));
  expect(text).not.toMatch(/other-queue|payload-of-acme/);
  expect(text).not.toContain(acme.secret);
  expect((await logOf(other.secret)).map(({ resourceName }) => resourceName)).toContain("other-queue");
  expect(await reasonOf(logOf(acme.secret, true))).toBe("ACTION_NOT_ALLOWED");
});

test("who may not read it does not, and that it tried stands there", async () => {
  const admin = await keyOf("readers", "admin");
  const submitter = await keyOf("readers", "submitter");
  expect(await reasonOf(logOf(submitter.secret))).toBe("ACTION_NOT_ALLOWED");
  expect(await reasonOf(queues.pauseQueue({ queue: "q" }, as(submitter.secret)))).toBe("ACTION_NOT_ALLOWED");
  const refused = async (): Promise<AuditEntry[]> =>
    (await logOf(admin.secret)).filter(({ decision }) => decision === AuditDecision.REFUSED);
  // Whoever is refused does not wait for the entry.
  await expect.poll(async () => (await refused()).length).toBe(2);
  expect((await refused()).map(({ principal, action, reason }) => [principal, action, reason])).toEqual([
    [`key:${submitter.id}`, "audit:read", expect.stringMatching(/^ACTION_NOT_ALLOWED/)],
    [`key:${submitter.id}`, "queue:admin", expect.stringMatching(/^ACTION_NOT_ALLOWED/)],
  ]);
});

test("bad credentials look alike to whoever has them, are told apart in the log, and soon told to slow down", async () => {
  const revoked = await keyOf("strangers", "admin");
  await keys.revokeKey({ keyId: revoked.id, tenant: "strangers" }, as(OPERATOR));
  const address = "203.0.113.66";
  const bad = [revoked.secret, `mk_${"0".repeat(16)}_${"A".repeat(43)}`, "nonsense"];
  const messages = new Set<string>();
  for (const secret of bad) {
    const { code, rawMessage } = await failureOf(agents.listAgents({}, as(secret, address)));
    messages.add(`${code} ${rawMessage}`);
  }
  expect(messages).toEqual(new Set([`${Code.Unauthenticated} the credential is not valid`]));
  const slowed = await failureOf(agents.listAgents({}, as("nonsense", address)));
  expect([slowed.code, readDetails(slowed).reason]).toEqual([Code.ResourceExhausted, "RATE_LIMITED"]);
  expect(readDetails(slowed).retryDelayMs).toBeGreaterThan(0);
  // Whoever shares the address and shows a good one is none the worse for it.
  const good = await keyOf("strangers", "admin");
  expect(await reasonOf(agents.listAgents({}, as(good.secret, address)))).toBe("ok");
  const ofAddress = async (): Promise<AuditEntry[]> =>
    (await logOf(OPERATOR, true)).filter(({ peerAddress }) => peerAddress === address);
  await expect.poll(async () => (await ofAddress()).map(({ reason }) => reason)).toContain("RATE_LIMITED");
  const entries = await ofAddress();
  const reasons = entries.map(({ reason }) => reason);
  expect(reasons.filter((reason) => reason.startsWith("CREDENTIAL_INVALID: ")).length).toBeGreaterThan(1);
  expect(JSON.stringify(entries.map(auditEntryIn))).not.toContain(revoked.secret);
});

test("tasks count for the caller that submits them, wherever it calls from", async () => {
  const one = await keyOf("fast", "submitter");
  const two = await keyOf("fast", "submitter");
  const outcomes: string[] = [];
  for (let i = 0; i < 6; i += 1) {
    outcomes.push(await reasonOf(agents.submitTask({ type: "t" }, as(one.secret, `198.51.100.${i}`))));
  }
  expect(outcomes).toEqual(["ok", "ok", "ok", "ok", "ok", "RATE_LIMITED"]);
  expect(await reasonOf(agents.submitTask({ type: "t" }, as(two.secret)))).toBe("ok");
  const failure = await failureOf(agents.submitTask({ type: "t" }, as(one.secret)));
  expect(readDetails(failure).quota[0]?.subject).toBe(`caller:fast/key:${one.id}`);
});

test("what is made and revoked stands there in order, and all chains are whole", async () => {
  const { id } = await keyOf("acme", "reader");
  await keys.revokeKey({ keyId: id, tenant: "acme" }, as(OPERATOR));
  for (const ofMesh of [false, true]) {
    const entries = await logOf(OPERATOR, ofMesh);
    expect(entries.length).toBeGreaterThan(0);
    const verifier = new AuditVerifier(entries[0]!.tenant, -Infinity);
    for (const entry of entries) verifier.add(auditEntryIn(entry));
    expect(verifier.finish()).toEqual([]);
  }
  const methods = (await logOf(OPERATOR)).map(({ method }) => method);
  expect(methods.filter((method) => method === "mycel.v1.KeyService/RevokeKey").length).toBeGreaterThan(1);
});

test("that another policy is in force stands there", async () => {
  await writeFile(join(dir, "policy.yaml"), "roles: { watcher: { actions: [agent:read, queue:read] } }");
  const changes = async (): Promise<string[]> => (await logOf(OPERATOR, true)).map(({ method }) => method);
  await expect.poll(changes, { timeout: 15_000 }).toContain("policy.changed");
});

test("a change that can't be recorded does not happen, and work goes on", async () => {
  const admin = await keyOf("closed", "admin");
  const connection = await connect(mesh.nats.access);
  const manager = await jetstreamManager(connection);
  await manager.streams.delete(AUDIT_STREAM);
  await connection.close();
  const outcome = await reasonOf(keys.createKey({ roles: ["reader"], tenant: "closed" }, as(OPERATOR)));
  expect(outcome).toBe("AUDIT_UNAVAILABLE");
  const { keys: standing } = await keys.listKeys({ tenant: "closed" }, as(OPERATOR));
  expect(standing.map(({ keyId }) => keyId)).toEqual([admin.id]);
  const { taskId } = await agents.submitTask({ type: "t" }, as(admin.secret));
  // Nobody keeps a task from being canceled by this, nor a key from being revoked.
  expect(await reasonOf(agents.cancelTask({ taskId }, as(admin.secret)))).toBe("ok");
  expect(await reasonOf(agents.getTask({ taskId }, as(admin.secret)))).toBe("ok");
  expect(await reasonOf(keys.revokeKey({ keyId: admin.id, tenant: "closed" }, as(OPERATOR)))).toBe("ok");
  expect(await reasonOf(agents.getTask({ taskId }, as(admin.secret)))).toBe("CREDENTIAL_INVALID");
});
