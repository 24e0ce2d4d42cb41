// Every call of the mesh, by everybody who must not make it, and by one who may.
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { DescMethod } from "@bufbuild/protobuf";
import { MethodOptions_IdempotencyLevel as Idempotency } from "@bufbuild/protobuf/wkt";
import { Code, createClient, type Transport } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport, createGrpcWebTransport } from "@connectrpc/connect-node";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { AgentService } from "../../../gen/mycel/v1/agent_service_pb.ts";
import { BlobService } from "../../../gen/mycel/v1/blob_service_pb.ts";
import { KeyService } from "../../../gen/mycel/v1/key_service_pb.ts";
import { QueueService } from "../../../gen/mycel/v1/queue_service_pb.ts";
import { TaskState } from "../../../gen/mycel/v1/task_pb.ts";
import { WebhookService } from "../../../gen/mycel/v1/webhook_service_pb.ts";
import { ACTIONS } from "../../../lib/core/access/action.ts";
import { accessOf } from "../../../services/coordinator/access/rpc-access.ts";
import { forgedTokens } from "../../support/forged-tokens.ts";
import { openMesh, type TestMesh } from "../../support/processes.ts";
import { SERVICES } from "../../support/services.ts";
import { openTestIssuer, type TestIssuer } from "../../support/test-issuer.ts";
import { callName, type Ids, type Outcome, outcomeOf, withoutIds, withoutRequest } from "./every-call.ts";

const PATIENCE = { timeout: 20_000, interval: 100 };
const OPERATOR = `mk_operator_${"m".repeat(40)}`;
const METHODS: readonly DescMethod[] = SERVICES.flatMap(({ methods }) => methods);

const POLICY = `
roles:
  elsewhere: { actions: ["*"], taskTypes: ["other-*"] }
  blue: { actions: ["*"], labels: { team: blue } }
${Object.keys(ACTIONS)
  .map((action) => {
    const others = Object.keys(ACTIONS).filter((other) => other !== action);
    return `  ${lacking(action)}: { actions: [${others.map((other) => `"${other}"`).join(", ")}] }`;
  })
  .join("\n")}
claims: { tenant: mycel_tenant, roles: mycel_roles }
`;

const PROTOCOLS: Readonly<Record<string, (baseUrl: string) => Transport>> = {
  gRPC: (baseUrl) => createGrpcTransport({ baseUrl }),
  "gRPC-Web": (baseUrl) => createGrpcWebTransport({ baseUrl, httpVersion: "2" }),
  Connect: (baseUrl) => createConnectTransport({ baseUrl, httpVersion: "2" }),
};

let mesh: TestMesh;
let issuer: TestIssuer;
let ids: Ids;
/** What must not be accepted at all, by what is wrong with it. */
let bad: Readonly<Record<string, string | undefined>> = {};
let transports: ReadonlyMap<string, Transport>;
beforeAll(async () => {
  issuer = await openTestIssuer();
  mesh = await openMesh({ coordinators: 0, trusted: false });
  const policy = join(mesh.dir, "policy.yaml");
  await writeFile(policy, POLICY);
  const env: Record<string, string> = mesh.env;
  Object.assign(env, {
    MYCEL_ADMIN_KEY: OPERATOR,
    MYCEL_POLICY: policy,
    MYCEL_JWT_ISSUER: issuer.issuer,
    MYCEL_JWT_AUDIENCE: issuer.audience,
    MYCEL_JWKS_URL: issuer.jwksUrl,
    MYCEL_OUTBOUND_ALLOW: "127.0.0.1",
    // The agent registers, and is silent from then on.
    MYCEL_HEARTBEAT: "60000",
  });
  const url = await mesh.addCoordinator();
  transports = new Map(Object.entries(PROTOCOLS).map(([name, open]) => [name, open(url)]));
  ids = await furnish(grpc(), { headers: { authorization: await who("acme", "admin") } });
  const forged = await forgedTokens(issuer);
  bad = {
    "an expired token": bearer(forged["expired"]!),
    "a token of another issuer": bearer(forged["of another issuer"]!),
    "a token for another audience": bearer(forged["for another audience"]!),
    "a token signed with the public key as a secret": bearer(
      forged["with the issuer's public PEM as a shared secret"]!,
    ),
    "a token that nobody signed": bearer(forged["signed by nobody"]!),
    "a revoked key": bearer(await revokedKey()),
    "a key that there is not": bearer(`mk_0123456789abcdef_${"x".repeat(43)}`),
    "no bearer at all": "Basic YWxpY2U6c2VjcmV0",
  };
});
afterAll(async () => {
  await mesh[Symbol.asyncDispose]();
  await issuer[Symbol.asyncDispose]();
});

