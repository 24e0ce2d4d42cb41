// What the client promises about following a task: each event once and in order, whatever happens to connections.
import { Code } from "@connectrpc/connect";
import { describe, expect, test } from "vitest";
import type { RunTaskRequest, StreamResultsRequest } from "../../../gen/mycel/v1/agent_service_pb.ts";
import { ResultKind } from "../../../gen/mycel/v1/agent_service_pb.ts";
import { richError } from "../../../lib/rpc/rich-error.ts";
import { type TaskEvent, TaskFailedError, createClient } from "../../../sdk/client/index.ts";
import { openFakeCoordinator, unavailable } from "../../support/fake-coordinator.ts";

function brief(event: TaskEvent): unknown {
  switch (event.kind) {
    case "chunk":
      return event.value;
    case "progress":
      return event.fraction;
    case "log":
      return event.text;
    default:
      return `${event.kind}:${event.state}`;
  }
}

const STORY = ["snapshot:completed", "state:working", "reading", 0.5, "one", "two", "three", "state:completed"];

describe("watch", () => {
  test.for(["grpc", "connect", "grpc-web"] as const)("yields every event of a task over %s", async (transport) => {
    await using mesh = await openFakeCoordinator();
    await using client = createClient({ url: mesh.url, transport });
    const { taskId } = await client.submit("story", "input");
    const events = await Array.fromAsync(client.watch(taskId));
    expect(events.map(brief)).toEqual(STORY);
    expect(events.map(({ sequence }) => sequence)).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
    expect(events.at(-1)).toMatchObject({ kind: "state", state: "completed", result: "input" });
    expect(events[4]).toMatchObject({
      kind: "chunk",
      attempt: 1,
      agentId: "agent-1",
      time: expect.any(Date),
      cursor: "c4",
    });
  });

  test("resumes from the last cursor after each lost connection, each event once", async () => {
    await using mesh = await openFakeCoordinator();
    await using client = createClient({ url: mesh.url });
    const { taskId } = await client.submit("story");
    mesh.stallAfter(2);
    const seen: unknown[] = [];
    for await (const event of client.watch(taskId)) {
      seen.push(brief(event));
      if (event.sequence === 2 || event.sequence === 5) mesh.cut();
      if (event.sequence === 2) mesh.stallAfter(5);
    }
    expect(seen).toEqual(STORY);
    const cursors = mesh.calls
      .filter(({ method }) => method === "StreamResults")
      .map(({ request }) => (request as StreamResultsRequest).cursor);
    expect(cursors).toEqual(["", "c2", "c5"]);
  });

  test("goes to the next coordinator when one is gone for good", async () => {
    await using first = await openFakeCoordinator();
    await using second = await openFakeCoordinator({ replicaOf: first });
    await using client = createClient({ urls: [first.url, second.url] });
    const { taskId } = await client.submit("story");
    first.stallAfter(4);
    const seen: unknown[] = [];
    for await (const event of client.watch(taskId)) {
      seen.push(brief(event));
      if (event.sequence === 4) await first.stop();
    }
    expect(seen).toEqual(STORY);
    expect(second.count("StreamResults")).toBe(1);
    // Other calls follow without an error.
    await expect(client.status(taskId)).resolves.toMatchObject({ taskId });
    expect(second.count("GetTaskStatus")).toBe(1);
  });

  test("leaves a draining coordinator at once", async () => {
    await using first = await openFakeCoordinator();
    await using second = await openFakeCoordinator({ replicaOf: first });
    await using client = createClient({ urls: [first.url, second.url] });
    const { taskId } = await client.submit("story");
    first.failNext("StreamResults", unavailable("DRAINING", 60_000));
    const events = await Array.fromAsync(client.watch(taskId));
    expect(events.map(brief)).toEqual(STORY);
    expect(second.count("StreamResults")).toBe(1);
  });

  test("waits as long as an overloaded coordinator asks", async () => {
    await using mesh = await openFakeCoordinator();
    await using client = createClient({ url: mesh.url });
    const { taskId } = await client.submit("story");
    mesh.failNext(
      "StreamResults",
      richError({ code: Code.ResourceExhausted, reason: "TOO_MANY_STREAMS", message: "full", retryDelayMs: 100 }),
    );
    const started = performance.now();
    await expect(Array.fromAsync(client.watch(taskId))).resolves.toHaveLength(8);
    expect(performance.now() - started).toBeGreaterThanOrEqual(99);
  });

  test("takes a silent connection for dead and resumes", async () => {
    await using mesh = await openFakeCoordinator();
    await using client = createClient({ url: mesh.url, silenceTimeoutMs: 80 });
    const { taskId } = await client.submit("story");
    mesh.stallAfter(3);
    const events = await Array.fromAsync(client.watch(taskId));
    expect(events.map(brief)).toEqual(STORY);
    expect(mesh.count("StreamResults")).toBe(2);
  });

  test("does not take a slow reader for a dead connection", async () => {
    await using mesh = await openFakeCoordinator();
    await using client = createClient({ url: mesh.url, silenceTimeoutMs: 400, reconnectTimeoutMs: 0 });
    const { taskId } = await client.submit("story");
    const seen: unknown[] = [];
    for await (const event of client.watch(taskId)) {
      const until = performance.now() + 450;
      await expect.poll(() => performance.now() >= until).toBe(true);
      seen.push(brief(event));
    }
    expect(seen).toEqual(STORY);
    expect(mesh.count("StreamResults")).toBe(1);
  });

  test("never passes over a hole in silence", async () => {
    await using mesh = await openFakeCoordinator();
    await using client = createClient({ url: mesh.url });
    const { taskId } = await client.submit("story");
    mesh.dropSequence(4);
    const seen: unknown[] = [];
    const reading = (async () => {
      for await (const event of client.watch(taskId)) seen.push(event.sequence);
    })();
    await expect(reading).rejects.toMatchObject({ code: "data_loss", reason: "SEQUENCE_GAP" });
    expect(seen).toEqual([0, 1, 2, 3]);
  });

  test("takes holes for what they are when kinds are left out", async () => {
    await using mesh = await openFakeCoordinator();
    await using client = createClient({ url: mesh.url });
    const { taskId } = await client.submit("story");
    const events = await Array.fromAsync(client.watch(taskId, { kinds: ["chunk"] }));
    expect(events.map(brief)).toEqual(["snapshot:completed", "one", "two", "three", "state:completed"]);
    expect((mesh.calls.at(-1)!.request as StreamResultsRequest).kinds).toEqual([ResultKind.CHUNK]);
  });

  test("goes on after a cursor of an earlier watch", async () => {
    await using mesh = await openFakeCoordinator();
    await using client = createClient({ url: mesh.url });
    const { taskId } = await client.submit("story");
    const events = await Array.fromAsync(client.watch(taskId, { cursor: "c5" }));
    expect(events.map(brief)).toEqual(["snapshot:completed", "three", "state:completed"]);
    await expect(Array.fromAsync(client.watch(taskId, { cursor: "c7" }))).resolves.toHaveLength(1);
  });

  test("ends with the caller's signal, or in silence when the loop is left", async () => {
    await using mesh = await openFakeCoordinator();
    await using client = createClient({ url: mesh.url });
    const { taskId } = await client.submit("idle");
    const controller = new AbortController();
    const watching = (async () => {
      for await (const event of client.watch(taskId, { signal: controller.signal })) {
        if (event.kind === "snapshot") controller.abort();
      }
    })();
    await expect(watching).rejects.toMatchObject({ name: "MycelError", code: "canceled" });
    for await (const event of client.watch(taskId)) {
      expect(event.kind).toBe("snapshot");
      break;
    }
  });

  test("gives an unknown task's error at once", async () => {
    await using mesh = await openFakeCoordinator();
    await using client = createClient({ url: mesh.url });
    await expect(Array.fromAsync(client.watch("nobody"))).rejects.toMatchObject({
      code: "not_found",
      reason: "TASK_NOT_FOUND",
    });
    expect(mesh.count("StreamResults")).toBe(1);
  });

  test("gives up when nobody could be reached for too long, and says whom", async () => {
    await using mesh = await openFakeCoordinator();
    await using client = createClient({ url: mesh.url, reconnectTimeoutMs: 200 });
    const { taskId } = await client.submit("story");
    mesh.stallAfter(2);
    const seen: unknown[] = [];
    const watching = (async () => {
      for await (const event of client.watch(taskId)) {
        seen.push(brief(event));
        if (event.sequence === 2) await mesh.stop();
      }
    })();
    await expect(watching).rejects.toMatchObject({
      code: "unavailable",
      reason: "CONNECTION_LOST",
      message: `cannot connect to ${mesh.url}: connection refused`,
    });
    expect(seen).toEqual(STORY.slice(0, 3));
  });

  test("resumes with a coordinator that was restarted on the same port", async () => {
    const mesh = await openFakeCoordinator();
    await using client = createClient({ url: mesh.url });
    const { taskId } = await client.submit("story");
    mesh.stallAfter(3);
    const seen: unknown[] = [];
    const restarted = Promise.withResolvers<AsyncDisposable>();
    for await (const event of client.watch(taskId)) {
      seen.push(brief(event));
      if (event.sequence === 3) {
        await mesh.stop();
        // Back only after the client has been refused.
        setTimeout(() => restarted.resolve(openFakeCoordinator({ replicaOf: mesh, port: mesh.port })), 200);
      }
    }
    await using _ = await restarted.promise;
    expect(seen).toEqual(STORY);
  });
});

