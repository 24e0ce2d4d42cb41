// A client of two real coordinators, of which one is killed while it works: its callers notice nothing, and it knows.
import { expect, test } from "vitest";
import { createClient } from "../../../sdk/client/index.ts";
import { fixedPort } from "../../support/fixed-port.ts";
import { openMesh, startProcess } from "../../support/processes.ts";

test("submissions, waits, runs and watches go on when the coordinator that serves them is killed", async () => {
  await using mesh = await openMesh({ coordinators: 2 });
  await mesh.startAgent("worker");
  const [first, second] = mesh.urls;
  await using client = createClient({
    urls: [first!, second!],
    breaker: { failures: 3, patienceMs: 0, probeMs: 0 },
  });
  const killAfter = 40;
  const all = 120;
  const ids: string[] = [];
  const long = client.run<{ by: string }>("work", { workMs: 3_000, outputs: 30 }, { taskId: "long" });
  const watched = Array.fromAsync(long);
  await long.submitted;
  const waited = client.waitFor("long");

  const killed = Promise.withResolvers<void>();
  for (let i = 0; i < all; i += 1) {
    if (i === killAfter) {
      mesh.coordinators[0]!.signal("SIGKILL");
      void mesh.coordinators[0]!.exited.then(() => killed.resolve());
    }
    ids.push((await client.submit("work", {}, { taskId: `task-${i}` })).taskId);
  }
  await killed.promise;

  for (const taskId of ids) expect((await client.waitFor(taskId)).state).toBe("completed");
  const events = await watched;
  const chunks = events.flatMap((event) => (event.kind === "chunk" ? [(event.value as { i: number }).i] : []));
  expect(chunks).toEqual(Array.from({ length: 30 }, (_, i) => i + 1));
  expect((await waited).result).toEqual({ by: "worker", attempt: 1 });

  const { healthy, endpoints } = await client.health();
  expect(healthy).toBe(true);
  expect(endpoints).toMatchObject([
    { url: first, status: "unreachable", detail: `cannot connect to ${first}: connection refused` },
    { url: second, status: "serving" },
  ]);
  const capabilities = await client.capabilities();
  expect(capabilities.get("work")).toMatchObject({ type: "work", agents: 1, concurrency: 4 });
});

test("when both are killed calls fail at once, and one that comes back is found and used", async () => {
  await using mesh = await openMesh();
  const MYCEL_LISTEN = `127.0.0.1:${await fixedPort()}`;
  const startSecond = () => startProcess("services/coordinator/main.ts", { ...mesh.env, MYCEL_LISTEN });
  await using second = await startSecond();
  const urls = [mesh.urls[0]!, `http://${MYCEL_LISTEN}`];
  await using client = createClient({ urls, breaker: { failures: 2, patienceMs: 0, probeMs: 100 } });
  const { taskId } = await client.submit("nobody", 1);
  for (const coordinator of [mesh.coordinators[0]!, second]) {
    coordinator.signal("SIGKILL");
    await coordinator.exited;
  }
  await expect(client.status(taskId)).rejects.toMatchObject({ code: "unavailable", reason: "CIRCUIT_OPEN" });
  expect([...client.breakers.state().values()]).toEqual(["open", "open"]);
  await expect(client.submit("nobody", 2)).rejects.toMatchObject({ reason: "CIRCUIT_OPEN", unaccepted: true });

  await using _ = await startSecond();
  await expect.poll(() => client.breakers.state().get(urls[1]!), { timeout: 10_000 }).toBe("half_open");
  expect((await client.status(taskId)).taskId).toBe(taskId);
  expect(client.breakers.state().get(urls[1]!)).toBe("closed");
});
