// What the client promises about submissions that travel together: each is answered as if it had travelled alone.
import { Code } from "@connectrpc/connect";
import { afterEach, describe, expect, test, vi } from "vitest";
import type { BatchSubmitTasksRequest } from "../../../gen/mycel/v1/agent_service_pb.ts";
import { richError } from "../../../lib/rpc/rich-error.ts";
import { type ClientOptions, createClient, type MycelClient, type MycelError } from "../../../sdk/client/index.ts";
import { type FakeCoordinator, openFakeCoordinator, unavailable } from "../../support/fake-coordinator.ts";

afterEach(() => void vi.useRealTimers());

function submitAll(client: MycelClient, count: number, type = "echo"): Promise<PromiseSettledResult<unknown>[]> {
  return Promise.allSettled(Array.from({ length: count }, (_, i) => client.submit(type, i, { taskId: `t-${i}` })));
}

function batchesOf({ calls }: FakeCoordinator): number[] {
  return calls
    .filter(({ method }) => method === "BatchSubmitTasks")
    .map(({ request }) => (request as BatchSubmitTasksRequest).tasks.length);
}

describe("submissions of one turn", () => {
  test("travel in one call, and each has its own answer", async () => {
    await using mesh = await openFakeCoordinator();
    await using client = createClient({ url: mesh.url });
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, i) => client.submit("echo", { i }, { taskId: `t-${i}` })),
    );
    expect(answers.map(({ taskId, status, existing }) => [taskId, status.taskId, existing])).toEqual(
      Array.from({ length: 20 }, (_, i) => [`t-${i}`, `t-${i}`, false]),
    );
    expect(mesh.calls.map(({ method }) => method)).toEqual(["BatchSubmitTasks"]);
    expect(await client.result("t-7")).toEqual({ i: 7 });
  });

  test("travel in several calls when they are many, and all are answered", async () => {
    await using mesh = await openFakeCoordinator();
    await using client = createClient({ url: mesh.url });
    const answers = await submitAll(client, 333);
    expect(answers.every(({ status }) => status === "fulfilled")).toBe(true);
    expect(mesh.tasks.size).toBe(333);
    expect(mesh.calls.length).toBeLessThan(20);
    expect(Math.max(...batchesOf(mesh))).toBeLessThanOrEqual(50);
  });

  test("of which there is only one goes as it is", async () => {
    await using mesh = await openFakeCoordinator();
    await using client = createClient({ url: mesh.url });
    await client.submit("echo", 1);
    await client.submit("echo", 2);
    expect(mesh.calls.map(({ method }) => method)).toEqual(["SubmitTask", "SubmitTask"]);
  });

  test("travel together even when a test of the user's has replaced the timers", async () => {
    await using mesh = await openFakeCoordinator();
    await using client = createClient({ url: mesh.url });
    await client.status("none").catch(() => undefined);
    vi.useFakeTimers();
    await submitAll(client, 2);
    expect(batchesOf(mesh)).toEqual([2]);
  });

  test("are refused as they would be alone, while the others are accepted", async () => {
    await using mesh = await openFakeCoordinator();
    await using client = createClient({ url: mesh.url });
    const wrong: unknown = await client.submit("not ok").catch((error: unknown) => error);
    const [good, bad] = await Promise.allSettled([client.submit("echo", 1), client.submit("not ok")]);
    expect(good).toMatchObject({ status: "fulfilled", value: { existing: false } });
    expect(bad).toMatchObject({ status: "rejected", reason: { violations: [{ field: "type" }] } });
    // All but its cause, which tells when it was answered.
    const { code, message, reason, violations, unaccepted } = wrong as MycelError;
    expect(bad).toMatchObject({ reason: { code, message, reason, violations, unaccepted } });
    expect(batchesOf(mesh)).toEqual([2]);
  });

  test("wait as long as a full queue asks, then are accepted", async () => {
    await using mesh = await openFakeCoordinator();
    await using client = createClient({ url: mesh.url });
    mesh.failNext("BatchSubmitTasks", unavailable("QUEUE_FULL", 50));
    const started = performance.now();
    expect((await submitAll(client, 2)).every(({ status }) => status === "fulfilled")).toBe(true);
    expect(performance.now() - started).toBeGreaterThanOrEqual(49);
  });

  test("have the second of two with the same id answered after the first", async () => {
    await using mesh = await openFakeCoordinator();
    await using client = createClient({ url: mesh.url });
    const [first, again, other, besides] = await Promise.allSettled([
      client.submit("echo", 1, { taskId: "same" }),
      client.submit("echo", 1, { taskId: "same" }),
      client.submit("echo", 2, { taskId: "same" }),
      client.submit("echo", 3, { requestId: "same" }),
    ]);
    expect(first).toMatchObject({ value: { taskId: "same", existing: false } });
    expect(again).toMatchObject({ value: { taskId: "same", existing: true } });
    expect(other).toMatchObject({ reason: { reason: "TASK_ALREADY_EXISTS" } });
    expect(besides).toMatchObject({ value: { existing: false } });
    expect(batchesOf(mesh)).toEqual([2]);
  });
});

