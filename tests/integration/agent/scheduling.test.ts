import { setTimeout as tick } from "node:timers/promises";
import { expect, test } from "vitest";
import { defineAgent, runAgent } from "../../../sdk/agent/index.ts";
import { type FakeMesh, openFakeMesh } from "./fake-mesh.ts";

const PRIORITIES = [1, 5, 10, 15] as const;

test.for([1, 4])(
  "with a backlog and %i slots, no task starts while one of a higher priority waits",
  async (concurrency) => {
    await using mesh = await openFakeMesh();
    await mesh.prepare("echo");
    await submitMany(mesh, 80, (n) => ({ priority: PRIORITIES[n % 4]! }));
    const started: number[] = [];
    const agent = defineAgent({
      name: "a",
      concurrency,
      capabilities: {
        echo: async (task) => {
          started.push(task.priority);
          await new Promise((resolve) => setImmediate(resolve));
        },
      },
    });
    await using _running = await runAgent(agent, mesh.agentOptions());
    await mesh.until(() => endedCount(mesh) === 80);
    expect(started).toEqual(started.toSorted((a, b) => b - a));
  },
);

test("urgent work that comes into a backlog starts before what waits, at most a round trip later", async () => {
  await using mesh = await openFakeMesh();
  await mesh.prepare("echo");
  await submitMany(mesh, 60, () => ({ priority: 1 }));
  const started: number[] = [];
  const urgentStored = Promise.withResolvers<void>();
  const agent = defineAgent({
    name: "a",
    capabilities: {
      echo: async (task) => {
        started.push(task.priority);
        if (started.length === 10) {
          await submitMany(mesh, 5, (n) => ({ taskId: `urgent-${n}`, priority: 15 }));
          urgentStored.resolve();
        }
        await tick(5);
      },
    },
  });
  await using _running = await runAgent(agent, mesh.agentOptions());
  await mesh.until(() => endedCount(mesh) === 65);
  const at = started.flatMap((priority, index) => (priority === 15 ? [index] : []));
  // What was pulled ahead of the standing pull's message may start first, but no more than that.
  expect(at[0]).toBeLessThan(14);
  expect(at.at(-1)! - at[0]!).toBe(4);
});

test("queues of equal priority take turns", async () => {
  await using mesh = await openFakeMesh();
  for (const type of ["left", "right"]) await mesh.prepare(type);
  await submitMany(mesh, 60, (n) => ({ type: n < 30 ? "left" : "right" }));
  const started: string[] = [];
  const handler = async (task: { readonly type: string }): Promise<void> => {
    started.push(task.type);
    await tick(2);
  };
  const agent = defineAgent({ name: "a", capabilities: { left: handler, right: handler } });
  await using _running = await runAgent(agent, mesh.agentOptions());
  await mesh.until(() => endedCount(mesh) === 60);
  for (const part of [started.slice(0, 20), started.slice(20, 40)]) {
    expect(part.filter((type) => type === "left").length).toBeGreaterThanOrEqual(6);
    expect(part.filter((type) => type === "right").length).toBeGreaterThanOrEqual(6);
  }
});

test.for([
  ["tasks that come one after the other", false],
  ["a backlog", true],
] as const)("two agents of the same capability share %s evenly", async ([, backlog]) => {
  await using mesh = await openFakeMesh();
  await mesh.prepare("echo");
  const counts = [0, 0];
  const start = (index: number) =>
    runAgent(
      defineAgent({
        name: "a",
        concurrency: 2,
        capabilities: {
          echo: async () => {
            counts[index]! += 1;
            await tick(4);
          },
        },
      }),
      mesh.agentOptions({ agentId: `a${index}` }),
    );
  if (backlog) await submitMany(mesh, 300, () => ({}));
  await using _first = await start(0);
  await using _second = await start(1);
  if (!backlog) {
    for (let n = 0; n < 60; n++) {
      await mesh.submit({ taskId: `t${n}` });
      await mesh.ended(`t${n}`);
    }
  }
  const total = backlog ? 300 : 60;
  await mesh.until(() => endedCount(mesh) === total);
  expect(counts[0]! + counts[1]!).toBe(total);
  expect(Math.min(...counts)).toBeGreaterThan(total * 0.35);
});

test("reports of many tiny tasks travel together", async () => {
  await using mesh = await openFakeMesh();
  await mesh.prepare("echo");
  await submitMany(mesh, 400, () => ({}));
  const agent = defineAgent({ name: "a", concurrency: 16, capabilities: { echo: () => undefined } });
  await using _running = await runAgent(agent, mesh.agentOptions());
  await mesh.until(() => endedCount(mesh) === 400);
  const requests = mesh.reports.reduce((sum, seen) => sum + 1 / seen.batchSize, 0);
  expect(mesh.reports).toHaveLength(400);
  expect(requests).toBeLessThan(200);
});

async function submitMany(
  mesh: FakeMesh,
  count: number,
  what: (n: number) => Partial<Parameters<FakeMesh["submit"]>[0]>,
): Promise<void> {
  for (let n = 0; n < count; n++) await mesh.submit({ taskId: `t${n}`, ...what(n) });
}

function endedCount(mesh: FakeMesh): number {
  let count = 0;
  for (const task of mesh.tasks.values()) if (task.ended !== undefined) count += 1;
  return count;
}
