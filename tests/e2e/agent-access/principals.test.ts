// Agents on a mesh where everybody shows who they are: their keys are revoked, their ids are tried, and people shut them out by hand.

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { afterAll, beforeAll, expect, test } from "vitest";
import { AgentService } from "../../../gen/mycel/v1/agent_service_pb.ts";
import { type CliResult, runCli } from "../../support/cli.ts";
import { connectionsNamed } from "../../support/connections.ts";
import { openMesh, startProcess, type TestMesh } from "../../support/processes.ts";
import { type AgentClient, ended, json, stateName } from "../../support/task-calls.ts";

const OPERATOR_KEY = `mk_operator_${"c".repeat(40)}`;
/** So long that nothing here can be taken for the end of a lease. */
const LEASE_MS = 300_000;

let mesh: TestMesh;
let admin: AgentClient;

beforeAll(async () => {
  mesh = await openMesh({ coordinators: 2, leaseMs: LEASE_MS, env: { MYCEL_ADMIN_KEY: OPERATOR_KEY } });
  const { secret } = await keyOf("admin");
  admin = clientWith(mesh.urls[0]!, secret);
});

afterAll(() => mesh[Symbol.asyncDispose]());

test("the agents of a key that is revoked are off the bus, and the agents of another key finish their work", async () => {
  const [bad, good] = [await keyOf("agent"), await keyOf("agent")];
  const first = await mesh.startAgent("first", { MYCEL_API_KEY: bad.secret });
  await admin.submitTask({ taskId: "handed-over", type: "work", input: json({ until: "handed-over.go" }) });
  await working("handed-over", "first");
  await using _second = await mesh.startAgent("second", { MYCEL_API_KEY: good.secret });

  // Another coordinator than the one that the agent registered with.
  const revoked = await runCli(mesh.urls[1]!, ["keys", "revoke", bad.keyId, "--tenant", "acme"], operator);
  expect(revoked.code).toBe(0);

  await working("handed-over", "second");
  await expect.poll(() => connectionsNamed(mesh.nats.monitorUrl, "mycel agent first"), { timeout: 20_000 }).toEqual([]);
  writeFileSync(join(mesh.dir, "handed-over.go"), "");
  const status = await ended(admin, "handed-over");
  expect([stateName(status.state), status.attempt, status.agentId]).toEqual(["COMPLETED", 1, "second"]);
  await first[Symbol.asyncDispose]();

  // Not the agent was revoked, but its key: with another one it comes back.
  await using _again = await mesh.startAgent("first", { MYCEL_API_KEY: good.secret });
});

test("an agent's id is not given to another key while it is registered", async () => {
  const [owner, other] = [await keyOf("agent"), await keyOf("agent")];
  await using _owned = await mesh.startAgent("owned", { MYCEL_API_KEY: owner.secret });
  await expect(mesh.startAgent("owned", { MYCEL_API_KEY: other.secret })).rejects.toThrow(
    'agent "owned" is registered by somebody else',
  );
});

test("people shut an agent out and let it in again; the stock agent ends with the reason", async () => {
  const { secret } = await keyOf("agent");
  const run = async (...args: string[]): Promise<CliResult> => await runCli(mesh.urls[0]!, args, asAdmin());
  const agent = await startProcess("services/worker/main.ts", {
    MYCEL_URL: mesh.urls.join(","),
    MYCEL_AGENT_ID: "stock",
    MYCEL_API_KEY: secret,
  });
  const shut = await run("agents", "revoke", "stock", "--reason", "its machine was stolen");
  expect(shut).toMatchObject({ code: 0, stdout: "agent stock is revoked\n" });
  expect(await agent.exited).toBe(1);
  expect(agent.output()).toContain('agent "stock" was revoked');
  expect((await run("agents")).stdout).not.toContain("stock");
  expect((await run("agents", "--revoked")).stdout).toMatch(/^stock .* revoked /m);
  const restored = await run("agents", "restore", "stock");
  expect(restored).toMatchObject({ code: 0, stdout: "agent stock may register again\n" });
  expect((await run("agents", "--revoked")).stdout).not.toContain("revoked");
});

const operator = { env: { MYCEL_API_KEY: OPERATOR_KEY } };
let adminSecret = "";

function asAdmin(): { readonly env: Readonly<Record<string, string>> } {
  return { env: { MYCEL_API_KEY: adminSecret } };
}

async function keyOf(role: string): Promise<{ readonly keyId: string; readonly secret: string }> {
  const made = await runCli(mesh.urls[0]!, ["keys", "create", "--role", role, "--tenant", "acme", "--json"], operator);
  expect(made.stderr).toBe("");
  const { key, secret } = JSON.parse(made.stdout) as { key: { keyId: string }; secret: string };
  if (role === "admin") adminSecret = secret;
  return { keyId: key.keyId, secret };
}

function clientWith(baseUrl: string, secret: string): AgentClient {
  return createClient(
    AgentService,
    createGrpcTransport({
      baseUrl,
      interceptors: [
        (next) => (request) => {
          request.header.set("authorization", `Bearer ${secret}`);
          return next(request);
        },
      ],
    }),
  );
}

async function working(taskId: string, agentId: string): Promise<void> {
  await expect
    .poll(
      async () => {
        const { status } = await admin.getTaskStatus({ taskId });
        return `${stateName(status!.state)} ${status!.agentId}`;
      },
      { timeout: 20_000 },
    )
    .toBe(`WORKING ${agentId}`);
}
