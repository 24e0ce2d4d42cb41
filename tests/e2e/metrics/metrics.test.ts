// Metrics of a running mesh: told by any coordinator, followed over time, and not lost when the one that keeps them goes.

import { afterAll, beforeAll, expect, test } from "vitest";
import { createClient, type MycelClient } from "../../../sdk/client/index.ts";
import { openMesh, type TestMesh } from "../../support/processes.ts";

let mesh: TestMesh;
let client: MycelClient;

beforeAll(async () => {
  mesh = await openMesh({ coordinators: 2 });
  await mesh.startAgent("worker");
  client = createClient({ url: mesh.urls[0]! });
});

afterAll(async () => {
  await client[Symbol.asyncDispose]();
  await mesh[Symbol.asyncDispose]();
});

test("every coordinator tells what became of tasks, by type and by agent", async () => {
  const tasks = await client.submitMany([
    { type: "reverse", input: { text: "ab" } },
    { type: "reverse", input: { text: "cd" } },
    { type: "fail", input: null, retry: { maximumAttempts: 1 } },
  ]);
  for (const task of tasks) await client.outcome(task.ok ? task.taskId : "");
  for (const url of mesh.urls) {
    await using asking = createClient({ url });
    const told = async () => (await asking.metrics.getMetrics({})).metrics;
    await expect.poll(async () => (await told())?.total).toMatchObject({ completedCount: 2n, failedCount: 1n });
    const metrics = await told();
    expect(metrics!.types.map(({ type }) => type)).toEqual(["fail", "reverse"]);
    expect(metrics!.agents).toHaveLength(1);
    expect(metrics!.total).toMatchObject({ submittedCount: 3n, failedCount: 1n, open: [] });
    expect(metrics!.total!.successRate).toBeCloseTo(2 / 3);
    expect(metrics!.total!.run!.count).toBe(3n);
  }
});

test("a watch tells at once, then at its interval, and ends when the coordinator drains", async () => {
  await using watching = createClient({ url: mesh.urls[1]! });
  const watch = watching.metrics.watchMetrics({ interval: { seconds: 1n, nanos: 0 } })[Symbol.asyncIterator]();
  const first = await watch.next();
  const second = await watch.next();
  expect(first.value.metrics.total.completedCount).toBe(2n);
  expect(second.value.metrics.asOfTime.seconds).toBeGreaterThanOrEqual(first.value.metrics.asOfTime.seconds);
  const ended = (async () => {
    for (;;) if ((await watch.next()).done === true) return;
  })();
  mesh.coordinators[1]!.signal("SIGTERM");
  await expect(ended).rejects.toMatchObject({ code: "unavailable", reason: "DRAINING" });
});

test("what was counted is told by the coordinator that takes over", async () => {
  await expect
    .poll(async () => (await client.metrics.getMetrics({}).catch(() => undefined))?.metrics?.total?.submittedCount)
    .toBe(3n);
});
