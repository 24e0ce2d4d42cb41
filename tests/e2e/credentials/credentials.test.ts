// Callers of a mesh of several coordinators show who they are by every kind of credential but certificates: what lets them in, for how
// long, and what ends their streams.
import { mkdtemp, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createClient, type Interceptor } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport, createGrpcWebTransport } from "@connectrpc/connect-node";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { AgentService, ResultKind } from "../../../gen/mycel/v1/agent_service_pb.ts";
import { KeyService } from "../../../gen/mycel/v1/key_service_pb.ts";
import { readDetails } from "../../../lib/rpc/rich-error.ts";
import { forgedTokens } from "../../support/forged-tokens.ts";
import { openMesh, type TestMesh } from "../../support/processes.ts";
import { failureOf, iteratorOf } from "../../support/rpc-call.ts";
import { onceItWorks } from "../../support/soon.ts";
import { openTestIssuer, type TestIssuer } from "../../support/test-issuer.ts";

let operatorKey = `mk_operator_${"c".repeat(40)}`;
const ORIGIN = "https://page.example";

const POLICY = `
bindings:
  - { principal: "token:alice", tenant: default, roles: [submitter] }
  - { principal: "token:foreign", tenant: evil, roles: [admin] }
`;

let mesh: TestMesh;
let issuer: TestIssuer;
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "mycel-credentials-"));
  const policy = join(folder, "policy.yaml");
  await writeFile(policy, POLICY);
  issuer = await openTestIssuer();
  await showKeys();
  await write("admin-key", operatorKey);
  mesh = await openMesh({
    coordinators: 3,
    env: {
      MYCEL_ADMIN_KEY_FILE: join(folder, "admin-key"),
      MYCEL_POLICY: policy,
      MYCEL_JWT_ISSUER: issuer.issuer,
      MYCEL_JWT_AUDIENCE: issuer.audience,
      MYCEL_JWKS_FILE: join(folder, "jwks.json"),
      MYCEL_CORS_ORIGINS: ORIGIN,
      MYCEL_LOG_LEVEL: "trace",
    },
  });
});
afterAll(async () => {
  await mesh[Symbol.asyncDispose]();
  await issuer[Symbol.asyncDispose]();
  await rm(folder, { recursive: true });
});

/** Writes a file as whoever cares about its readers does. */
async function write(name: string, text: string): Promise<void> {
  await writeFile(join(folder, "new"), text, { mode: 0o600 });
  await rename(join(folder, "new"), join(folder, name));
}

const showKeys = (): Promise<void> => write("jwks.json", JSON.stringify(issuer.jwks));

/** Every credential that was presented. */
const presented = new Set<string>();

function presenting(credential: string | undefined): Interceptor[] {
  if (credential === undefined) return [];
  presented.add(credential);
  return [
    (next) => (request) => {
      request.header.set("authorization", `Bearer ${credential}`);
      return next(request);
    },
  ];
}

type Protocol = "grpc" | "grpc-web" | "connect";

interface Way {
  readonly coordinator?: number;
  readonly protocol?: Protocol;
}

function clientsOf(credential?: string, { coordinator = 0, protocol = "grpc" }: Way = {}) {
  const options = { baseUrl: mesh.urls[coordinator]!, interceptors: presenting(credential) };
  const transport =
    protocol === "grpc"
      ? createGrpcTransport(options)
      : protocol === "grpc-web"
        ? createGrpcWebTransport({ ...options, httpVersion: "1.1" })
        : createConnectTransport({ ...options, httpVersion: "1.1" });
  return { agents: createClient(AgentService, transport), keys: createClient(KeyService, transport) };
}

const reasonOf = async (call: Promise<unknown>): Promise<string | undefined> =>
  readDetails(await failureOf(call)).reason;

const operator = () => clientsOf(operatorKey);