describe("a caller who leaves", () => {
  test("before the others are sent submits nothing", async () => {
    await using mesh = await openFakeCoordinator();
    await using client = createClient({ url: mesh.url });
    const leaving = new AbortController();
    const left = client.submit("echo", 1, { taskId: "left", signal: leaving.signal });
    const staying = submitAll(client, 2);
    // After both were prepared, and before the turn is over.
    process.nextTick(() => leaving.abort());
    await expect(left).rejects.toMatchObject({ name: "MycelError", code: "canceled" });
    expect((await staying).every(({ status }) => status === "fulfilled")).toBe(true);
    expect([...mesh.tasks.keys()]).toEqual(["t-0", "t-1"]);
  });

  test("while the answer is awaited hears of it at once, and the others of their answers", async () => {
    await using mesh = await openFakeCoordinator();
    await using client = createClient({ url: mesh.url, timeoutMs: 1_000 });
    mesh.failNext("BatchSubmitTasks", "hang");
    const leaving = new AbortController();
    const left = client.submit("echo", 1, { signal: leaving.signal });
    const staying = submitAll(client, 2);
    await expect.poll(() => mesh.count("BatchSubmitTasks")).toBe(1);
    leaving.abort(new Error("not needed any more"));
    await expect(left).rejects.toMatchObject({
      code: "canceled",
      message: "the call was canceled: not needed any more",
    });
    expect(mesh.count("SubmitTask")).toBe(0);
    expect(await staying).toMatchObject([
      { status: "rejected", reason: { code: "deadline_exceeded" } },
      { status: "rejected", reason: { code: "deadline_exceeded" } },
    ]);
  });
});

