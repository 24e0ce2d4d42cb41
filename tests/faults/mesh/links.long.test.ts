// The links of a mesh: faults between two of its members, and members that are cut off.
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { TASKS_STREAM } from "../../../lib/wire/subjects.ts";
import { createClient, type MycelClient } from "../../../sdk/client/index.ts";
import { type Execution, readHistory } from "../history.ts";
import { stepDownConsumers } from "./broker-actions.ts";
import { type FaultMesh, openFaultMesh } from "./fault-mesh.ts";

function startsOf(mesh: FaultMesh, taskId: string): Execution[] {
  return readHistory(mesh.historyDir).filter(
    (entry): entry is Execution => entry.what === "start" && entry.taskId === taskId,
  );
}

describe("with one broker", () => {
  let mesh: FaultMesh;
  let client: MycelClient;

  beforeAll(async () => {
    mesh = await openFaultMesh({
      coordinators: 2,
      agents: 2,
      leaseMs: 1_000,
      links: ["client-coordinator", "agent-coordinator", "coordinator-broker", "agent-broker"],
    });
    client = createClient({ urls: mesh.urls });
  });

  afterAll(async () => {
    await client[Symbol.asyncDispose]();
    await mesh[Symbol.asyncDispose]();
  });

  test("an agent that is cut off loses its attempt to another one, and works again when it is back", async () => {
    await client.submit("work", { workMs: 300 }, { taskId: "cut-off" });
    await expect.poll(() => startsOf(mesh, "cut-off")).toHaveLength(1);
    const holder = mesh.agents.find(({ name }) => name === startsOf(mesh, "cut-off")[0]?.agentId)!;
    const other = mesh.agents.find((agent) => agent !== holder)!;
    await mesh.isolate(holder);
    const { state, status } = await client.outcome("cut-off");
    expect([state, status.attempt, status.agentId]).toEqual(["completed", 2, other.name]);
    await mesh.heal();
    await other.kill();
    await client.submit("quick", {}, { taskId: "back-again" });
    expect((await client.outcome("back-again")).status.agentId).toBe(holder.name);
    await other.restart();
  });

  test("a client goes on with the other coordinator when the way to its own is cut", async () => {
    const [first] = mesh.coordinators;
    await first!.proxies["client-coordinator"]!.cut();
    await expect(fetch(`${mesh.urls[0]}/healthz`)).rejects.toThrow();
    expect((await fetch(`${mesh.urls[1]}/healthz`)).status).toBe(200);
    expect(await client.run("quick").result()).toMatchObject({ attempt: 1 });
    await mesh.heal();
    expect((await fetch(`${mesh.urls[0]}/healthz`)).status).toBe(200);
  });

  test("a coordinator is not ready while the way to its broker is cut", async () => {
    const [first] = mesh.coordinators;
    await first!.proxies["coordinator-broker"]!.to("n0").cut();
    await expect.poll(async () => (await fetch(`${mesh.urls[0]}/readyz`)).status).toBe(503);
    await mesh.heal();
    await expect.poll(async () => (await fetch(`${mesh.urls[0]}/readyz`)).status, { timeout: 5_000 }).toBe(200);
  });
});

describe("with three brokers", () => {
  let mesh: FaultMesh;
  let client: MycelClient;

  beforeAll(async () => {
    mesh = await openFaultMesh({
      brokers: 3,
      coordinators: 1,
      agents: 1,
      links: ["broker-broker", "agent-broker", "coordinator-broker"],
    });
    client = createClient({ urls: mesh.urls, timeoutMs: 30_000 });
  });

  afterAll(async () => {
    await client[Symbol.asyncDispose]();
    await mesh[Symbol.asyncDispose]();
  });

  test("leaders hand over when they are told to, and tasks go on", async () => {
    const before = await mesh.leaderOf(TASKS_STREAM);
    const after = await mesh.stepDown(TASKS_STREAM);
    expect(after).not.toBe(before);
    expect(await stepDownConsumers(mesh.natsUrl, TASKS_STREAM, (name) => name.includes("=quick="))).toHaveLength(4);
    expect(await client.run("quick").result()).toMatchObject({ attempt: 1 });
  });

  test("a leader that is cut off from everybody is replaced, and tasks go on before and after it is back", async () => {
    const leader = await mesh.leaderOf(TASKS_STREAM);
    await mesh.isolate(leader, "refused");
    await expect
      .poll(async () => await mesh.leaderOf(TASKS_STREAM).catch(() => leader), { timeout: 30_000 })
      .not.toBe(leader);
    expect(await client.run("quick").result()).toMatchObject({ agentId: "agent-1" });
    await mesh.heal();
    await expect.poll(async () => (await fetch(`${leader.monitorUrl}/healthz`)).status, { timeout: 30_000 }).toBe(200);
    expect(await client.run("quick").result()).toMatchObject({ agentId: "agent-1" });
  });
});
