// What the client promises about submitting, over a real port.
import { create } from "@bufbuild/protobuf";
import { Code } from "@connectrpc/connect";
import { describe, expect, test } from "vitest";
import type { SubmitTaskRequest } from "../../../gen/mycel/v1/agent_service_pb.ts";
import { PayloadSchema } from "../../../gen/mycel/v1/payload_pb.ts";
import { Priority } from "../../../gen/mycel/v1/task_pb.ts";
import { richError } from "../../../lib/rpc/rich-error.ts";
import { MycelError, createClient } from "../../../sdk/client/index.ts";
import { openFakeCoordinator, unavailable } from "../../support/fake-coordinator.ts";

describe("submit", () => {
  test.for(["grpc", "connect", "grpc-web"] as const)(
    "sends a task over %s and returns its result",
    async (transport) => {
      await using mesh = await openFakeCoordinator();
      await using client = createClient({ url: mesh.url, transport, headers: { authorization: "Bearer x" } });
      const { taskId, status, existing } = await client.submit("echo", { hello: ["world", 1, null, true] });
      expect(existing).toBe(false);
      expect(status.taskId).toBe(taskId);
      expect(mesh.calls[0]!.headers.get("authorization")).toBe("Bearer x");
      await expect(client.result(taskId)).resolves.toEqual({ hello: ["world", 1, null, true] });
    },
  );

  test("puts every option on the wire", async () => {
    await using mesh = await openFakeCoordinator();
    await using client = createClient({ url: mesh.url });
    await client.submit("echo", new Uint8Array([1, 2]), {
      taskId: "my-task",
      priority: "critical",
      queue: "q",
      labels: { team: "a" },
      scheduleToStartMs: 1500,
      startToCloseMs: 30_000,
      scheduleToCloseMs: 60_000,
      heartbeatMs: 2000,
      retry: {
        maximumAttempts: 7,
        initialIntervalMs: 250,
        backoffCoefficient: 3,
        maximumIntervalMs: 9000,
        nonRetryableReasons: ["NO"],
      },
      delayMs: 1001,
      resultTtlMs: 5000,
    });
    const request = mesh.calls[0]!.request as SubmitTaskRequest;
    expect(request).toMatchObject({
      taskId: "my-task",
      requestId: "",
      type: "echo",
      priority: Priority.CRITICAL,
      queue: "q",
      labels: { team: "a" },
      input: {
        kind: { case: "bytes", value: { data: new Uint8Array([1, 2]), contentType: "application/octet-stream" } },
      },
      timeouts: {
        scheduleToStart: { seconds: 1n, nanos: 500_000_000 },
        startToClose: { seconds: 30n },
        scheduleToClose: { seconds: 60n },
        heartbeat: { seconds: 2n },
      },
      retryPolicy: {
        maximumAttempts: 7,
        initialInterval: { seconds: 0n, nanos: 250_000_000 },
        backoffCoefficient: 3,
        maximumInterval: { seconds: 9n },
        nonRetryableReasons: ["NO"],
      },
      start: { case: "delay", value: { seconds: 1n, nanos: 1_000_000 } },
      resultTtl: { seconds: 5n },
    });
  });

  test("makes up a request id, a new one for each task", async () => {
    await using mesh = await openFakeCoordinator();
    await using client = createClient({ url: mesh.url });
    const [a, b] = [await client.submit("echo"), await client.submit("echo")];
    expect(a.taskId).not.toBe(b.taskId);
    const ids = mesh.calls.map(({ request }) => (request as SubmitTaskRequest).requestId);
    expect(new Set(ids).size).toBe(2);
    expect(ids[0]).toMatch(/^[0-9a-f-]{36}$/);
  });

  test("submits once although the connection breaks before the answer", async () => {
    await using mesh = await openFakeCoordinator();
    await using client = createClient({ url: mesh.url });
    mesh.failNext("SubmitTask", "cut", "cut");
    await client.submit("echo", 1);
    expect(mesh.count("SubmitTask")).toBe(3);
    const ids = mesh.calls.map(({ request }) => (request as SubmitTaskRequest).requestId);
    expect(new Set(ids).size).toBe(1);
    expect(mesh.tasks.size).toBe(1);
  });

  test("does not repeat a raw submission that has no id", async () => {
    await using mesh = await openFakeCoordinator();
    await using client = createClient({ url: mesh.url });
    mesh.failNext("SubmitTask", "cut");
    await expect(client.rpc.submitTask({ type: "echo" })).rejects.toMatchObject({
      code: "unavailable",
      reason: "CONNECTION_LOST",
    });
    expect(mesh.count("SubmitTask")).toBe(1);
  });

  test("waits as long as a full queue asks, then submits", async () => {
    await using mesh = await openFakeCoordinator();
    await using client = createClient({ url: mesh.url });
    const full = richError({
      code: Code.ResourceExhausted,
      reason: "QUEUE_FULL",
      message: "queue echo is full",
      retryDelayMs: 120,
    });
    mesh.failNext("SubmitTask", full);
    const started = performance.now();
    await client.submit("echo");
    expect(performance.now() - started).toBeGreaterThanOrEqual(119);
    expect(mesh.count("SubmitTask")).toBe(2);
  });

  test("gives a full queue's error at once when the wait would outlast the call", async () => {
    await using mesh = await openFakeCoordinator();
    await using client = createClient({ url: mesh.url, timeoutMs: 1000 });
    const full = richError({
      code: Code.ResourceExhausted,
      reason: "QUEUE_FULL",
      message: "queue echo is full",
      retryDelayMs: 60_000,
    });
    mesh.failNext("SubmitTask", full);
    await expect(client.submit("echo")).rejects.toMatchObject({
      code: "resource_exhausted",
      reason: "QUEUE_FULL",
      retryDelayMs: 60_000,
      message: "queue echo is full",
    });
    expect(mesh.count("SubmitTask")).toBe(1);
  });

  test("names every violation", async () => {
    await using mesh = await openFakeCoordinator();
    await using client = createClient({ url: mesh.url });
    const error = await client.submit("no spaces").catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(MycelError);
    expect(error).toMatchObject({
      code: "invalid_argument",
      reason: "INVALID_REQUEST",
      violations: [{ field: "type", description: "must be 1 to 64 characters of A-Z a-z 0-9 _ -" }],
    });
  });

  test("uploads an input above 256 KiB, and downloads such a result", async () => {
    await using mesh = await openFakeCoordinator();
    await using client = createClient({ url: mesh.url });
    const large = { text: "x".repeat(300 * 1024) };
    const { taskId } = await client.submit("echo", large);
    const request = mesh.calls.find(({ method }) => method === "SubmitTask")!.request as SubmitTaskRequest;
    expect(request.input!.kind).toMatchObject({ case: "blob", value: { contentType: "application/json" } });
    await expect(client.result(taskId)).resolves.toEqual(large);
    const bytes = new Uint8Array(300 * 1024).fill(7);
    const second = await client.submit("echo", bytes);
    expect(Buffer.from(await client.result<Uint8Array>(second.taskId)).equals(bytes)).toBe(true);
  });

  test.for([
    [
      "a cycle",
      () => {
        const a: unknown[] = [];
        a.push(a);
        return a;
      },
    ],
    ["a BigInt", () => 1n],
    ["a function", () => () => 1],
    ["a lone surrogate is fine, NaN becomes null", () => undefined],
  ] as [string, () => unknown][])("refuses an input without a JSON form: %s", async ([, input]) => {
    await using mesh = await openFakeCoordinator();
    await using client = createClient({ url: mesh.url });
    const value = input();
    if (value === undefined) {
      const { taskId } = await client.submit("echo", { not: NaN });
      await expect(client.result(taskId)).resolves.toEqual({ not: null });
    } else {
      await expect(client.submit("echo", value)).rejects.toMatchObject({
        code: "invalid_argument",
        reason: "INVALID_OPTION",
      });
      expect(mesh.calls).toEqual([]);
    }
  });

  test("sends a Payload message as it is", async () => {
    await using mesh = await openFakeCoordinator();
    await using client = createClient({ url: mesh.url });
    const payload = create(PayloadSchema, {
      kind: { case: "bytes", value: { contentType: "image/png", data: new Uint8Array([9]) } },
    });
    await client.submit("echo", payload);
    expect((mesh.calls[0]!.request as SubmitTaskRequest).input).toEqual(payload);
  });
});

