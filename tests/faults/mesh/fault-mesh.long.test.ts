// The mesh does to its members what it says, and its agents write down what they do.
import { afterAll, beforeAll, expect, test } from "vitest";
import { createClient, type MycelClient } from "../../../sdk/client/index.ts";
import { type Execution, readHistory } from "../history.ts";
import { type FaultMesh, openFaultMesh } from "./fault-mesh.ts";

const RETRY = { maximumAttempts: 4, initialIntervalMs: 50, maximumIntervalMs: 50 };
let mesh: FaultMesh;
let client: MycelClient;

beforeAll(async () => {
  mesh = await openFaultMesh({ coordinators: 2, agents: 2, leaseMs: 1_000 });
  client = createClient({ urls: mesh.urls });
});

afterAll(async () => {
  await client[Symbol.asyncDispose]();
  await mesh[Symbol.asyncDispose]();
});

/** What the handlers of a task wrote down, in short. */
function runsOf(taskId: string): string[] {
  return executionsOf(taskId).map(({ what, attempt, result = "" }) => `${what} ${attempt} ${result}`.trim());
}

function executionsOf(taskId: string): Execution[] {
  return readHistory(mesh.historyDir).filter(
    (entry): entry is Execution => (entry.what === "start" || entry.what === "end") && entry.taskId === taskId,
  );
}

/** How a task ended. */
async function endOf(
  taskId: string,
): Promise<{ readonly state: string; readonly attempt: number; readonly agentId: string }> {
  const { state, status } = await client.outcome(taskId);
  return { state, attempt: status.attempt, agentId: status.agentId };
}

test("a handler writes down its start and its end, and names its execution in its result", async () => {
  const result = await client.run("quick", {}, { taskId: "quick-1" }).result();

  const [start, end] = executionsOf("quick-1");
  expect(runsOf("quick-1")).toEqual(["start 1", "end 1 completed"]);
  expect(start?.execution).toBe(end?.execution);
  expect(result).toEqual({ execution: end?.execution, agentId: end?.agentId, attempt: 1, chunks: 0 });
});

test("a stream's chunks are numbered and carry their execution", async () => {
  const chunks: unknown[] = [];
  const run = client.run("stream", { chunks: 3, everyMs: 5, bytes: 10 }, { taskId: "stream-1" });
  for await (const event of run) if (event.kind === "chunk") chunks.push(event.value);

  const [start] = executionsOf("stream-1");
  const filler = "x".repeat(10);
  expect(chunks).toEqual([1, 2, 3].map((index) => ({ index, execution: start?.execution, filler })));
  expect(executionsOf("stream-1").at(-1)).toMatchObject({ what: "end", result: "completed", chunks: 3 });
});

test("failing handlers fail as often as their input says", async () => {
  await client.run("flaky", { failures: 2 }, { taskId: "flaky-1", retry: RETRY }).result();
  const ends = runsOf("flaky-1").filter((line) => line.startsWith("end"));
  expect(ends).toEqual(["end 1 failed", "end 2 failed", "end 3 completed"]);
  await client.submit("fail", {}, { taskId: "fail-1", retry: RETRY });
  expect(await endOf("fail-1")).toMatchObject({ state: "failed", attempt: 1 });
  await client.submit("fail", { retryable: true }, { taskId: "fail-2", retry: { ...RETRY, maximumAttempts: 2 } });
  expect(await endOf("fail-2")).toMatchObject({ state: "failed", attempt: 2 });
});

test("a patient handler ends aborted when its task is canceled", async () => {
  await client.submit("patient", {}, { taskId: "patient-1" });
  await expect.poll(() => runsOf("patient-1")).toEqual(["start 1"]);
  await client.cancel("patient-1");
  await expect.poll(() => runsOf("patient-1")).toEqual(["start 1", "end 1 aborted"]);
});

test("a digest reads an input that came as a blob, and may return a large result", async () => {
  const input = new Uint8Array(600_000).fill(7);
  const options = { taskId: "digest-1", labels: { "result-bytes": "400000" } };
  const result = await client.run<{ bytes: number; sha256: string; filler: string }>("digest", input, options).result();
  const sha256 = Buffer.from(await crypto.subtle.digest("SHA-256", input)).toString("hex");
  expect([result.bytes, result.sha256, result.filler.length]).toEqual([600_000, sha256, 400_000]);
});

test("a poison task kills its agent, and the agent can be started again under its name", async () => {
  const victims = [...mesh.agents];
  await client.submit("poison", { attempts: 1 }, { taskId: "poison-1", retry: RETRY });
  const dead = await Promise.race(victims.map(async (agent) => await agent.exited.then(() => agent)));
  expect([dead.running, await dead.exited]).toEqual([false, "SIGKILL"]);
  expect(await endOf("poison-1")).toMatchObject({ state: "completed", attempt: 2 });
  const { pid } = dead;
  await dead.restart();
  expect(dead.running).toBe(true);
  expect(dead.pid).not.toBe(pid);
});

test("a paused agent loses its lease to another one, and goes on when it is resumed", async () => {
  // Long enough for a busy machine to pause its agent before it is done.
  await client.submit("work", { workMs: 2_000 }, { taskId: "paused-1" });
  await expect.poll(() => runsOf("paused-1"), { timeout: 10_000 }).toEqual(["start 1"]);
  const holder = mesh.agents.find(({ name }) => name === executionsOf("paused-1")[0]?.agentId)!;
  holder.pause();
  const end = await endOf("paused-1");
  holder.resume();
  expect(end).toMatchObject({ state: "completed", attempt: 2 });
  expect(end.agentId).not.toBe(holder.name);
});

test("a coordinator comes back on its port after a kill, and ends cleanly when it is asked to", async () => {
  const [first] = mesh.coordinators;
  await first!.kill();
  expect(first!.running).toBe(false);
  await expect(fetch(`${mesh.urls[0]}/healthz`)).rejects.toThrow();
  await first!.restart();
  expect((await fetch(`${mesh.urls[0]}/healthz`)).status).toBe(200);
  expect(await first!.terminate()).toBe(0);
  await first!.restart();
});

test("a broker comes back on its port with what it stored", async () => {
  const [broker] = mesh.brokers;
  await client.submit("patient", { maxMs: 0 }, { taskId: "over-restart" });
  await broker!.kill();
  expect(broker!.running).toBe(false);
  await broker!.restart();
  expect(broker!.running).toBe(true);
  expect((await client.outcome("over-restart")).state).toBe("completed");
});
