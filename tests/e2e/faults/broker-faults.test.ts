// The broker restarts, cleanly and by a crash, while work goes on: nothing that was accepted is lost, and all agents come back.

import { afterAll, beforeAll, expect, test } from "vitest";
import { createClient } from "../../../sdk/client/index.ts";
import { executions } from "../../support/executions.ts";
import { agentClient, json } from "../../support/task-calls.ts";
import { openMesh, type TestMesh, type TestProcess } from "../../support/processes.ts";

const AGENTS = 3;
const ROUNDS = 20;
let mesh: TestMesh;
let agents: TestProcess[];

beforeAll(async () => {
  mesh = await openMesh();
  agents = await Promise.all(Array.from({ length: AGENTS }, (_, i) => mesh.startAgent(`worker-${i}`)));
});

afterAll(async () => {
  await mesh[Symbol.asyncDispose]();
});

test.for(["cleanly", "by a crash"])("nothing is lost when nats-server restarts %s under load", async (how) => {
  await using client = createClient({ urls: mesh.urls });
  const tag = how.replaceAll(" ", "-");
  const ids = Array.from({ length: 400 }, (_, i) => `${tag}-${i}`);
  const accepted = new Set<string>();
  let restarted: Promise<void> | undefined;
  const restart = async (): Promise<void> => {
    if (how === "by a crash") await mesh.nats.kill();
    await mesh.nats.restart();
  };
  const outcomes = await Promise.all(
    ids.map(async (taskId, i) => {
      await new Promise((resolve) => setTimeout(resolve, i * 5));
      await client.submit("work", { workMs: 30 }, { taskId });
      accepted.add(taskId);
      if (accepted.size === 120) restarted = restart();
      return (await client.outcome(taskId)).state;
    }),
  );
  await restarted;

  expect(outcomes).toEqual(ids.map(() => "completed"));
  // Each task ended once: what ran again was an attempt that the log counted.
  for (const taskId of ids.slice(0, 50)) {
    const ends = executions(mesh.dir, taskId).filter(({ what }) => what === "end").length;
    expect(ends).toBeLessThanOrEqual((await client.status(taskId)).attempt);
  }

  // All agents are back: each gets work again, once it has registered with the server that has started.
  const workers = new Set<string>();
  for (let round = 0; workers.size < AGENTS && round < ROUNDS; round += 1) {
    const again = await client.submitMany(
      Array.from({ length: 60 }, (_, i) => ({
        type: "work",
        input: { workMs: 100 },
        taskId: `${tag}-again-${round}-${i}`,
      })),
    );
    expect(again.every(({ ok }) => ok)).toBe(true);
    for (let i = 0; i < 60; i += 1) {
      const outcome = await client.waitFor<{ by: string }>(`${tag}-again-${round}-${i}`);
      workers.add(outcome.result.by);
    }
  }
  expect(workers.size).toBe(AGENTS);
  expect(agents.every(({ child }) => child.exitCode === null)).toBe(true);
});

test("a submission that comes while nats-server is away waits for it, even without any retry of the caller's", async () => {
  await mesh.nats.kill();
  const taskId = "patience";
  const answer = agentClient(mesh.urls[0]!).submitTask({ taskId, type: "work", input: json({}) });
  await mesh.nats.restart();
  expect(await answer).toMatchObject({ taskId, existing: false });
});
