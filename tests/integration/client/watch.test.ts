// What the client promises about following a task: each event once and in order, whatever happens to connections.
import { Code } from "@connectrpc/connect";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import type { RunTaskRequest, StreamResultsRequest } from "../../../gen/mycel/v1/agent_service_pb.ts";
import { AgentChange, ResultKind } from "../../../gen/mycel/v1/agent_service_pb.ts";
import { richError } from "../../../lib/rpc/rich-error.ts";
import { timestampFromMs } from "../../../lib/wire/time-codec.ts";
import { type TaskEvent, TaskFailedError, createClient } from "../../../sdk/client/index.ts";
import { fakeAgent, openFakeCoordinator, unavailable } from "../../support/fake-coordinator.ts";

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
    await using client = createClient({ url: mesh.url, silenceTimeoutMs: 30, reconnectTimeoutMs: 0 });
    const { taskId } = await client.submit("story");
    const seen: unknown[] = [];
    for await (const event of client.watch(taskId)) {
      const until = performance.now() + 40;
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

describe("resilience", () => {
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

  test("says plainly that nobody is there", async () => {
    await using mesh = await openFakeCoordinator();
    await mesh.stop();
    await using client = createClient({ url: mesh.url, maximumTries: 2 });
    await expect(client.status("t")).rejects.toMatchObject({
      code: "unavailable",
      reason: "CONNECTION_LOST",
      message: `cannot connect to ${mesh.url}: connection refused`,
    });
  });

  test("keeps the caller's deadline over all tries", async () => {
    await using mesh = await openFakeCoordinator();
    await using client = createClient({ url: mesh.url, timeoutMs: 300 });
    mesh.failNext("GetTaskStatus", ...Array.from({ length: 50 }, () => unavailable()));
    await expect(client.status("t")).rejects.toMatchObject({ code: "unavailable", reason: "BROKER_UNAVAILABLE" });
    expect(mesh.count("GetTaskStatus")).toBeGreaterThan(1);
    expect(mesh.count("GetTaskStatus")).toBeLessThan(12);
  });

  test("says what went wrong, and not that time ran out, when the deadline cuts the last try short", async () => {
    await using mesh = await openFakeCoordinator();
    await using client = createClient({ url: mesh.url, timeoutMs: 300 });
    mesh.failNext("GetTaskStatus", unavailable(), "hang");
    await expect(client.status("t")).rejects.toMatchObject({ code: "unavailable", reason: "BROKER_UNAVAILABLE" });
  });

  test("fails every call, also those under way, once it is closed", async () => {
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
});

describe("closing", () => {
  test("leaves nothing behind that fails later when streams were open", async () => {
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
});

describe("lists and the fleet", () => {
  test("reads a list page by page", async () => {
    await using mesh = await openFakeCoordinator();
    await using client = createClient({ url: mesh.url });
    for (let i = 0; i < 5; i += 1) await client.submit("echo", i, { taskId: `t-${i}`, labels: { odd: String(i % 2) } });
    await client.submit("fail", 1, { taskId: "dead" });
    const all = await Array.fromAsync(client.list({ types: ["echo"] }));
    expect(all.map(({ taskId }) => taskId)).toEqual(["t-0", "t-1", "t-2", "t-3", "t-4"]);
    expect(mesh.count("ListTasks")).toBe(3);
    await expect(Array.fromAsync(client.list({ labels: { odd: "1" }, states: ["completed"] }))).resolves.toHaveLength(
      2,
    );
    const count = await client.count();
    expect(count.total).toBe(6);
    expect([...count.byState]).toEqual([
      ["completed", 5],
      ["failed", 1],
    ]);
    const dead = await Array.fromAsync(client.deadLetters());
    expect(dead.map(({ task }) => task!.taskId)).toEqual(["dead"]);
    const { task, existing } = await client.retry("dead");
    expect([task.taskId, task.redriveOf, existing]).toEqual(["dead-again", "dead", false]);
  });

  test("tells only real changes of the fleet after a lost connection", async () => {
    await using mesh = await openFakeCoordinator();
    await using client = createClient({ url: mesh.url });
    const [a, b, c] = [fakeAgent("a"), fakeAgent("b"), fakeAgent("c")];
    for (const agent of [a, b]) mesh.agents.set(agent.agentId, agent);
    const seen: string[] = [];
    const controller = new AbortController();
    for await (const event of client.watchAgents({}, { signal: controller.signal })) {
      seen.push(event.kind === "synced" ? "synced" : `${event.kind}:${event.agent.agentId}`);
      if (event.kind === "synced") {
        mesh.agents.delete("a");
        mesh.agents.set("b", { ...b, heartbeatTime: timestampFromMs(Date.now() + 5_000) });
        mesh.agents.set("c", c);
        mesh.cut();
      }
      if (event.kind === "lost") mesh.tellAgents(AgentChange.UPDATED, fakeAgent("b", ["echo"], 3));
      if (event.kind === "updated") break;
    }
    expect(seen).toEqual(["added:a", "added:b", "synced", "added:c", "lost:a", "updated:b"]);
  });
});
