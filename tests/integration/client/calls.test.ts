// What the client promises about every call: no error while somebody can answer, a plain one when nobody can, and an end when it is closed.
import { expect, onTestFinished, test, vi } from "vitest";
import { createClient } from "../../../sdk/client/index.ts";
import { openFakeCoordinator, unavailable } from "../../support/fake-coordinator.ts";

test("idempotent calls see no error while coordinators die one after the other", async () => {
  await using first = await openFakeCoordinator();
  await using second = await openFakeCoordinator({ replicaOf: first });
  await using client = createClient({ urls: [first.url, second.url] });
  const { taskId } = await client.submit("echo");
  const errors: unknown[] = [];
  let calls = 0;
  const over = new AbortController();
  const callers = Array.from({ length: 8 }, async () => {
    while (!over.signal.aborted) {
      await client.status(taskId).catch((error: unknown) => errors.push(error));
      calls += 1;
    }
  });
  await expect.poll(() => calls).toBeGreaterThan(50);
  await first.stop();
  const after = calls;
  await expect.poll(() => calls).toBeGreaterThan(after + 50);
  await using third = await openFakeCoordinator({ replicaOf: second, port: first.port });
  await second.stop();
  const later = calls;
  await expect.poll(() => calls).toBeGreaterThan(later + 50);
  over.abort();
  await Promise.all(callers);
  expect(errors).toEqual([]);
  expect(third.count("GetTaskStatus")).toBeGreaterThan(0);
});

test("a call says plainly that nobody is there", async () => {
  await using mesh = await openFakeCoordinator();
  await mesh.stop();
  await using client = createClient({ url: mesh.url, retry: { attempts: 2 } });
  await expect(client.status("t")).rejects.toMatchObject({
    code: "unavailable",
    reason: "CONNECTION_LOST",
    message: `cannot connect to ${mesh.url}: connection refused`,
  });
});

test("a call keeps the caller's deadline over all tries", async () => {
  await using mesh = await openFakeCoordinator();
  await using client = createClient({ url: mesh.url, timeoutMs: 300, retry: { initialMs: 50 } });
  mesh.failNext("GetTaskStatus", ...Array.from({ length: 50 }, () => unavailable()));
  await expect(client.status("t")).rejects.toMatchObject({ code: "unavailable", reason: "BROKER_UNAVAILABLE" });
  expect(mesh.count("GetTaskStatus")).toBeGreaterThan(1);
  expect(mesh.count("GetTaskStatus")).toBeLessThan(12);
});

test("a call says what went wrong, and not that time ran out, when the deadline cuts the last try short", async () => {
  await using mesh = await openFakeCoordinator();
  await using client = createClient({ url: mesh.url, timeoutMs: 300, retry: { initialMs: 50 } });
  mesh.failNext("GetTaskStatus", unavailable(), "hang");
  await expect(client.status("t")).rejects.toMatchObject({ code: "unavailable", reason: "BROKER_UNAVAILABLE" });
});

test("a client that is closed fails every call, also those under way", async () => {
  await using mesh = await openFakeCoordinator();
  const client = createClient({ url: mesh.url });
  const { taskId } = await client.submit("idle");
  const watching = Array.fromAsync(client.watch(taskId));
  const waiting = client.waitFor(taskId);
  await expect.poll(() => mesh.count("GetTaskStatus") + mesh.count("StreamResults")).toBe(2);
  await client[Symbol.asyncDispose]();
  const closed = { name: "MycelError", code: "canceled", reason: "CLIENT_CLOSED" };
  await expect(watching).rejects.toMatchObject(closed);
  await expect(waiting).rejects.toMatchObject(closed);
  await expect(client.status(taskId)).rejects.toMatchObject(closed);
  await client[Symbol.asyncDispose]();
});

test("a client that is closed leaves nothing behind that fails later when streams were open", async () => {
  await using mesh = await openFakeCoordinator();
  const client = createClient({ url: mesh.url });
  const { taskId } = await client.submit("idle");
  const stream = client.watch(taskId)[Symbol.asyncIterator]();
  await stream.next();
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  onTestFinished(() => void vi.useRealTimers());
  const next = expect(stream.next()).rejects.toThrow("closed");
  await client[Symbol.asyncDispose]();
  await next;
  await vi.waitFor(() => expect(mesh.connections).toBe(0));
  // A ping of the connection that is gone would throw here, and in a real process out of everybody's reach.
  await vi.advanceTimersByTimeAsync(60_000);
});
