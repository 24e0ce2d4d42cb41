// Agents whose credentials end every ten seconds, on real processes: nothing that they do is lost by that, and nothing is done twice.

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { connectionsNamed } from "../../support/connections.ts";
import { executions } from "../../support/executions.ts";
import { fixedPort } from "../../support/fixed-port.ts";
import { openMesh, type TestMesh } from "../../support/processes.ts";
import { agentClient, type AgentClient, ended, json, stateName } from "../../support/task-calls.ts";

const CREDENTIAL_MS = 10_000;
/** So long that a delivery that got lost with a connection would come back only after all of this is over. */
const LEASE_MS = 300_000;
const TASKS_AT_ONCE = 16;

test("an agent goes on under load over renewals of its credential: every task is done once, by its first attempt", async () => {
  await using mesh = await openMesh({ leaseMs: LEASE_MS, env: { MYCEL_AGENT_CREDENTIAL: String(CREDENTIAL_MS) } });
  const client = agentClient(mesh.urls[0]!);
  await using agent = await mesh.startAgent("busy", { MYCEL_CONCURRENCY: "8", MYCEL_LOG_LEVEL: "info" });
  const long = "held-over-renewals";
  await client.submitTask({ taskId: long, type: "work", input: json({ until: "renewed.go" }) });
  const seen = new Set(await connectionsNamed(mesh.nats.monitorUrl, "mycel agent busy"));
  const first = [...seen];
  expect(first).toHaveLength(1);

  let count = 0;
  const until = performance.now() + 2.3 * CREDENTIAL_MS;
  await Promise.all(
    Array.from({ length: TASKS_AT_ONCE }, async () => {
      while (performance.now() < until) {
        const taskId = `t${(count += 1)}`;
        await client.submitTask({ taskId, type: "work", input: json({ workMs: count % 40 }) });
        const status = await ended(client, taskId);
        expect([stateName(status.state), status.attempt, taskId]).toEqual(["COMPLETED", 1, taskId]);
        for (const cid of await connectionsNamed(mesh.nats.monitorUrl, "mycel agent busy")) seen.add(cid);
      }
    }),
  );
  writeFileSync(join(mesh.dir, "renewed.go"), "");
  const held = await ended(client, long);

  expect([stateName(held.state), held.attempt]).toEqual(["COMPLETED", 1]);
  expect(seen.size).toBeGreaterThanOrEqual(4);
  expect(agent.output()).not.toContain("connection to NATS lost");
  expect(agent.output()).not.toMatch(/"level":"?(?:warn|error|[45]0)/);
  const starts = executions(mesh.dir).filter(({ what }) => what === "start");
  expect(starts).toHaveLength(count + 1);
  expect(new Set(starts.map(({ taskId }) => taskId)).size).toBe(count + 1);
});

test("an agent whose coordinators are away when its credential ends goes on with what it runs once they are back", async () => {
  const port = await fixedPort();
  await using mesh = await openMesh({
    leaseMs: LEASE_MS,
    env: { MYCEL_AGENT_CREDENTIAL: String(CREDENTIAL_MS), MYCEL_LISTEN: `127.0.0.1:${port}` },
  });
  const client = agentClient(mesh.urls[0]!);
  await using agent = await mesh.startAgent("patient", { MYCEL_LOG_LEVEL: "info" });
  await client.submitTask({ taskId: "over-the-end", type: "work", input: json({ until: "back.go" }) });
  await expect.poll(() => executions(mesh.dir).length, { timeout: 20_000 }).toBe(1);
  await connected(mesh, 1);

  mesh.coordinators[0]!.signal("SIGKILL");
  await mesh.coordinators[0]!.exited;
  // The broker has closed its connection, and does not let it in.
  await connected(mesh, 0);
  await mesh.addCoordinator();
  await connected(mesh, 1);
  writeFileSync(join(mesh.dir, "back.go"), "");

  const status = await ended(client, "over-the-end");
  expect([stateName(status.state), status.attempt, status.agentId]).toEqual(["COMPLETED", 1, "patient"]);
  await works(client, "after-the-end");
  expect(executions(mesh.dir, "over-the-end").map(({ what }) => what)).toEqual(["start", "end"]);
  expect(agent.output()).toContain("connection to NATS lost");
});

/** Waits until the agent has so many connections. */
async function connected(mesh: TestMesh, count: number): Promise<void> {
  await expect
    .poll(async () => (await connectionsNamed(mesh.nats.monitorUrl, "mycel agent patient")).length, {
      timeout: 4 * CREDENTIAL_MS,
      interval: 100,
    })
    .toBe(count);
}

async function works(client: AgentClient, taskId: string): Promise<void> {
  await client.submitTask({ taskId, type: "reverse", input: json({ text: "abc" }) });
  expect(stateName((await ended(client, taskId)).state)).toBe("COMPLETED");
}
