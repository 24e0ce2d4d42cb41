import { execFile } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { afterAll, beforeAll, expect, test } from "vitest";
import { AgentService } from "../../../gen/mycel/v1/agent_service_pb.ts";
import { KeyService } from "../../../gen/mycel/v1/key_service_pb.ts";
import { readDetails } from "../../../lib/rpc/rich-error.ts";
import { openMesh, startProcess, type TestMesh } from "../../support/processes.ts";
import { failureOf } from "../../support/rpc-call.ts";

const OPERATOR = `mk_operator_${"x".repeat(40)}`;
const as = (key: string) => ({ headers: { authorization: `Bearer ${key}` } });

let mesh: TestMesh;
beforeAll(async () => {
  mesh = await openMesh();
});
afterAll(() => mesh[Symbol.asyncDispose]());

test("a mesh without any means to ask who calls does not start where others reach it: one line, and exit code 2", async () => {
  const env = { ...process.env, ...mesh.env, NODE_NO_WARNINGS: "1", MYCEL_LISTEN: "0.0.0.0:0" };
  const failed = promisify(execFile)(process.execPath, ["services/coordinator/main.ts"], { env });
  await expect(failed).rejects.toMatchObject({
    code: 2,
    stdout: "",
    stderr: expect.stringMatching(
      /^mycel coordinator: coordinator\.listen \(MYCEL_LISTEN\) is 0\.0\.0\.0, which others can reach, but [^\n]*\n$/,
    ),
  });
});

test("on loopback it starts open, and says so", async () => {
  const url = await mesh.addCoordinator();
  expect(mesh.coordinators[0]!.output()).toContain("THIS MESH IS OPEN");
  const client = createClient(AgentService, createGrpcTransport({ baseUrl: url }));
  expect((await client.listAgents({})).agents).toEqual([]);
});

test("with an operator's key it starts anywhere, asks everybody, and lets in whom the operator gave a key", async () => {
  const policy = join(mesh.dir, "policy.yaml");
  await writeFile(policy, "roles: { watcher: { actions: [agent:read] } }");
  await using started = await startProcess("services/coordinator/main.ts", {
    ...mesh.env,
    MYCEL_LISTEN: "0.0.0.0:0",
    MYCEL_ADMIN_KEY: OPERATOR,
    MYCEL_POLICY: policy,
  });
  expect(started.output()).not.toContain("OPEN");
  await expect.poll(() => started.output()).toContain("callers' credentials come in cleartext");
  const transport = createGrpcTransport({ baseUrl: String(started.ready["url"]) });
  const client = createClient(AgentService, transport);
  const keys = createClient(KeyService, transport);

  expect((await failureOf(client.listAgents({}))).code).toBe(Code.Unauthenticated);
  const { key, secret } = await keys.createKey({ roles: ["watcher"] }, as(OPERATOR));
  expect((await client.listAgents({}, as(secret))).agents).toEqual([]);
  const refused = await failureOf(client.countTasks({}, as(secret)));
  expect([refused.code, readDetails(refused).metadata]).toEqual([Code.PermissionDenied, { action: "task:read" }]);

  // A role that says something else counts at the next call, and for those that go on.
  const watch = client.watchAgents({}, as(secret))[Symbol.asyncIterator]();
  await watch.next();
  await writeFile(policy, "roles: { watcher: { actions: [task:read] } }");
  const ended = failureOf(watch.next());
  expect((await ended).code).toBe(Code.PermissionDenied);
  expect((await client.countTasks({}, as(secret))).totalCount).toBe(0n);

  const results = client.watchTasks({}, as(secret))[Symbol.asyncIterator]();
  await results.next();
  await keys.revokeKey({ keyId: key!.keyId }, as(OPERATOR));
  const over = await failureOf(results.next());
  expect([over.code, readDetails(over).reason]).toEqual([Code.Unauthenticated, "CREDENTIAL_INVALID"]);
  expect((await failureOf(client.countTasks({}, as(secret)))).code).toBe(Code.Unauthenticated);
  expect(ConnectError.from(over).rawMessage).toBe("the credential is not valid");
});