describe("submitMany", () => {
  test("keeps the order over chunks and tells each item's error", async () => {
    await using mesh = await openFakeCoordinator();
    await using client = createClient({ url: mesh.url });
    async function* tasks() {
      for (let i = 0; i < 25; i += 1) yield { type: i === 13 ? "not ok" : "echo", taskId: `t-${i}`, input: i };
    }
    const results = await client.submitMany(tasks(), { chunk: 4, concurrency: 3 });
    expect(results.map((result) => (result.ok ? result.taskId : result.error.code))).toEqual(
      Array.from({ length: 25 }, (_, i) => (i === 13 ? "invalid_argument" : `t-${i}`)),
    );
    expect(mesh.count("BatchSubmitTasks")).toBe(7);
  });

  test("survives lost connections without submitting twice", async () => {
    await using mesh = await openFakeCoordinator();
    await using client = createClient({ url: mesh.url });
    mesh.failNext("BatchSubmitTasks", "cut", unavailable());
    const results = await client.submitMany(Array.from({ length: 10 }, (_, input) => ({ type: "echo", input })));
    expect(results.every((result) => result.ok)).toBe(true);
    expect(mesh.tasks.size).toBe(10);
  });

  test("refuses more atomic tasks than one batch takes", async () => {
    await using mesh = await openFakeCoordinator();
    await using client = createClient({ url: mesh.url });
    const tasks = Array.from({ length: 1001 }, () => ({ type: "echo" }));
    await expect(client.submitMany(tasks, { atomic: true })).rejects.toThrow("atomic allows at most 1000 tasks");
    expect(mesh.calls).toEqual([]);
  });
});

