// Deliveries that are doubled on their way to an agent: each attempt is executed once.
import { expect, test } from "vitest";
import { createClient } from "../../../sdk/client/index.ts";
import { readHistory } from "../history.ts";
import { openFaultMesh } from "./fault-mesh.ts";

test.for(["double", "again"] as const)("an agent that gets every delivery twice (%s) runs each once", async (how) => {
  await using mesh = await openFaultMesh({ coordinators: 1, agents: 1, leaseMs: 20_000 });
  const [agent] = mesh.agents;
  await agent?.tamper({ step: "delivery.task", way: "in", every: 1, how });
  await using client = createClient({ urls: mesh.urls });
  const tasks = Array.from({ length: 40 }, (_, i) => ({ type: "flaky", input: { failures: 1 }, taskId: `t-${i}` }));
  const retry = { maximumAttempts: 3, initialIntervalMs: 10 };

  await client.submitMany(tasks.map((task) => ({ ...task, retry })));
  await Promise.all(tasks.map(({ taskId }) => client.result(taskId)));

  const starts = readHistory(mesh.historyDir).flatMap((entry) =>
    entry.what === "start" ? [`${entry.taskId} ${entry.attempt}`] : [],
  );
  expect(starts.toSorted()).toEqual(tasks.flatMap(({ taskId }) => [`${taskId} 1`, `${taskId} 2`]).toSorted());
});
