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

/** How long an event may take on a machine that is busy with everything else: well under a test's time, to tell what came instead. */
const PATIENCE_MS = 40_000;

interface FleetWatch extends AsyncDisposable {
  /** Resolves when such an event has come on each coordinator after the one that was waited for before. */
  until(kind: FleetEvent["kind"], agentId?: string): Promise<void>;
}

/** Watches the fleet on both coordinators at once. */
function watchBoth(): FleetWatch {
  const startMs = performance.now();
  const clients = mesh.urls.map((url) => createClient({ url }));
  const watches = clients.map((one) => ({ events: one.watchAgents()[Symbol.asyncIterator](), seen: [] as string[] }));
  const told = (): string =>
    watches.map(({ seen }, i) => `coordinator ${i} told: ${seen.join(", ")}`).join("\n") +
    mesh.coordinators.map((coordinator, i) => `\ncoordinator ${i} wrote: ${coordinator.output()}`).join("");
  const read = async (until: string): Promise<void> => {
    await Promise.all(
      watches.map(async ({ events, seen }) => {
        for (;;) {
          const { value, done } = await events.next();
          if (done === true) throw new Error("the watch ended");
          const event = value.kind === "synced" ? value.kind : `${value.kind} ${value.agent.agentId}`;
          seen.push(`${event} at ${Math.round(performance.now() - startMs)} ms`);
          if (event === until) return;
        }
      }),
    );
  };
  return {
    until: async (kind, agentId) => {
      const event = agentId === undefined ? kind : `${kind} ${agentId}`;
      const late = Promise.withResolvers<never>();
      const timer = setTimeout(() => {
        late.reject(new Error(`no ${event} within ${PATIENCE_MS} ms\n${told()}`));
      }, PATIENCE_MS);
      await Promise.race([read(event), late.promise]).finally(() => clearTimeout(timer));
    },
    [Symbol.asyncDispose]: async () => {
      await Promise.all(clients.map((one) => one[Symbol.asyncDispose]()));
    },
  };
}

test("an agent that registers is seen on every coordinator, one that is killed is lost, one that leaves is removed", async () => {
  await using watch = watchBoth();
  await watch.until("synced");

  const doomed = await mesh.startAgent("doomed");
  await watch.until("added", "doomed");
  const ids: string[] = [];
  for await (const agent of client.agents({ type: "work" })) ids.push(agent.agentId);
  expect(ids).toContain("doomed");

  doomed.signal("SIGKILL");
  await watch.until("lost", "doomed");
  await expect(client.rpc.getAgent({ agentId: "doomed" })).rejects.toMatchObject({ reason: "AGENT_NOT_FOUND" });

  const polite = await mesh.startAgent("polite");
  await watch.until("added", "polite");
  polite.signal("SIGTERM");
  await watch.until("removed", "polite");
  expect(await polite.exited).toBe(0);
});

test("an agent whose registration was taken away registers again by itself", async () => {
  await using watch = watchBoth();
  await using _stubborn = await mesh.startAgent("stubborn");
  await watch.until("added", "stubborn");
  await client.rpc.deregisterAgent({ agentId: "stubborn" });
  await watch.until("removed", "stubborn");
  await watch.until("added", "stubborn");
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
