// Agents that leave with pulls outstanding, where the broker asks for credentials: what it delivers next goes to those who are there.

import { expect, test } from "vitest";
import { connectionsNamed } from "../../support/connections.ts";
import { openMesh } from "../../support/processes.ts";
import { agentClient, ended, json, stateName } from "../../support/task-calls.ts";

/** So long that a delivery to somebody who is gone comes back only when all of this is over. */
const LEASE_MS = 300_000;

test.for<NodeJS.Signals>(["SIGKILL", "SIGTERM"])(
  "nothing is delivered to an idle agent that ended by %s",
  async (signal) => {
    await using mesh = await openMesh({ leaseMs: LEASE_MS });
    const client = agentClient(mesh.urls[0]!);
    const leaving = await mesh.startAgent("leaves");
    await client.submitTask({ taskId: "first", type: "reverse", input: json({ text: "abc" }) });
    await ended(client, "first");
    leaving.signal(signal);
    await leaving.exited;
    await expect
      .poll(() => connectionsNamed(mesh.nats.monitorUrl, "mycel agent leaves"), { timeout: 20_000 })
      .toEqual([]);
    const taskIds = Array.from({ length: 8 }, (_, i) => `then-${i}`);
    for (const taskId of taskIds) {
      await client.submitTask({ taskId, type: "reverse", input: json({ text: "abc" }) });
    }
    await using _stays = await mesh.startAgent("stays");
    for (const taskId of taskIds) {
      const { status } = await client.getTaskStatus({ taskId, wait: { seconds: 20n } });
      expect([taskId, stateName(status!.state), status!.attempt]).toEqual([taskId, "COMPLETED", 1]);
    }
  },
);