test("there is a request for every call", () => {
  expect(withoutRequest(SERVICES)).toEqual([]);
});

describe.each(Object.keys(PROTOCOLS))("over %s", (protocol) => {
  const transport = () => transports.get(protocol)!;

  test("no call is made without a credential, and all are refused alike", async () => {
    const refusal = refused(Code.Unauthenticated, "CREDENTIAL_MISSING", "this call needs a credential");
    expect(await outcomes(transport(), undefined)).toEqual(each(refusal));
  });

  test("no call is made with a bad credential, and all are refused alike, whatever is wrong with it", async () => {
    const refusal = refused(Code.Unauthenticated, "CREDENTIAL_INVALID", "the credential is not valid");
    const all: Record<string, unknown> = {};
    for (const [what, authorization] of Object.entries(bad)) all[what] = await outcomes(transport(), authorization);
    expect(all).toEqual(Object.fromEntries(Object.keys(bad).map((what) => [what, each(refusal)])));
  });

  test("no call is made by one who may do everything but what it needs", async () => {
    for (const method of METHODS) {
      const access = accessOf(method);
      for (const action of access?.who === "allowed" ? access.actions : []) {
        const outcome = await outcomeOf(transport(), method, ids, await who("acme", lacking(action)));
        const refusal = refused(
          Code.PermissionDenied,
          "ACTION_NOT_ALLOWED",
          `this caller may not do this: it needs ${action}`,
          { action },
        );
        expect([callName(method), outcome]).toEqual([callName(method), refusal]);
      }
    }
  });

  test("what another tenant has is, to whoever may do everything in its own, what there is not", async () => {
    await expectNothingShown(transport(), await who(`rival-${protocol}`, "admin"), METHODS);
  });

  test.for(["elsewhere", "blue"])("what is out of a caller's scope is what there is not: %s", async (role) => {
    // Queues and what agents and keys there are is no task: who may see it sees all of it.
    const ofTasks = METHODS.filter((method) => {
      const access = accessOf(method);
      return access?.who === "allowed" && access.tasks === "scoped" && method !== QueueService.method.purgeQueue;
    });
    await expectNothingShown(transport(), await who("acme", role), ofTasks);
  });

  test.for(["elsewhere", "blue"])(
    "calls that touch all tasks are not for those who may touch some: %s",
    async (role) => {
      const ofAll = METHODS.filter((method) => {
        const access = accessOf(method);
        return access?.who === "allowed" && access.tasks === "all";
      });
      expect(ofAll.length).toBeGreaterThan(0);
      for (const method of ofAll) {
        const outcome = await outcomeOf(transport(), method, ids, await who("acme", role));
        expect([callName(method), outcome]).toMatchObject([callName(method), { code: Code.PermissionDenied }]);
      }
    },
  );

  test("a purge ends nothing that is out of its caller's scope", async () => {
    const options = { headers: { authorization: await who("acme", "elsewhere") } };
    const purged = await createClient(QueueService, transport()).purgeQueue({ queue: ids.queue }, options);
    expect([purged.purgedCount, purged.remainingCount]).toEqual([0n, 0n]);
  });

  test("a task's id that is taken outside of a caller's scope is not told from one that it may not have", async () => {
    const options = { headers: { authorization: await who("acme", "elsewhere") } };
    const client = createClient(AgentService, transport());
    const { results } = await client.batchSubmitTasks(
      {
        tasks: [
          { taskId: ids.taskId, type: "other-1" },
          { taskId: "mine", type: ids.type },
        ],
      },
      options,
    );
    const [taken, typed] = results.map(({ result }) => result.value);
    expect(taken).toEqual(typed);
    expect(taken).toMatchObject({ code: Code.PermissionDenied, reason: "ACTION_NOT_ALLOWED" });
  });

  test("a stream token makes the three calls that it is for, about its task, and no other", async () => {
    const options = { headers: { authorization: await who("acme", "admin") } };
    const client = createClient(AgentService, transport());
    const { token } = await client.issueStreamToken({ scope: { case: "taskId", value: ids.taskId } }, options);
    const made: string[] = [];
    for (const method of METHODS) {
      const outcome = await outcomeOf(transport(), method, ids, bearer(token));
      if (outcome.kind === "answer") made.push(method.name);
      else expect([callName(method), outcome.code]).toEqual([callName(method), Code.PermissionDenied]);
    }
    expect(made.toSorted()).toEqual(["GetTaskStatus", "StreamResults", "WatchTasks"]);
    const other = { ...ids, taskId: ids.deadId };
    for (const method of [AgentService.method.getTaskStatus, AgentService.method.streamResults]) {
      expect(await outcomeOf(transport(), method, other, bearer(token))).toMatchObject({ code: Code.NotFound });
    }
  });
});