test("nobody gets in without a credential, or with one that is forged, and all are told the same", async () => {
  const task = { type: "t" };
  expect(await reasonOf(clientsOf().agents.submitTask(task))).toBe("CREDENTIAL_MISSING");
  const told = new Set<string>();
  const forgeries = { ...(await forgedTokens(issuer)), "another operator's": `mk_operator_${"d".repeat(40)}` };
  for (const [name, token] of Object.entries(forgeries)) {
    const failure = await failureOf(clientsOf(token).agents.submitTask(task));
    const { reason, metadata } = readDetails(failure);
    expect(reason, name).toBe("CREDENTIAL_INVALID");
    told.add(JSON.stringify([failure.code, failure.rawMessage, metadata]));
  }
  expect(told.size).toBe(1);
});

test("a token of the issuer lets in by its binding, on every coordinator and in every protocol", async () => {
  const token = await issuer.token();
  for (const coordinator of [0, 1, 2]) {
    for (const protocol of ["grpc", "grpc-web", "connect"] as const) {
      const { agents } = clientsOf(token, { coordinator, protocol });
      expect((await agents.submitTask({ type: "t" })).taskId).not.toBe("");
      expect(await reasonOf(agents.listAgents({}))).toBe("ACTION_NOT_ALLOWED");
    }
  }
});

test("keys rotate without a restart: new tokens are accepted, and those of a withdrawn key refused", async () => {
  const old = clientsOf(await issuer.token()).agents;
  const { taskId } = await old.submitTask({ type: "never-run" });
  const stream = iteratorOf(old.streamResults({ taskId }));
  await stream.next();
  const end = reasonOf(stream.next());
  await issuer.rotate({ withdraw: true });
  await showKeys();
  const { agents } = clientsOf(await issuer.token());
  await onceItWorks(() => agents.getTaskStatus({ taskId }));
  expect(await end).toBe("CREDENTIAL_INVALID");
  expect(await reasonOf(old.getTaskStatus({ taskId }))).toBe("CREDENTIAL_INVALID");
});

describe("an API key", () => {
  test("is made with the operator's, works everywhere, and once revoked is refused everywhere within a second; its streams end", async () => {
    const { key, secret } = await operator().keys.createKey({ roles: ["submitter"] });
    const { taskId } = await clientsOf(secret).agents.submitTask({ type: "never-run" });
    const streams = await Promise.all(
      [0, 1, 2].flatMap((coordinator) =>
        (["grpc", "grpc-web", "connect"] as const).map(async (protocol) => {
          const { agents } = clientsOf(secret, { coordinator, protocol });
          // The other coordinators hear of a new key a moment later.
          await onceItWorks(() => agents.getTaskStatus({ taskId }));
          const stream = iteratorOf(agents.streamResults({ taskId }));
          expect((await stream.next()).value?.kind.case).toBe("snapshot");
          return stream;
        }),
      ),
    );
    const ends = streams.map((stream) => reasonOf(stream.next()));
    await operator().keys.revokeKey({ keyId: key!.keyId });
    expect(new Set(await Promise.all(ends))).toEqual(new Set(["CREDENTIAL_INVALID"]));
    for (const coordinator of [0, 1, 2]) {
      const call = clientsOf(secret, { coordinator }).agents.getTaskStatus({ taskId });
      expect(await reasonOf(call)).toBe("CREDENTIAL_INVALID");
    }
  });

  test("shows when it was used last", async () => {
    const { key, secret } = await operator().keys.createKey({ roles: ["submitter"] });
    await clientsOf(secret).agents.submitTask({ type: "t" });
    await onceItWorks(async () => {
      const { keys } = await operator().keys.listKeys({});
      expect(keys.find(({ keyId }) => keyId === key!.keyId)?.lastUseTime).toBeDefined();
    });
  });

  test("of another tenant sees nothing of this one", async () => {
    const { taskId } = await operator().agents.submitTask({ type: "t" });
    const { secret } = await operator().keys.createKey({ roles: ["admin"], tenant: "acme" });
    const { agents, keys } = clientsOf(secret);
    expect(await reasonOf(agents.getTaskStatus({ taskId }))).toBe("TASK_NOT_FOUND");
    expect((await keys.listKeys({})).keys.every(({ tenant }) => tenant === "acme")).toBe(true);
    expect(await reasonOf(keys.listKeys({ tenant: "default" }))).toBe("ACTION_NOT_ALLOWED");
    expect(await reasonOf(keys.createKey({ roles: ["admin"], tenant: "default" }))).toBe("ACTION_NOT_ALLOWED");
  });
});

