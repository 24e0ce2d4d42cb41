// The fleet as its watchers see it, over real processes: who comes, who leaves, and who is lost.

import { afterAll, beforeAll, expect, test } from "vitest";
import { createClient, type FleetEvent, type MycelClient } from "../../../sdk/client/index.ts";
import { openMesh, type TestMesh } from "../../support/processes.ts";

let mesh: TestMesh;
let client: MycelClient;

beforeAll(async () => {
  mesh = await openMesh({ coordinators: 2, env: { MYCEL_HEARTBEAT: "300" } });
  client = createClient({ url: mesh.urls[0]! });
});

afterAll(async () => {
  await client[Symbol.asyncDispose]();
  await mesh[Symbol.asyncDispose]();
});

function is(kind: FleetEvent["kind"], agentId: string): (event: FleetEvent) => boolean {
  return (event) => event.kind === kind && event.kind !== "synced" && event.agent.agentId === agentId;
}

/** Watches the fleet on both coordinators at once; `until` reads on until such an event has come on each. */
function watchBoth(): {
  until: (like: (event: FleetEvent) => boolean) => Promise<FleetEvent[]>;
  end: () => Promise<void>;
} {
  const clients = mesh.urls.map((url) => createClient({ url }));
  const watches = clients.map((one) => one.watchAgents()[Symbol.asyncIterator]());
  return {
    until: (like) =>
      Promise.all(
        watches.map(async (watch) => {
          for (;;) {
            const { value, done } = await watch.next();
            if (done === true) throw new Error("the watch ended");
            if (like(value)) return value;
          }
        }),
      ),
    end: async () => {
      await Promise.all(clients.map((one) => one[Symbol.asyncDispose]()));
    },
  };
}

test("an agent that registers is seen on every coordinator, one that is killed is lost, one that leaves is removed", async () => {
  const watch = watchBoth();
  await watch.until(({ kind }) => kind === "synced");

  const doomed = await mesh.startAgent("doomed");
  await watch.until(is("added", "doomed"));
  const ids: string[] = [];
  for await (const agent of client.agents({ type: "work" })) ids.push(agent.agentId);
  expect(ids).toContain("doomed");

  doomed.signal("SIGKILL");
  await watch.until(is("lost", "doomed"));
  await expect(client.rpc.getAgent({ agentId: "doomed" })).rejects.toMatchObject({ reason: "AGENT_NOT_FOUND" });

  const polite = await mesh.startAgent("polite");
  await watch.until(is("added", "polite"));
  polite.signal("SIGTERM");
  await watch.until(is("removed", "polite"));
  expect(await polite.exited).toBe(0);
  await watch.end();
});

test("an agent whose registration was taken away registers again by itself", async () => {
  const watch = watchBoth();
  await using _stubborn = await mesh.startAgent("stubborn");
  await watch.until(is("added", "stubborn"));
  await client.rpc.deregisterAgent({ agentId: "stubborn" });
  await watch.until(is("removed", "stubborn"));
  await watch.until(is("added", "stubborn"));
  await watch.end();
});

test("two agents of one capability share its work evenly", async () => {
  await mesh.startAgent("left", { MYCEL_CONCURRENCY: "2" });
  await mesh.startAgent("right", { MYCEL_CONCURRENCY: "2" });
  const tasks = Array.from({ length: 120 }, (_, i) => ({ type: "work", input: { workMs: 10 }, taskId: `shared-${i}` }));
  await client.submitMany(tasks);
  const share = new Map<string, number>();
  for (const { taskId } of tasks) {
    const { result } = await client.waitFor<{ by: string }>(taskId);
    share.set(result.by, (share.get(result.by) ?? 0) + 1);
  }
  const counts = ["left", "right"].map((name) => share.get(name) ?? 0);
  expect(Math.min(...counts) / Math.max(...counts)).toBeGreaterThan(0.6);
});