test("after all that, everything that the tenant has is as it was", async () => {
  const options = { headers: { authorization: await who("acme", "admin") } };
  const agents = createClient(AgentService, grpc());
  expect((await agents.getTaskStatus({ taskId: ids.taskId }, options)).status?.state).toBe(TaskState.SUBMITTED);
  expect((await agents.listDeadLetters({}, options)).deadLetters.map(({ redrivenBy }) => redrivenBy)).toEqual([""]);
  expect((await agents.getAgent({ agentId: ids.agentId }, options)).agent?.name).toBe("an agent");
  const { queue } = await createClient(QueueService, grpc()).getQueue({ queue: ids.queue }, options);
  expect(queue?.pause).toBeUndefined();
  const hooks = createClient(WebhookService, grpc());
  expect((await hooks.getWebhookEndpoint({ endpointId: ids.endpointId }, options)).endpoint?.description).toBe("");
  const { keys } = await createClient(KeyService, grpc()).listKeys({}, options);
  expect(keys.find(({ keyId }) => keyId === ids.keyId)?.revokeTime).toBeUndefined();
});

test("whoever may make a call makes it, over every protocol", async () => {
  const authorization = await who("acme", "admin");
  const isRead = (method: DescMethod): boolean => isReading(method) || method.name.startsWith("Watch");
  for (const transport of transports.values()) {
    for (const method of METHODS.filter(isRead)) {
      const outcome = await outcomeOf(transport, method, ids, authorization);
      expect([callName(method), outcome.kind]).toEqual([callName(method), "answer"]);
    }
  }
  for (const method of METHODS.filter((method) => !isRead(method))) {
    const outcome = await outcomeOf(grpc(), method, ids, authorization);
    const code = outcome.kind === "answer" ? undefined : outcome.code;
    expect([callName(method), code]).not.toEqual([callName(method), Code.Unauthenticated]);
    expect([callName(method), code]).not.toEqual([callName(method), Code.PermissionDenied]);
  }
});

/** Makes calls about what acme has and about what nobody has: the caller must not be able to tell which is which. */
async function expectNothingShown(transport: Transport, caller: string, methods: readonly DescMethod[]): Promise<void> {
  const absent: Ids = {
    ...ids,
    agentId: "agent-0",
    taskId: "task-0",
    deadId: "dead-0",
    endpointId: "hook-0",
    deliveryId: ids.deliveryId.replace(/.$/, (last) => (last === "0" ? "1" : "0")),
    blobId: ids.blobId.replace(/.$/, (last) => (last === "0" ? "1" : "0")),
    keyId: ids.keyId.replace(/.$/, (last) => (last === "0" ? "1" : "0")),
  };
  // What the caller asks about before, it may have itself afterwards.
  for (const method of [...methods.filter(isReading), ...methods.filter((method) => !isReading(method))]) {
    const theirs = await outcomeOf(transport, method, ids, caller);
    const nobodys = await outcomeOf(transport, method, absent, caller);
    expect([callName(method), withoutIds(theirs, ids)]).toEqual([callName(method), withoutIds(nobodys, absent)]);
    if (theirs.kind === "answer" && isReading(method)) {
      for (const secret of [ids.taskId, ids.deadId, ids.blobId, ids.deliveryId, ids.keyId]) {
        expect([callName(method), theirs.json]).not.toEqual([callName(method), expect.stringContaining(secret)]);
      }
    }
  }
}

