// An agent that is revoked, on real processes: it is off the bus, and others finish its work, long before its leases end.

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { ConnectError } from "@connectrpc/connect";
import { afterAll, beforeAll, expect, test } from "vitest";
import { AgentState } from "../../../gen/mycel/v1/agent_pb.ts";
import { connectionsNamed } from "../../support/connections.ts";
import { executions } from "../../support/executions.ts";
import { openMesh, type TestMesh } from "../../support/processes.ts";
import { type AgentClient, agentClient, ended, json, results, stateName } from "../../support/task-calls.ts";

/** So long that nothing here can be taken for the end of a lease. */
const LEASE_MS = 120_000;
const PATIENCE_MS = 20_000;

let mesh: TestMesh;
let clients: AgentClient[];

beforeAll(async () => {
  mesh = await openMesh({ leaseMs: LEASE_MS, coordinators: 2 });
  clients = mesh.urls.map(agentClient);
});

afterAll(() => mesh[Symbol.asyncDispose]());

test("a revoked agent is off the bus within seconds, and another one finishes what it ran, with the same attempt", async () => {
  const [client, other] = clients as [AgentClient, AgentClient];
  const bad = await mesh.startAgent("bad", { MYCEL_CONCURRENCY: "2" });
  await client.submitTask({ taskId: "taken", type: "work", input: json({ until: "taken.go" }) });
  await client.submitTask({
    taskId: "last-chance",
    type: "work",
    input: json({ until: "taken.go" }),
    retryPolicy: { maximumAttempts: 1 },
  });
  for (const taskId of ["taken", "last-chance"]) await running(client, taskId, "bad");
  await using _good = await mesh.startAgent("good");

  const revokedMs = performance.now();
  const { agent } = await other.revokeAgent({ agentId: "bad", reason: "it listens to somebody else" });
  expect(agent).toMatchObject({ agentId: "bad", state: AgentState.REVOKED });
  await expect
    .poll(() => connectionsNamed(mesh.nats.monitorUrl, "mycel agent bad"), { timeout: PATIENCE_MS })
    .toEqual([]);
  for (const taskId of ["taken", "last-chance"]) await running(client, taskId, "good");
  expect(performance.now() - revokedMs).toBeLessThan(LEASE_MS / 4);
  writeFileSync(join(mesh.dir, "taken.go"), "");

  for (const taskId of ["taken", "last-chance"]) {
    const status = await ended(client, taskId);
    expect([stateName(status.state), status.attempt, status.agentId]).toEqual(["COMPLETED", 1, "good"]);
    const states = (await results(client, taskId)).flatMap(({ kind }) =>
      kind.case === "stateChange" ? [stateName(kind.value.status!.state)] : [],
    );
    expect(states).toEqual(["WORKING", "SUBMITTED", "WORKING", "COMPLETED"]);
  }
  // It is told why it stops, and does not come back.
  expect(await bad.exited).toBe(0);
  expect(bad.output()).toContain("was revoked");
  await expect(mesh.startAgent("bad")).rejects.toThrow("was revoked");
  const listed = await client.listAgents({ showRevoked: true });
  expect(listed.agents.map(({ agentId, state }) => [agentId, state])).toEqual([
    ["bad", AgentState.REVOKED],
    ["good", AgentState.ACTIVE],
  ]);

  await client.restoreAgent({ agentId: "bad" });
  await using _back = await mesh.startAgent("bad");
  expect((await other.getAgent({ agentId: "bad" })).agent?.state).toBe(AgentState.ACTIVE);
});

test("what a revoked agent holds without a word goes to others as well", async () => {
  const [client, other] = clients as [AgentClient, AgentClient];
  // A process that stands still says nothing: what it was given is with it, and nobody knows.
  const silent = await mesh.startAgent("silent", { TEST_LAZY_MS: "60000" });
  await client.submitTask({ taskId: "unseen", type: "work", input: json({ until: "unseen.go" }) });
  await expect.poll(() => executions(mesh.dir, "unseen").length, { timeout: 20_000 }).toBe(1);
  silent.signal("SIGSTOP");
  expect((await client.getTaskStatus({ taskId: "unseen" })).status?.agentId).toBe("");
  await using _good = await mesh.startAgent("good-2");
  // Nothing has been heard of it for so long that nobody knows any more what it can do.
  await expect.poll(() => isRegistered(client, "silent"), { timeout: 20_000 }).toBe(false);

  const revokedMs = performance.now();
  await other.revokeAgent({ agentId: "silent", reason: "" });
  await running(client, "unseen", "good-2");
  expect(performance.now() - revokedMs).toBeLessThan(LEASE_MS / 4);
  writeFileSync(join(mesh.dir, "unseen.go"), "");
  expect((await ended(client, "unseen")).agentId).toBe("good-2");
  silent.signal("SIGKILL");
});

async function running(client: AgentClient, taskId: string, agentId: string): Promise<void> {
  await expect
    .poll(
      async () => {
        try {
          const { status } = await client.getTaskStatus({ taskId });
          return `${stateName(status!.state)} ${status!.agentId}`;
        } catch (error) {
          return ConnectError.from(error).message;
        }
      },
      { timeout: 20_000 },
    )
    .toBe(`WORKING ${agentId}`);
}

async function isRegistered(client: AgentClient, agentId: string): Promise<boolean> {
  const { agents } = await client.listAgents({});
  return agents.some((agent) => agent.agentId === agentId);
}