describe("submitStream", () => {
  test("answers each task once although connections break", async () => {
    await using mesh = await openFakeCoordinator();
    await using client = createClient({ url: mesh.url });
    mesh.failNext("SubmitTaskStream", "cut");
    async function* tasks() {
      for (let i = 0; i < 50; i += 1) {
        if (i === 20) mesh.failNext("SubmitTaskStream.item", "cut");
        yield { type: "echo", input: i };
      }
    }
    const seen = new Set<number>();
    for await (const ack of client.submitStream(tasks())) {
      expect(ack.ok).toBe(true);
      expect(seen.has(ack.index)).toBe(false);
      seen.add(ack.index);
    }
    expect(seen.size).toBe(50);
    expect(mesh.tasks.size).toBe(50);
    expect(mesh.count("SubmitTaskStream")).toBe(3);
  });

  test("sends what is refused for the moment again, and tells what is refused for good", async () => {
    await using mesh = await openFakeCoordinator();
    await using client = createClient({ url: mesh.url });
    // The last one comes back after everything else was sent; the stream is still open for it.
    const busy = unavailable("BROKER_UNAVAILABLE", 20);
    const items = [undefined, busy, undefined, undefined, busy, busy];
    mesh.failNext("SubmitTaskStream.item", ...items);
    const tasks = ["echo", "echo", "not ok", "echo", "echo"].map((type, input) => ({ type, input }));
    const acks = await Array.fromAsync(client.submitStream(tasks));
    const answers = acks.toSorted((a, b) => a.index - b.index).map((ack) => (ack.ok ? "ok" : ack.error.code));
    expect(answers).toEqual(["ok", "ok", "invalid_argument", "ok", "ok"]);
    expect(mesh.count("SubmitTaskStream")).toBe(1);
  });

  test("tells a refusal that lasts longer than a call may", async () => {
    await using mesh = await openFakeCoordinator();
    await using client = createClient({ url: mesh.url, timeoutMs: 60 });
    mesh.failNext("SubmitTaskStream.item", ...Array.from({ length: 20 }, () => unavailable("QUEUE_FULL", 10)));
    const acks = await Array.fromAsync(client.submitStream([{ type: "echo" }]));
    expect(acks).toMatchObject([{ ok: false, error: { code: "unavailable" } }]);
  });

  test("hands the caller's own error through", async () => {
    await using mesh = await openFakeCoordinator();
    await using client = createClient({ url: mesh.url });
    const mine = new Error("my file is gone");
    async function* tasks() {
      yield { type: "echo" };
      throw mine;
    }
    await expect(Array.fromAsync(client.submitStream(tasks()))).rejects.toBe(mine);
  });
});
