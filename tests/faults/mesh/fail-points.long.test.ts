// Every step of a coordinator towards the outside really occurs under its name, and a coordinator can be killed at it.
import { readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { jetstreamManager } from "@nats-io/jetstream";
import { Kvm } from "@nats-io/kv";
import { connect } from "@nats-io/transport-node";
import { afterAll, beforeAll, expect, test } from "vitest";
import { eventSubject, ROLES_BUCKET, TASKS_STREAM } from "../../../lib/wire/subjects.ts";
import { createClient, type MycelClient, type TaskOptions } from "../../../sdk/client/index.ts";
import { type FaultMesh, openFaultMesh } from "./fault-mesh.ts";
import { AGENT_STEPS, COORDINATOR_STEPS } from "./inside/steps.ts";
import { fromTheStart, type MemberProcess } from "./member-process.ts";
import { accessTo } from "../../support/trust.ts";

const RETRY = { maximumAttempts: 3, initialIntervalMs: 20 };
const TENANT = "default";

/** What the holder of a role does when it is asked to stop. */
const LAST_STEPS = ["role-remove", "role-signal"];

let mesh: FaultMesh;
let client: MycelClient;
let count = 0;

beforeAll(async () => {
  mesh = await openFaultMesh({ coordinators: 2, agents: 1, agentEnv: { FAULT_DRAIN_MS: "0" } });
  client = createClient({ urls: mesh.urls });
});

afterAll(async () => {
  await client[Symbol.asyncDispose]();
  await mesh[Symbol.asyncDispose]();
});

async function submit(type: string, input: unknown = {}, options: TaskOptions = {}): Promise<string> {
  count += 1;
  const { taskId } = await client.submit(type, input, { taskId: `t-${count}`, retry: RETRY, ...options });
  return taskId;
}

/** A task whose handler runs, as the mesh knows. */
async function running(): Promise<string> {
  const taskId = await submit("patient");
  await expect.poll(async () => (await client.status(taskId)).attempt, { timeout: 5_000 }).toBe(1);
  return taskId;
}

/** Which steps any coordinator took. */
async function stepsOfAll(): Promise<ReadonlySet<string>> {
  const each = await Promise.all(mesh.coordinators.map((coordinator) => coordinator.steps()));
  return new Set(each.flatMap(outgoing));
}

function outgoing(steps: Readonly<Record<string, number>>): readonly string[] {
  return Object.keys(steps).filter((step) => !step.startsWith("in."));
}

/** A coordinator that was killed holds its roles for some seconds more, in which nobody has them. */
async function freeRoles(): Promise<void> {
  await using connection = await connect(await accessTo(mesh.natsUrl));
  const roles = await new Kvm(connection).open(ROLES_BUCKET);
  for await (const name of await roles.keys()) await roles.purge(name);
}

/** The coordinator that serves the index: it has put its process id into the role. */
async function roleHolder(): Promise<MemberProcess> {
  await using connection = await connect(await accessTo(mesh.natsUrl));
  const roles = await new Kvm(connection).open(ROLES_BUCKET);
  const find = async (): Promise<MemberProcess | undefined> => {
    const names = await Array.fromAsync(await roles.keys());
    const [holder = ""] = await Promise.all(names.map(async (name) => (await roles.get(name))?.string()));
    return mesh.coordinators.find(({ pid }) => holder.includes(`-${pid}.`));
  };
  await expect.poll(find, { timeout: 10_000 }).toBeDefined();
  return (await find())!;
}

test("the product knows of no fail point", () => {
  const root = resolve(import.meta.dirname, "../../..");
  const files = ["lib", "sdk", "services", "cli"].flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: "utf8" })
      .filter((name) => name.endsWith(".ts"))
      .map((name) => join(root, folder, name)),
  );
  expect(files.length).toBeGreaterThan(100);
  const knowing = files.filter((file) => /[Ff]ail.?[Pp]oint|\bFAULT_|tests\/faults/.test(readFileSync(file, "utf8")));
  expect(knowing).toEqual([]);
});

