// Deadlines travel with calls, and nothing goes on after them.
import { expect, test } from "vitest";
import { createClient, TaskFailedError } from "../../../sdk/client/index.ts";
import { createRouter } from "../../../sdk/router/index.ts";
import { type FakeCoordinator, openFakeCoordinator, unavailable } from "../../support/fake-coordinator.ts";

/** What the coordinator was told, in milliseconds. */
function toldMs(mesh: FakeCoordinator, method: string): (number | undefined)[] {
  return mesh.calls
    .filter((call) => call.method === method)
    .map(({ headers }) => {
      const told = headers.get("grpc-timeout") ?? headers.get("connect-timeout-ms");
      return told === null ? undefined : Number.parseInt(told, 10);
    });
}

test.for(["grpc", "connect", "grpc-web"] as const)("a coordinator is told a call's limit by %s", async (transport) => {
  await using mesh = await openFakeCoordinator();
  await using client = createClient({ url: mesh.url, transport, timeoutMs: 20_000 });
  const { taskId } = await client.submit("echo", 1);
  await client.submit("echo", 1, { timeoutMs: 7_000 });
  await client.status(taskId, { timeoutMs: 1_500 });
  await client.run("echo", 1, { timeoutMs: 9_000 }).result();
  await Array.fromAsync(client.watch(taskId, { timeoutMs: 4_000 }));
  await Array.fromAsync(client.watch(taskId));
  const within = (ms: number): unknown => expect.toSatisfy((told: number) => told > ms - 2_000 && told <= ms);
  expect(toldMs(mesh, "SubmitTask")).toEqual([within(20_000), within(7_000)]);
  expect(toldMs(mesh, "GetTaskStatus")).toEqual([within(1_500)]);
  expect(toldMs(mesh, "RunTask")).toEqual([within(9_000)]);
  expect(toldMs(mesh, "StreamResults")).toEqual([within(4_000), undefined]);
});

test("each further try is given what is left, and none is made after the deadline", async () => {
  await using mesh = await openFakeCoordinator();
  await using client = createClient({ url: mesh.url, retry: { initialMs: 50, maximumMs: 50 } });
  mesh.failNext("GetTaskStatus", ...Array.from({ length: 100 }, () => unavailable()));
  await expect(client.status("t", { timeoutMs: 400 })).rejects.toMatchObject({ reason: "BROKER_UNAVAILABLE" });
  const told = toldMs(mesh, "GetTaskStatus").map((ms) => ms ?? Infinity);
  expect(told.length).toBeGreaterThan(2);
  expect(told).toEqual(told.toSorted((a, b) => b - a));
  expect(told[0]).toBeLessThanOrEqual(400);
  const made = mesh.count("GetTaskStatus");
  await client.submit("echo", 1);
  expect(mesh.count("GetTaskStatus")).toBe(made);
});

test("RetryInfo is honoured, and a call whose deadline is sooner does not wait for it", async () => {
  await using mesh = await openFakeCoordinator();
  await using client = createClient({ url: mesh.url });
  const { taskId } = await client.submit("echo", 1);
  mesh.failNext("GetTaskStatus", unavailable("BROKER_UNAVAILABLE", 250));
  await client.status(taskId);
  const [first, second] = toldMs(mesh, "GetTaskStatus");
  expect(first! - second!).toBeGreaterThanOrEqual(250);
  mesh.failNext("GetTaskStatus", unavailable("BROKER_UNAVAILABLE", 60_000));
  await expect(client.status(taskId)).rejects.toMatchObject({ reason: "BROKER_UNAVAILABLE", retryDelayMs: 60_000 });
  expect(mesh.count("GetTaskStatus")).toBe(3);
});

test.for<[string, (client: ReturnType<typeof createClient>) => Promise<unknown>]>([
  ["a run", (client) => client.run("idle", undefined, { timeoutMs: 200 }).result()],
  [
    "a watch",
    async (client) => Array.fromAsync(client.watch((await client.submit("idle")).taskId, { timeoutMs: 200 })),
  ],
  ["a call that gets no answer", (client) => client.get("t", { timeoutMs: 200 })],
])("%s ends at its deadline", async ([, call]) => {
  await using mesh = await openFakeCoordinator();
  await using client = createClient({ url: mesh.url });
  mesh.failNext("GetTask", "hang");
  await expect(call(client)).rejects.toMatchObject({ name: "MycelError", code: "deadline_exceeded" });
});

test("what a handler calls ends with its attempt", async () => {
  await using mesh = await openFakeCoordinator();
  await using client = createClient({ url: mesh.url });
  const router = createRouter({
    client,
    handlers: {
      ask: async (_, ctx) => {
        const { taskId } = await client.submit("echo", 1, { ctx });
        await client.status(taskId, { ctx, timeoutMs: 60_000 });
        await client.waitFor(taskId, { ctx });
        mesh.failNext("GetTask", "hang");
        return await client.get(taskId, { ctx }).catch((error: unknown) => {
          reasons.push(error);
          throw error;
        });
      },
    },
    rules: [{ name: "here", when: { handler: true }, run: "local" }],
  });
  const reasons: unknown[] = [];
  const late = router.run("ask", undefined, { startToCloseMs: 2_000, retry: { maximumAttempts: 1 } }).result();
  await expect(late).rejects.toBeInstanceOf(TaskFailedError);
  await expect.poll(() => reasons).toEqual([expect.objectContaining({ name: "MycelError" })]);
  for (const told of [...toldMs(mesh, "SubmitTask"), ...toldMs(mesh, "GetTask")]) {
    expect(told).toBeGreaterThan(0);
    expect(told).toBeLessThanOrEqual(2_000);
  }
  expect(toldMs(mesh, "GetTaskStatus")[0]).toBeLessThanOrEqual(2_000);
});
