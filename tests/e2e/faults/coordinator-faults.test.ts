// Coordinators that die while clients are connected: the client goes on with another one, and nothing is lost or seen twice.

import { afterAll, beforeAll, expect, test } from "vitest";
import { createClient, type MycelClient } from "../../../sdk/client/index.ts";
import { openMesh, type TestMesh, type TestProcess } from "../../support/processes.ts";

let mesh: TestMesh;
let agent: TestProcess;

beforeAll(async () => {
  mesh = await openMesh({ coordinators: 1 });
  await mesh.addCoordinator();
  agent = await mesh.startAgent("worker-1", { MYCEL_CONCURRENCY: "32" });
});

afterAll(async () => {
  await mesh[Symbol.asyncDispose]();
});

/** A client that begins with the newest coordinator, so that killing that one hits it. */
function clientOf(): MycelClient {
  return createClient({ urls: mesh.urls.toReversed() });
}

async function killNewest(): Promise<void> {
  const victim = mesh.coordinators.pop()!;
  (mesh.urls as string[]).pop();
  victim.signal("SIGKILL");
  await victim.exited;
}

test("a watch goes on with another coordinator when its own is killed, and sees every event once", async () => {
  await using client = clientOf();
  const run = client.run("work", { workMs: 3_000, outputs: 60 });
  const seen: string[] = [];
  let killed: Promise<void> | undefined;
  for await (const event of run) {
    if (event.kind === "snapshot") continue;
    seen.push(event.kind === "chunk" ? `chunk ${(event.value as { i: number }).i}` : event.kind);
    if (seen.length === 20) killed = killNewest();
  }
  await killed;

  const chunks = Array.from({ length: 60 }, (_, i) => `chunk ${i + 1}`);
  expect(seen).toEqual(["state", ...chunks, "state"]);
  expect(await run.result()).toMatchObject({ by: "worker-1" });
  await mesh.addCoordinator();
});

test("submissions and waits know nothing of a coordinator that is killed", async () => {
  await using client = clientOf();
  const ids = Array.from({ length: 300 }, (_, i) => `through-${i}`);
  let done = 0;
  let killed: Promise<void> | undefined;
  const outcomes = await Promise.all(
    ids.map(async (taskId, i) => {
      // Spread over the kill, which comes when some have ended and others are not submitted yet.
      if (i >= 150) await new Promise((resolve) => setTimeout(resolve, i));
      await client.submit("work", { workMs: 20 }, { taskId });
      const outcome = await client.outcome(taskId);
      done += 1;
      if (done === 50) killed = killNewest();
      return outcome.state;
    }),
  );
  await killed;

  expect(outcomes).toEqual(ids.map(() => "completed"));
  expect(agent.child.exitCode).toBeNull();
  await mesh.addCoordinator();
});

test("a coordinator that is asked to stop sends its streams elsewhere and ends cleanly", async () => {
  await using client = clientOf();
  const run = client.run("work", { workMs: 1_500, outputs: 30 });
  const leaving = mesh.coordinators.at(-1)!;
  let chunks = 0;
  for await (const event of run) {
    if (event.kind !== "chunk") continue;
    chunks += 1;
    if (chunks === 5) leaving.signal("SIGTERM");
  }
  expect(chunks).toBe(30);
  expect(await leaving.exited).toBe(0);
});

test("a call leaves a coordinator that stands still for another one", async () => {
  await mesh.addCoordinator();
  const frozen = mesh.coordinators.at(-1)!;
  // The connection stands when the coordinator stops: nothing but silence tells.
  await using client = createClient({ urls: mesh.urls.toReversed(), timeoutMs: 15_000 });
  await client.submit("work", {}, { taskId: "before-the-frost" });
  frozen.signal("SIGSTOP");
  try {
    await using impatient = createClient({ urls: mesh.urls.toReversed(), timeoutMs: 15_000 });
    const answers = await Promise.all(
      [client, impatient].map((each, i) => each.submit("work", {}, { taskId: `frost-${i}` })),
    );
    expect(answers.map(({ existing }) => existing)).toEqual([false, false]);
  } finally {
    frozen.signal("SIGCONT");
  }
});
