// Agents that die, stand still, or kill themselves: the work goes on elsewhere, and each task ends once.

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { executions } from "../../support/executions.ts";
import { openMesh, type TestMesh } from "../../support/processes.ts";
import { type AgentClient, agentClient, ended, json, results, stateName } from "../../support/task-calls.ts";

const LEASE_MS = 1_500;
let mesh: TestMesh;
let client: AgentClient;

beforeAll(async () => {
  mesh = await openMesh({ leaseMs: LEASE_MS });
  client = agentClient(mesh.urls[0]!);
});

afterAll(async () => {
  await mesh[Symbol.asyncDispose]();
});

async function started(taskId: string, count = 1): Promise<void> {
  await expect
    .poll(() => executions(mesh.dir, taskId).filter(({ what }) => what === "start").length, { timeout: 20_000 })
    .toBeGreaterThanOrEqual(count);
}

test("another agent finishes the task of an agent that was killed, once", async () => {
  const first = await mesh.startAgent("killed-1");
  const taskId = "kill-agent";
  await client.submitTask({ taskId, type: "work", input: json({ until: "kill-agent.go" }) });
  await started(taskId);
  await using _second = await mesh.startAgent("killed-2");
  first.signal("SIGKILL");
  await started(taskId, 2);
  writeFileSync(join(mesh.dir, "kill-agent.go"), "");

  const status = await ended(client, taskId);

  expect(stateName(status.state)).toBe("COMPLETED");
  expect([status.attempt, status.agentId]).toEqual([2, "killed-2"]);
  const runs = executions(mesh.dir, taskId).map(({ what, agentId, attempt }) => `${what} ${agentId} ${attempt}`);
  expect(runs).toEqual(["start killed-1 1", "start killed-2 2", "end killed-2 2"]);
  const states = (await results(client, taskId)).flatMap(({ kind }) =>
    kind.case === "stateChange" ? [`${stateName(kind.value.status!.state)} ${kind.value.status!.attempt}`] : [],
  );
  expect(states).toEqual(["WORKING 1", "WORKING 2", "COMPLETED 2"]);
});

test("the late result of an agent that stood still beyond its lease is refused", async () => {
  const frozen = await mesh.startAgent("frozen-1");
  const taskId = "zombie";
  await client.submitTask({ taskId, type: "work", input: json({ until: "zombie.go" }) });
  await started(taskId);
  frozen.signal("SIGSTOP");
  await using _second = await mesh.startAgent("frozen-2");
  await started(taskId, 2);
  writeFileSync(join(mesh.dir, "zombie.go"), "");
  const status = await ended(client, taskId);
  expect(status.agentId).toBe("frozen-2");

  frozen.signal("SIGCONT");
  // The zombie takes work again only when it has got rid of the old: its next task proves that its late report was answered.
  await client.submitTask({ taskId: "zombie-after", type: "work", input: json({}) });
  await ended(client, "zombie-after");
  await frozen[Symbol.asyncDispose]();

  const messages = await results(client, taskId);
  const terminal = messages.filter(
    ({ kind }) => kind.case === "stateChange" && kind.value.status?.endTime !== undefined,
  );
  expect(terminal).toHaveLength(1);
  expect((await client.getTaskStatus({ taskId })).status).toEqual(status);
});

test("a handler that blocks the event loop beyond the lease loses it, and the task still ends once", async () => {
  // Whichever gets it first, the other is there when the lease is over: to start takes longer than that on a busy machine.
  await using _one = await mesh.startAgent("blocked-1");
  await using _two = await mesh.startAgent("blocked-2");
  const taskId = "blocked";
  const blockMs = LEASE_MS * 2;
  await client.submitTask({ taskId, type: "block", input: json({ blockMs }), retryPolicy: { maximumAttempts: 2 } });

  const status = await ended(client, taskId);

  const terminal = (await results(client, taskId)).filter(
    ({ kind }) => kind.case === "stateChange" && kind.value.status?.endTime !== undefined,
  );
  expect(terminal).toHaveLength(1);
  expect(executions(mesh.dir, taskId).filter(({ what }) => what === "start")).toHaveLength(2);
  expect(status.attempt).toBe(2);
});

test("a task that kills its agent each time ends in the dead letters after its attempts, and can be redriven", async () => {
  const taskId = "poison";
  await client.submitTask({
    taskId,
    type: "poison",
    retryPolicy: { maximumAttempts: 3, initialInterval: { nanos: 10_000_000 } },
  });
  for (let attempt = 1; attempt <= 3; attempt += 1) {
    // It may die before or after it says that it is ready.
    await mesh.startAgent(`victim-${attempt}`).then(
      ({ exited }) => exited,
      () => undefined,
    );
    expect(executions(mesh.dir, taskId)).toHaveLength(attempt);
  }
  // Somebody has to ask before the last attempt is known to be lost.
  await using _survivor = await mesh.startAgent("survivor");

  const status = await ended(client, taskId);

  expect(stateName(status.state)).toBe("FAILED");
  expect(status).toMatchObject({ attempt: 3, deadLetter: true, failure: { reason: "AGENT_LOST" } });
  expect(executions(mesh.dir, taskId).map(({ agentId }) => agentId)).toEqual(["victim-1", "victim-2", "victim-3"]);
  await expect
    .poll(async () => (await client.listDeadLetters({})).deadLetters.map(({ task }) => task?.taskId), {
      timeout: 10_000,
    })
    .toContain(taskId);

  writeFileSync(join(mesh.dir, "antidote"), "");
  const { task } = await client.retryTask({ taskId });
  expect(task?.redriveOf).toBe(taskId);
  expect(stateName((await ended(client, task!.taskId)).state)).toBe("COMPLETED");
  expect((await client.retryTask({ taskId })).existing).toBe(true);
  expect((await client.getTaskStatus({ taskId })).status).toEqual(status);
});