describe("a stream token", () => {
  test("shows its task on every coordinator, and no other", async () => {
    const { agents } = operator();
    const [mine, other] = [await agents.submitTask({ type: "t" }), await agents.submitTask({ type: "t" })];
    const { token } = await agents.issueStreamToken({ scope: { case: "taskId", value: mine.taskId } });
    for (const coordinator of [0, 1, 2]) {
      const shown = clientsOf(token, { coordinator }).agents;
      expect((await shown.getTaskStatus({ taskId: mine.taskId })).status).toBeDefined();
      expect((await iteratorOf(shown.streamResults({ taskId: mine.taskId })).next()).value?.kind.case).toBe("snapshot");
      expect(await reasonOf(shown.getTaskStatus({ taskId: other.taskId }))).toBe("TASK_NOT_FOUND");
      expect(await reasonOf(iteratorOf(shown.streamResults({ taskId: other.taskId })).next())).toBe("TASK_NOT_FOUND");
      expect(await reasonOf(shown.getTask({ taskId: mine.taskId }))).toBe("ACTION_NOT_ALLOWED");
      expect(await reasonOf(shown.cancelTask({ taskId: mine.taskId }))).toBe("ACTION_NOT_ALLOWED");
      expect(await reasonOf(shown.submitTask({ type: "t" }))).toBe("ACTION_NOT_ALLOWED");
      expect(await reasonOf(shown.issueStreamToken({ scope: { case: "taskId", value: mine.taskId } }))).toBe(
        "ACTION_NOT_ALLOWED",
      );
    }
  });

  test("of a group shows the tasks that carry its label, also in a watch", async () => {
    const { agents } = operator();
    const labels = { run: "7" };
    const { token } = await agents.issueStreamToken({
      scope: { case: "group", value: { label: "run", value: "7" } },
    });
    const shown = clientsOf(token, { coordinator: 1 }).agents;
    const watch = iteratorOf(shown.watchTasks({}));
    expect((await watch.next()).value?.kind.case).toBe("keepAlive");
    const other = await agents.submitTask({ type: "t", labels: { run: "8" } });
    const mine = await agents.submitTask({ type: "t", labels });
    const { value } = await watch.next();
    expect(value?.kind.case === "change" && value.kind.value.taskId).toBe(mine.taskId);
    await watch.return?.();
    expect((await shown.getTaskStatus({ taskId: mine.taskId })).status).toBeDefined();
    expect(await reasonOf(shown.getTaskStatus({ taskId: other.taskId }))).toBe("TASK_NOT_FOUND");
  });

  test("ends its streams with its time", async () => {
    const { agents } = operator();
    const { taskId } = await agents.submitTask({ type: "never-run" });
    const { token } = await agents.issueStreamToken({
      scope: { case: "taskId", value: taskId },
      lifetime: { seconds: 5n },
    });
    const streams = (["grpc", "grpc-web", "connect"] as const).map((protocol) =>
      iteratorOf(clientsOf(token, { protocol }).agents.streamResults({ taskId })),
    );
    for (const stream of streams) await stream.next();
    for (const stream of streams) expect(await reasonOf(stream.next())).toBe("CREDENTIAL_INVALID");
    expect(await reasonOf(clientsOf(token).agents.getTaskStatus({ taskId }))).toBe("CREDENTIAL_INVALID");
  });

  test("ends with the API key with which it was issued, on every coordinator", async () => {
    const { key, secret } = await operator().keys.createKey({ roles: ["submitter"] });
    const { agents } = clientsOf(secret);
    const { taskId } = await agents.submitTask({ type: "never-run" });
    const { token } = await agents.issueStreamToken({ scope: { case: "taskId", value: taskId } });
    const stream = iteratorOf(clientsOf(token, { coordinator: 2 }).agents.streamResults({ taskId }));
    await stream.next();
    const end = reasonOf(stream.next());
    await operator().keys.revokeKey({ keyId: key!.keyId });
    expect(await end).toBe("CREDENTIAL_INVALID");
  });

  test("is all that a page of an allowed origin needs, and no other page can use it", async () => {
    const { agents } = operator();
    const { taskId } = await agents.submitTask({ type: "never-run" });
    const { token } = await agents.issueStreamToken({ scope: { case: "taskId", value: taskId } });
    const url = `${mesh.urls[1]!}/mycel.v1.AgentService/GetTaskStatus`;
    const headers = { "content-type": "application/json", authorization: `Bearer ${token}` };
    const call = (origin: string) =>
      fetch(url, { method: "POST", headers: { ...headers, origin }, body: JSON.stringify({ taskId }) });
    const asked = { "access-control-request-method": "POST", "access-control-request-headers": "authorization" };
    const preflight = await fetch(url, { method: "OPTIONS", headers: { origin: ORIGIN, ...asked } });
    expect(preflight.status).toBe(204);
    expect(preflight.headers.get("access-control-allow-headers")).toContain("authorization");
    const answer = await call(ORIGIN);
    expect([answer.status, answer.headers.get("access-control-allow-origin")]).toEqual([200, ORIGIN]);
    expect((await call("https://evil.example")).status).toBe(403);
    // Refused, a page must be able to read why.
    const refused = await fetch(url, {
      method: "POST",
      headers: { ...headers, authorization: "Bearer mst_x", origin: ORIGIN },
      body: "{}",
    });
    expect([refused.status, refused.headers.get("access-control-allow-origin")]).toEqual([401, ORIGIN]);
    expect(await refused.json()).toMatchObject({ code: "unauthenticated" });
  });
});