function isReading({ idempotency }: DescMethod): boolean {
  return idempotency === Idempotency.NO_SIDE_EFFECTS;
}

async function outcomes(transport: Transport, authorization: string | undefined): Promise<Record<string, Outcome>> {
  const made = METHODS.map(async (method) => [
    callName(method),
    await outcomeOf(transport, method, ids, authorization),
  ]);
  return Object.fromEntries(await Promise.all(made)) as Record<string, Outcome>;
}

function each(outcome: Outcome): Record<string, Outcome> {
  return Object.fromEntries(METHODS.map((method) => [callName(method), outcome]));
}

function refused(code: Code, reason: string, message: string, metadata: Record<string, string> = {}): Outcome {
  const said = { message, reason, domain: "mycel.dev", metadata, violations: [], quota: [], preconditions: [] };
  return { kind: "refusal", code, said };
}

function grpc(): Transport {
  return transports.get("gRPC")!;
}

function bearer(token: string): string {
  return `Bearer ${token}`;
}

function lacking(action: string): string {
  return `all-but-${action.replace(":", "-")}`;
}

const tokens = new Map<string, Promise<string>>();

/** What one shows who has a role in a tenant. */
async function who(tenant: string, role: string): Promise<string> {
  const key = `${tenant} ${role}`;
  const known = tokens.get(key);
  const token = known ?? issuer.token({ subject: role, claims: { mycel_tenant: tenant, mycel_roles: [role] } });
  tokens.set(key, token);
  return bearer(await token);
}

async function revokedKey(): Promise<string> {
  const options = { headers: { authorization: bearer(OPERATOR) } };
  const keys = createClient(KeyService, grpc());
  const { key, secret } = await keys.createKey({ roles: ["admin"], tenant: "acme" }, options);
  await keys.revokeKey({ keyId: key!.keyId, tenant: "acme" }, options);
  return secret;
}

/** Makes everything of which a tenant can have something. */
async function furnish(
  transport: Transport,
  options: { readonly headers: { readonly authorization: string } },
): Promise<Ids> {
  const [agentId, taskId, deadId, endpointId, type] = ["agent-1", "task-1", "dead-1", "hook-1", "secret"];
  const agents = createClient(AgentService, transport);
  const hooks = createClient(WebhookService, transport);
  await hooks.createWebhookEndpoint({ endpointId, url: "http://127.0.0.1:9/" }, options);
  await agents.submitTask(
    { taskId: deadId, type, timeouts: { scheduleToStart: { seconds: 1n } }, webhook: { endpointId } },
    options,
  );
  await agents.registerAgent({ agentId, name: "an agent", capabilities: [{ type }] }, options);
  await agents.submitTask({ taskId, type, labels: { team: "red" } }, options);
  async function* content() {
    yield { part: { case: "open" as const, value: {} } };
    yield { part: { case: "chunk" as const, value: new Uint8Array(8) } };
  }
  const { blob } = await createClient(BlobService, transport).uploadBlob(content(), options);
  const { key } = await createClient(KeyService, transport).createKey({ roles: ["reader"] }, options);
  const ended = await agents.getTaskStatus({ taskId: deadId, wait: { seconds: 20n } }, options);
  expect(ended.status?.state).toBe(TaskState.TIMED_OUT);
  const deliveries = async () => (await hooks.listWebhookDeliveries({}, options)).deliveries;
  await vi.waitFor(async () => expect(await deliveries()).toHaveLength(1), PATIENCE);
  await vi.waitFor(async () => {
    expect((await agents.listDeadLetters({}, options)).deadLetters).toHaveLength(1);
  }, PATIENCE);
  const [delivery] = await deliveries();
  return {
    agentId,
    taskId,
    deadId,
    queue: type,
    type,
    endpointId,
    deliveryId: delivery!.deliveryId,
    blobId: blob!.blobId,
    keyId: key!.keyId,
  };
}
