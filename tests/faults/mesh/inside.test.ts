// What a member does to itself when it is told to: its clock jumps, and its messages are lost or come twice.
// Counts of messages are lower bounds: the broker itself may deliver again on a slow machine.
import { afterAll, beforeAll, expect, test } from "vitest";
import { createClient, type MycelClient } from "../../../sdk/client/index.ts";
import { type Execution, readHistory } from "../history.ts";
import { type FaultMesh, openFaultMesh } from "./fault-mesh.ts";
import { fromTheStart } from "./member-process.ts";

const HOUR_MS = 3_600_000;
let mesh: FaultMesh;
let client: MycelClient;

beforeAll(async () => {
  mesh = await openFaultMesh({ coordinators: 1, agents: 1, leaseMs: 1_000 });
  client = createClient({ urls: mesh.urls });
});

afterAll(async () => {
  await client[Symbol.asyncDispose]();
  await mesh[Symbol.asyncDispose]();
});

function startsOf(taskId: string): Execution[] {
  return readHistory(mesh.historyDir).filter(
    (entry): entry is Execution => entry.what === "start" && entry.taskId === taskId,
  );
}

/** Minutes, rounded. */
function minutes(ms: number): number {
  // Not a negative zero.
  return Math.round(ms / 60_000) + 0;
}

/** By how many minutes a coordinator said that its clock was ahead, one after the other. */
function aheads(): number[] {
  const told = mesh.coordinators[0]!.output().matchAll(/"wall_ahead_ms":(-?\d+)/g);
  return [...told].map(([, ms]) => minutes(Number(ms)));
}

/** By how many minutes the clock of an agent is ahead. */
async function agentAhead(): Promise<number | undefined> {
  for await (const event of client.run("stream", { chunks: 1 })) {
    if (event.kind === "chunk") return minutes(event.time.getTime() - Date.now());
  }
  return undefined;
}

test(
  "a coordinator's clock jumps ahead, jumps again from there, and is true after a restart",
  { timeout: 30_000 },
  async () => {
    const [coordinator] = mesh.coordinators;
    await coordinator!.jumpClock(2 * HOUR_MS);
    await expect.poll(aheads, { timeout: 10_000 }).toEqual([120]);
    await coordinator!.jumpClock(-3 * HOUR_MS);
    await expect.poll(aheads, { timeout: 10_000 }).toEqual([120, -60]);
    // It would say so before it is ready.
    await coordinator!.restart();
    expect(aheads()).toEqual([120, -60]);
  },
);

test("an agent's clock jumps and nobody else's", async () => {
  const [agent] = mesh.agents;
  await agent!.jumpClock(HOUR_MS);
  expect(await agentAhead()).toBe(60);
  await agent!.jumpClock(-HOUR_MS);
  expect(await agentAhead()).toBe(0);
  expect(aheads()).toEqual([120, -60]);
});

test("an acknowledgement that is lost makes the broker deliver again, and no handler runs again", async () => {
  const [coordinator] = mesh.coordinators;
  const [agent] = mesh.agents;
  await coordinator!.tamper({ step: "ack.task", way: "out", every: 1, how: "lose" });
  const before = (await agent!.steps())["report"] ?? 0;
  await client.run("quick", {}, { taskId: "ack-lost" }).result();
  await coordinator!.tamper();
  // The agent asks about the delivery that came again.
  await expect
    .poll(async () => (await agent!.steps())["report"], { timeout: 5_000 })
    .toBeGreaterThanOrEqual(before + 2);
  expect(startsOf("ack-lost")).toHaveLength(1);
});

test("a delivery comes twice at the same agent", async () => {
  const [agent] = mesh.agents;
  await agent!.tamper({ step: "delivery.task", way: "in", every: 1, how: "again", afterMs: 30 });
  const before = (await agent!.steps())["in.delivery.task"] ?? 0;
  await client.run("work", { workMs: 100 }, { taskId: "twice" }).result();
  await expect.poll(async () => (await agent!.steps())["in.delivery.task"]).toBeGreaterThanOrEqual(before + 2);
  await agent!.tamper();
  expect((await client.status("twice")).attempt).toBe(1);
  expect(startsOf("twice")).toHaveLength(1);
});

test("a report that is sent twice is answered twice with the same word", async () => {
  const [agent] = mesh.agents;
  const [coordinator] = mesh.coordinators;
  await agent!.tamper({ step: "report", way: "out", every: 1, how: "double" });
  const before = (await coordinator!.steps())["report-reply"] ?? 0;
  await client.run("quick", {}, { taskId: "reported-twice" }).result();
  await expect.poll(async () => (await coordinator!.steps())["report-reply"]).toBeGreaterThanOrEqual(before + 2);
  await agent!.tamper();
  expect((await client.status("reported-twice")).attempt).toBe(1);
});

test("rules may be in force from the start on, and meet every so-manieth message", async () => {
  const [agent] = mesh.agents;
  const [coordinator] = mesh.coordinators;
  await agent!.restart(fromTheStart({ tamper: [{ step: "report", way: "out", every: 3, how: "double" }] }));
  const before = (await coordinator!.steps())["report-reply"] ?? 0;
  for (let i = 0; i < 6; i += 1) await client.run("quick").result();
  await expect.poll(async () => (await coordinator!.steps())["report-reply"]).toBeGreaterThanOrEqual(before + 8);
  await agent!.restart();
});

test("an order to a process that is gone is refused, and one that dies over it says so", async () => {
  const [agent] = mesh.agents;
  agent!.pause();
  const late = agent!.jumpClock(1);
  await agent!.kill();
  await expect(late).rejects.toThrow("agent-1 ended (SIGKILL) before it had carried out jump-clock");
  await expect(agent!.jumpClock(1)).rejects.toThrow("agent-1 does not run");
  await agent!.restart();
});
