// What the client promises about lists of tasks and about the fleet: every page, and only real changes.
import { afterEach, expect, test, vi } from "vitest";
import { AgentChange } from "../../../gen/mycel/v1/agent_service_pb.ts";
import { timestampFromMs } from "../../../lib/wire/time-codec.ts";
import { createClient } from "../../../sdk/client/index.ts";
import { openFakeCoordinator } from "../../support/fake-coordinator.ts";
import { fakeAgent } from "../../support/fake-fleet.ts";

afterEach(() => {
  vi.restoreAllMocks();
});

test("a list is read page by page", async () => {
  await using mesh = await openFakeCoordinator();
  await using client = createClient({ url: mesh.url });
  for (let i = 0; i < 5; i += 1) await client.submit("echo", i, { taskId: `t-${i}`, labels: { odd: String(i % 2) } });
  await client.submit("fail", 1, { taskId: "dead" });
  const all = await Array.fromAsync(client.list({ types: ["echo"] }));
  expect(all.map(({ taskId }) => taskId)).toEqual(["t-0", "t-1", "t-2", "t-3", "t-4"]);
  expect(mesh.count("ListTasks")).toBe(3);
  await expect(Array.fromAsync(client.list({ labels: { odd: "1" }, states: ["completed"] }))).resolves.toHaveLength(2);
  const count = await client.count();
  expect(count.total).toBe(6);
  expect([...count.byState]).toEqual([
    ["completed", 5],
    ["failed", 1],
  ]);
  const dead = await Array.fromAsync(client.deadLetters());
  expect(dead.map(({ task }) => task!.taskId)).toEqual(["dead"]);
  const { task, existing } = await client.retry("dead");
  expect([task.taskId, task.redriveOf, existing]).toEqual(["dead-again", "dead", false]);
});

test("a watcher of the fleet hears only of real changes after a lost connection", async () => {
  await using mesh = await openFakeCoordinator();
  await using client = createClient({ url: mesh.url });
  const [a, b, c] = [fakeAgent("a"), fakeAgent("b"), fakeAgent("c")];
  for (const agent of [a, b]) mesh.agents.set(agent.agentId, agent);
  const seen: string[] = [];
  const controller = new AbortController();
  for await (const event of client.watchAgents({}, { signal: controller.signal })) {
    seen.push(event.kind === "synced" ? "synced" : `${event.kind}:${event.agent.agentId}`);
    if (event.kind === "synced") {
      mesh.agents.delete("a");
      mesh.agents.set("b", { ...b, heartbeatTime: timestampFromMs(Date.now() + 5_000) });
      mesh.agents.set("c", c);
      mesh.cut();
    }
    if (event.kind === "lost") mesh.tellAgents(AgentChange.UPDATED, fakeAgent("b", ["echo"], 3));
    if (event.kind === "updated") break;
  }
  expect(seen).toEqual(["added:a", "added:b", "synced", "added:c", "lost:a", "updated:b"]);
});

test("a watcher of a fleet in which nothing changed for hours survives a lost connection", async () => {
  await using mesh = await openFakeCoordinator();
  await using client = createClient({ url: mesh.url });
  mesh.agents.set("a", fakeAgent("a"));
  const now = performance.now.bind(performance);
  let quietMs = 0;
  vi.spyOn(performance, "now").mockImplementation(() => now() + quietMs);
  const seen: string[] = [];
  for await (const event of client.watchAgents()) {
    seen.push(event.kind === "synced" ? "synced" : `${event.kind}:${event.agent.agentId}`);
    if (event.kind === "synced") {
      mesh.agents.set("b", fakeAgent("b"));
      // While the watcher waits for news.
      setImmediate(() => {
        quietMs = 3 * 3_600_000;
        mesh.cut();
      });
    }
    if (seen.length === 3) break;
  }
  expect(seen).toEqual(["added:a", "synced", "added:b"]);
});