test("every named step occurs, and none that has no name", async () => {
  const [agent] = mesh.agents;
  await client.run("stream", { chunks: 1 }, { resultTtlMs: 1_000 }).result();
  await submit("quick", {}, { scheduleToStartMs: 60_000, scheduleToCloseMs: 60_000 });
  await submit("quick", {}, { delayMs: 50 });
  await submit("flaky", { failures: 1 });
  await submit("fail");
  await submit("nobody", {}, { scheduleToStartMs: 1_000 });
  await client.cancel(await submit("nobody"));
  await client.cancel(await running());
  const batch = ["a", "b"].map((taskId) => ({ type: "quick", taskId }));
  await client.submitMany(batch, { atomic: true });
  await client.uploadBlob(new Uint8Array(1_000));
  await client.run("work", { workMs: 1_000 }).result();
  for (const url of mesh.urls) {
    await using caller = createClient({ urls: [url] });
    await caller.count();
  }
  const agentSteps = outgoing(await agent!.steps());
  expect(AGENT_STEPS.filter((step) => !agentSteps.includes(step))).toEqual([]);
  expect(agentSteps.filter((step) => step.startsWith("other"))).toEqual([]);
  await running();
  expect(await agent!.terminate()).toBe(0);
  await agent!.restart();

  const wanted = COORDINATOR_STEPS.filter((step) => !LAST_STEPS.includes(step));
  const missing = async (): Promise<readonly string[]> => {
    const seen = await stepsOfAll();
    return wanted.filter((step) => !seen.has(step));
  };
  await expect.poll(missing, { timeout: 20_000, interval: 100 }).toEqual([]);
  expect([...(await stepsOfAll())].filter((step) => step.startsWith("other"))).toEqual([]);
});

test.for(LAST_STEPS)("a coordinator that leaves dies before its %s", async (step) => {
  const holder = await roleHolder();
  await holder.failAt({ step, when: "before", at: 1 });
  expect(await holder.terminate()).toBe("SIGKILL");
  expect(holder.output()).toContain(`fail point: before ${step}`);
  await freeRoles();
  await holder.restart();
});

test("what was not sent is not there, what was sent is, and both come to their end when the coordinator is back", async () => {
  const [first, second] = mesh.coordinators;
  await second!.kill();
  await using connection = await connect(await accessTo(mesh.natsUrl));
  const manager = await jetstreamManager(connection);
  for (const when of ["before", "sent"] as const) {
    await first!.failAt({ step: "event.completed", when, at: 1 });
    const taskId = await submit("work", { workMs: 10 });
    expect(await first!.exited).toBe("SIGKILL");
    const { state } = await manager.streams.info(TASKS_STREAM, { subjects_filter: eventSubject(TENANT, taskId) });
    expect(Object.keys(state.subjects ?? {})).toHaveLength(when === "sent" ? 1 : 0);
    await first!.restart();
    expect((await client.outcome(taskId)).state).toBe("completed");
  }
});

test("a report that was sent counts though its agent dies before it hears so", async () => {
  const [agent] = mesh.agents;
  await agent!.failAt({ step: "report", when: "sent", at: 1 });
  const taskId = await submit("quick");
  expect(await agent!.exited).toBe("SIGKILL");
  expect((await client.outcome(taskId)).status.attempt).toBe(1);
  await agent!.restart();
});

test("an answer that was sent arrives though the coordinator dies, and one that was not does not", async () => {
  const [first] = mesh.coordinators;
  await using hasty = createClient({ urls: [mesh.urls[0]!], timeoutMs: 2_000 });
  for (const when of ["before", "sent"] as const) {
    await first!.failAt({ step: "client-answer.SubmitTask", when, at: 1 });
    const answer = hasty.submit("quick", {}, { taskId: `answer-${when}` }).then(
      ({ existing }) => (existing ? "existing" : "accepted"),
      () => "none",
    );
    expect(await answer).toBe(when === "sent" ? "accepted" : "none");
    expect(await first!.exited).toBe("SIGKILL");
    await first!.restart();
  }
});

test("a fail point waits for its turn among a group of steps, and may be set from the start on", async () => {
  const [first] = mesh.coordinators;
  await first!.failAt({ step: "dispatch", when: "sent", at: 3 });
  for (let i = 0; i < 2; i += 1) await submit("quick");
  expect(first!.running).toBe(true);
  const third = submit("quick");
  expect(await first!.exited).toBe("SIGKILL");
  const failPoint = { step: "consumer-create", when: "before", at: 1 } as const;
  await expect(first!.restart(fromTheStart({ failPoint }))).rejects.toThrow("fail point: before consumer-create");
  await first!.restart();
  await third;
});
