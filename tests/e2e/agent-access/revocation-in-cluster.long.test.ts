// An agent that is revoked in a mesh of three NATS servers and two coordinators: whichever of them it talks to, it is shut out.

import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { connectionsNamed } from "../../support/connections.ts";
import { openNatsCluster } from "../../support/nats-cluster.ts";
import { startProcess, type TestProcess } from "../../support/processes.ts";
import { agentClient, ended, json, stateName } from "../../support/task-calls.ts";
import { testTrust } from "../../support/trust.ts";

/** So long that nothing here can be taken for the end of a lease. */
const LEASE_MS = 300_000;
const AGENTS = ["bad-0", "bad-1", "bad-2"];

test(
  "agents that are revoked are off the bus on all three servers, and their tasks are finished by another",
  { timeout: 120_000 },
  async () => {
    await using stack = new AsyncDisposableStack();
    const trust = await testTrust();
    const cluster = stack.use(await openNatsCluster({ settings: { trust } }));
    const dir = stack.adopt(await mkdtemp(join(tmpdir(), "mycel-cluster-")), (made) => rm(made, { recursive: true }));
    const env = {
      NATS_URL: cluster.url,
      MYCEL_NATS_TRUST: trust.coordinatorDir,
      MYCEL_REPLICAS: "3",
      MYCEL_LISTEN: "127.0.0.1:0",
      MYCEL_LEASE: String(LEASE_MS),
    };
    const coordinators = await Promise.all(
      [0, 1].map(async () => stack.use(await startProcess("services/coordinator/main.ts", env))),
    );
    const urls = coordinators.map(({ ready }) => String(ready["url"]));
    const clients = urls.map(agentClient);
    const startAgent = async (agentId: string): Promise<TestProcess> =>
      stack.use(
        await startProcess("tests/support/test-agent.ts", {
          MYCEL_URL: urls.join(","),
          MYCEL_AGENT_ID: agentId,
          MYCEL_CONCURRENCY: "1",
          TEST_DIR: dir,
        }),
      );
    const bad = await Promise.all(AGENTS.map(startAgent));
    const taskIds = AGENTS.map((_, i) => `task-${i}`);
    for (const taskId of taskIds) {
      await clients[0]!.submitTask({ taskId, type: "work", input: json({ until: "go" }) });
    }
    const heldBy = (): Promise<string[]> =>
      Promise.all(
        taskIds.map(async (taskId) => {
          const { status } = await clients[1]!.getTaskStatus({ taskId });
          return `${stateName(status!.state)} ${status!.agentId}`;
        }),
      );
    await expect
      .poll(async () => (await heldBy()).toSorted(), { timeout: 30_000 })
      .toEqual(AGENTS.map((id) => `WORKING ${id}`));
    await startAgent("good-0");
    await Promise.all([1, 2].map((i) => startAgent(`good-${i}`)));

    await Promise.all(AGENTS.map((agentId, i) => clients[i % 2]!.revokeAgent({ agentId, reason: "" })));

    await expect
      .poll(
        async () =>
          (
            await Promise.all(
              cluster.nodes.flatMap(({ monitorUrl }) =>
                AGENTS.map((agentId) => connectionsNamed(monitorUrl, `mycel agent ${agentId}`)),
              ),
            )
          ).flat(),
        { timeout: 20_000 },
      )
      .toEqual([]);
    await expect
      .poll(async () => (await heldBy()).every((held) => held.startsWith("WORKING good-")), { timeout: 20_000 })
      .toBe(true);
    await writeFile(join(dir, "go"), "");
    for (const taskId of taskIds) {
      const status = await ended(clients, taskId);
      expect([stateName(status.state), status.attempt]).toEqual(["COMPLETED", 1]);
    }
    for (const agent of bad) expect(await agent.exited).toBe(0);
  },
);