test("a stream token does not show what was put into its task", async () => {
  const { agents } = operator();
  const { taskId } = await agents.submitTask({
    type: "never-run",
    input: { kind: { case: "json", value: { kind: { case: "stringValue", value: "what was put in" } } } },
  });
  const { token } = await agents.issueStreamToken({ scope: { case: "taskId", value: taskId } });
  const shown = clientsOf(token).agents;
  const { value } = await iteratorOf(shown.streamResults({ taskId, kinds: [ResultKind.STATE] })).next();
  expect(JSON.stringify(value, (_, each: unknown) => (typeof each === "bigint" ? String(each) : each))).not.toContain(
    "what was put in",
  );
});

test("the operator's key is exchanged in its file without a restart, and the former one is worth nothing then", async () => {
  const former = operator();
  const { taskId } = await former.agents.submitTask({ type: "never-run" });
  const stream = iteratorOf(former.agents.streamResults({ taskId }));
  await stream.next();
  const end = reasonOf(stream.next());
  operatorKey = `mk_operator_${"e".repeat(40)}`;
  await write("admin-key", `${operatorKey}\n`);
  for (const coordinator of [0, 1, 2]) {
    const { keys } = clientsOf(operatorKey, { coordinator });
    await onceItWorks(() => keys.listKeys({}));
  }
  expect(await end).toBe("CREDENTIAL_INVALID");
  expect(await reasonOf(former.keys.listKeys({}))).toBe("CREDENTIAL_INVALID");
});

test("no credential that was presented stands in any log, nor in anything that the broker has stored", async () => {
  const { key, secret } = await operator().keys.createKey({ roles: ["submitter"] });
  await clientsOf(secret).agents.submitTask({ type: "t" });
  const logs = (): string => mesh.coordinators.map((coordinator) => coordinator.output()).join("\n");
  const files = await readdir(mesh.nats.dataDir, { recursive: true, withFileTypes: true });
  const stored = Buffer.concat(
    await Promise.all(files.filter((file) => file.isFile()).map((file) => readFile(join(file.parentPath, file.name)))),
  );
  // What is not secret of it is there: the search finds what there is.
  await onceItWorks(() => expect(logs()).toContain("call refused"));
  expect(stored.includes(key!.keyId)).toBe(true);
  const secrets = [...presented].map((credential) => credential.slice(-16)).filter((end) => end.length === 16);
  expect(secrets.length).toBeGreaterThan(20);
  const said = logs();
  expect(secrets.filter((end) => said.includes(end) || stored.includes(end))).toEqual([]);
});