describe("a call that fails", () => {
  test("with its connection is sent again, and submits once", async () => {
    await using mesh = await openFakeCoordinator();
    await using client = createClient({ url: mesh.url });
    mesh.failNext("BatchSubmitTasks", "cut", unavailable());
    expect((await submitAll(client, 10)).every(({ status }) => status === "fulfilled")).toBe(true);
    expect(mesh.count("BatchSubmitTasks")).toBe(3);
    expect(mesh.tasks.size).toBe(10);
  });

  test("with its connection is sent again, though one was given an empty id", async () => {
    await using mesh = await openFakeCoordinator();
    await using client = createClient({ url: mesh.url });
    mesh.failNext("BatchSubmitTasks", "cut");
    const unnamed = client.submit("echo", 1, { requestId: "" });
    expect((await submitAll(client, 2)).every(({ status }) => status === "fulfilled")).toBe(true);
    await unnamed;
    expect(batchesOf(mesh)).toEqual([3, 3]);
    expect(mesh.tasks.size).toBe(3);
  });

  test("for good fails each submission, each with an error of its own", async () => {
    await using mesh = await openFakeCoordinator();
    await using client = createClient({ url: mesh.url, retry: { attempts: 1 } });
    mesh.failNext("BatchSubmitTasks", unavailable("BROKER_UNAVAILABLE", 5));
    const [first, second] = await submitAll(client, 2);
    const reason = { code: "unavailable", reason: "BROKER_UNAVAILABLE", retryDelayMs: 5 };
    expect([first, second]).toMatchObject([{ reason }, { reason }]);
    expect((first as PromiseRejectedResult).reason).not.toBe((second as PromiseRejectedResult).reason);
    expect((first as PromiseRejectedResult).reason.stack).toContain("gathered-submits.test.ts");
    expect(mesh.count("SubmitTask")).toBe(0);
  });

  test("for another reason leaves each submission to a call of its own", async () => {
    await using mesh = await openFakeCoordinator();
    await using client = createClient({ url: mesh.url });
    const tooLarge = richError({ code: Code.ResourceExhausted, reason: "MESSAGE_TOO_LARGE", message: "too large" });
    mesh.failNext("BatchSubmitTasks", tooLarge);
    expect((await submitAll(client, 3)).every(({ status }) => status === "fulfilled")).toBe(true);
    expect(mesh.count("SubmitTask")).toBe(3);
  });

  test("after it may have submitted something is not forgotten when the next ones are refused", async () => {
    await using mesh = await openFakeCoordinator();
    await using client = createClient({ url: mesh.url });
    const broken = richError({ code: Code.Internal, reason: "INTERNAL", message: "broken" });
    const full = richError({ code: Code.ResourceExhausted, reason: "MESSAGE_TOO_LARGE", message: "too large" });
    mesh.failNext("BatchSubmitTasks", broken, full);
    mesh.failNext("SubmitTask", full, full, full, full);
    expect(await submitAll(client, 2)).toMatchObject([
      { reason: { code: "resource_exhausted", unaccepted: false } },
      { reason: { code: "resource_exhausted", unaccepted: false } },
    ]);
    expect(await submitAll(client, 2)).toMatchObject([
      { reason: { code: "resource_exhausted", unaccepted: true } },
      { reason: { code: "resource_exhausted", unaccepted: true } },
    ]);
  });

  test("because the client is closed fails each of them so", async () => {
    await using mesh = await openFakeCoordinator();
    const client = createClient({ url: mesh.url });
    mesh.failNext("BatchSubmitTasks", "hang");
    const answers = submitAll(client, 2);
    await expect.poll(() => mesh.count("BatchSubmitTasks")).toBe(1);
    const late = submitAll(client, 2);
    await client[Symbol.asyncDispose]();
    const closed = { reason: { code: "canceled", reason: "CLIENT_CLOSED" } };
    expect(await answers).toMatchObject([closed, closed]);
    expect(await late).toMatchObject([closed, closed]);
  });
});

describe("nothing travels together", () => {
  test("that is large", async () => {
    await using mesh = await openFakeCoordinator();
    await using client = createClient({ url: mesh.url });
    const large = "x".repeat(17_000);
    await Promise.all([client.submit("echo", large), client.submit("echo", large)]);
    expect(mesh.calls.map(({ method }) => method)).toEqual(["SubmitTask", "SubmitTask"]);
  });

  const unlike: [string, Omit<ClientOptions, "url">][] = [
    ["interceptors look at each call", { interceptors: [(next) => next] }],
    ["it is not wanted", { gatherSubmissions: false }],
  ];
  test.for(unlike)("when %s", async ([, options]) => {
    await using mesh = await openFakeCoordinator();
    await using client = createClient({ url: mesh.url, ...options });
    await submitAll(client, 3);
    expect(mesh.calls.map(({ method }) => method)).toEqual(["SubmitTask", "SubmitTask", "SubmitTask"]);
  });
});
