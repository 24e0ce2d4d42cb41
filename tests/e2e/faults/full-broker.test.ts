// A broker whose disk is small, and a coordinator that nobody told about it: what was accepted ends, what cannot be kept is refused, and
// room that is made later is used without a restart of anything.

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { createClient, MycelError } from "../../../sdk/client/index.ts";
import { openMesh } from "../../support/processes.ts";

const MIB = 1024 * 1024;
const WAITING = 6;
const INPUT = { until: "go", ballast: "x".repeat(200_000) };

test("a broker with little room refuses new tasks in time, and takes them again once there is room", async () => {
  await using mesh = await openMesh({ nats: { maxFileBytes: 80 * MIB } });
  await mesh.startAgent("worker");
  await using client = createClient({ urls: mesh.urls, retry: { attempts: 1 } });

  const accepted: string[] = [];
  const refusals: MycelError[] = [];
  const fill = async (): Promise<void> => {
    while (refusals.length === 0) {
      try {
        accepted.push((await client.submit("work", INPUT, { resultTtlMs: 1_000 })).taskId);
      } catch (error) {
        if (!(error instanceof MycelError)) throw error;
        refusals.push(error);
      }
    }
  };
  await Promise.all(Array.from({ length: 8 }, fill));
  expect(accepted.length).toBeGreaterThan(WAITING);
  for (const refusal of refusals) {
    expect(refusal).toMatchObject({ code: "resource_exhausted", reason: "STORAGE_FULL" });
    expect(refusal.retryDelayMs).toBeGreaterThan(0);
  }

  // Tasks in flight and tasks that wait: all of them end.
  writeFileSync(join(mesh.dir, "go"), "");
  const states = await Promise.all(accepted.map(async (taskId) => (await client.outcome(taskId)).state));
  expect(new Set(states)).toEqual(new Set(["completed"]));

  // Their time is over at once, and their room is free again.
  await expect
    .poll(async () => await client.submit("work", { workMs: 1 }).then(() => "accepted", String), { timeout: 30_000 })
    .toBe("accepted");
});