describe("run", () => {
  test("submits and streams in one call", async () => {
    await using mesh = await openFakeCoordinator();
    await using client = createClient({ url: mesh.url });
    const run = client.run<string>("story", "input");
    const events = await Array.fromAsync(run);
    expect(events.map(brief)).toEqual(STORY);
    await expect(run.result()).resolves.toBe("input");
    await expect(run.submitted).resolves.toMatchObject({ existing: false });
    expect(mesh.calls.map(({ method }) => method)).toEqual(["RunTask"]);
  });

  test("goes on by StreamResults from the last cursor", async () => {
    await using mesh = await openFakeCoordinator();
    await using client = createClient({ url: mesh.url });
    mesh.stallAfter(3);
    const seen: unknown[] = [];
    const run = client.run("story", "input");
    for await (const event of run) {
      seen.push(brief(event));
      if (event.sequence === 3) mesh.cut();
    }
    expect(seen).toEqual(STORY);
    expect(mesh.calls.map(({ method }) => method)).toEqual(["RunTask", "StreamResults"]);
    expect((mesh.calls[1]!.request as StreamResultsRequest).cursor).toBe("c3");
  });

  test("submits the same task when the connection breaks before the answer", async () => {
    await using mesh = await openFakeCoordinator();
    await using client = createClient({ url: mesh.url });
    mesh.failNext("RunTask", "cut");
    await expect(client.run("echo", 5).result()).resolves.toBe(5);
    const ids = mesh.calls.map(({ request }) => (request as RunTaskRequest).task!.requestId);
    expect(ids).toHaveLength(2);
    expect(new Set(ids).size).toBe(1);
    expect(mesh.tasks.size).toBe(1);
  });

  test("runs a task with a large input although the blob store was away for longer than one upload waits", async () => {
    await using mesh = await openFakeCoordinator();
    await using client = createClient({ url: mesh.url, timeoutMs: 100, reconnectTimeoutMs: 3_000 });
    mesh.failNext("UploadBlob", ...Array.from({ length: 5 }, () => unavailable()));
    const text = "x".repeat(300_000);
    await expect(client.run("echo", text).result()).resolves.toBe(text);
    expect([mesh.count("RunTask"), mesh.tasks.size]).toEqual([1, 1]);
  });

  test("submits although nobody reads, and returns the result after a loop that was left", async () => {
    await using mesh = await openFakeCoordinator();
    await using client = createClient({ url: mesh.url });
    const run = client.run("idle");
    const { taskId } = await run.submitted;
    for await (const event of run) {
      expect(event.kind).toBe("snapshot");
      break;
    }
    const result = run.result();
    await expect.poll(() => mesh.count("GetTaskStatus")).toBe(1);
    mesh.complete(taskId, "late");
    await expect(result).resolves.toBe("late");
  });

  test("rejects the result of a task that failed, with no unhandled rejection beside it", async () => {
    await using mesh = await openFakeCoordinator();
    await using client = createClient({ url: mesh.url });
    await expect(client.run("fail").result()).rejects.toBeInstanceOf(TaskFailedError);
    const refused = client.run("not ok");
    await expect(refused.result()).rejects.toMatchObject({ code: "invalid_argument" });
    await expect(refused.submitted).rejects.toMatchObject({ code: "invalid_argument" });
  });
});
