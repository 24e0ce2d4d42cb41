import { setTimeout as tick } from "node:timers/promises";
import { expect, test } from "vitest";
import {
  AgentError,
  capability,
  defineAgent,
  fail,
  type Handler,
  retryAfter,
  runAgent,
  snooze,
  TerminalError,
  type TaskContext,
} from "../../../sdk/agent/index.ts";
import { silentLogger } from "../../../lib/core/logger.ts";
import { msFromDuration } from "../../../lib/wire/time-codec.ts";
import { valueOfPayload } from "../../../sdk/agent/payload.ts";
import { openFakeMesh } from "./fake-mesh.ts";

test("an instant handler is settled by one report, with the dispatch's attempt and fence and no begin before it", async () => {
  await using mesh = await openFakeMesh();
  const agent = defineAgent({ name: "a", capabilities: { echo: (task) => task.input } });
  await using running = await runAgent(agent, mesh.agentOptions({ agentId: "a1" }));
  await mesh.submit({ taskId: "t1", input: { n: 1, list: [true, null, "x"] } });
  const report = await mesh.ended("t1");
  expect(report.kind.case).toBe("complete");
  expect(valueOfPayload(report.kind.case === "complete" ? report.kind.value.result : undefined)).toEqual({
    n: 1,
    list: [true, null, "x"],
  });
  expect(mesh.reportsOf("t1")).toHaveLength(1);
  expect([report.attempt, report.fence]).toEqual([1, 0n]);
  expect(running.agentId).toBe("a1");
});

test("an attempt that takes longer than the lazy limit is reported as running, and settles with the new fence", async () => {
  await using mesh = await openFakeMesh();
  const gate = Promise.withResolvers<void>();
  const agent = defineAgent({ name: "a", capabilities: { echo: () => gate.promise } });
  await using _running = await runAgent(agent, mesh.agentOptions());
  await mesh.submit({ taskId: "t1" });
  await mesh.until(() => mesh.reportsOf("t1", "begin").length > 0);
  gate.resolve();
  const report = await mesh.ended("t1");
  expect(mesh.reportsOf("t1").map((one) => one.kind.case)).toEqual(["begin", "complete"]);
  expect(mesh.reportsOf("t1", "begin")[0]!.kind.value).toMatchObject({ redelivery: false });
  expect(report.fence).not.toBe(0n);
});

test("a task that may not start unseen is begun with its fence before the handler starts", async () => {
  await using mesh = await openFakeMesh();
  const agent = defineAgent({ name: "a", capabilities: { echo: () => mesh.reportsOf("t1", "begin").length } });
  await using _running = await runAgent(agent, mesh.agentOptions());
  await mesh.submit({ taskId: "t1", beginRequired: true });
  const report = await mesh.ended("t1");
  expect(valueOfPayload(report.kind.case === "complete" ? report.kind.value.result : undefined)).toBe(1);
  expect(mesh.reportsOf("t1", "begin")[0]!.kind.value).toMatchObject({ redelivery: false });
});

test("a redelivered task is begun as such, and runs as the attempt that the mesh names", async () => {
  await using mesh = await openFakeMesh({ leaseMs: 600 });
  await mesh.prepare("echo");
  await mesh.submit({ taskId: "t1" });
  await mesh.takeAndForget("echo", 5);
  const agent = defineAgent({ name: "a", capabilities: { echo: (_task, ctx) => ctx.attempt } });
  mesh.answer = (report) =>
    report.kind.case === "begin" ? { case: "accepted", value: { fence: 7n, attempt: 3 } } : undefined;
  mesh.tasks.get("t1")!.fence = 7n;
  await using _running = await runAgent(agent, mesh.agentOptions());
  const report = await mesh.ended("t1");
  expect(mesh.reportsOf("t1", "begin")[0]!.kind.value).toMatchObject({ redelivery: true });
  expect([report.attempt, report.fence]).toEqual([3, 7n]);
  expect(valueOfPayload(report.kind.case === "complete" ? report.kind.value.result : undefined)).toBe(3);
});

test("a redelivered task runs although the mesh has just told this agent of the attempt that it lost", async () => {
  await using mesh = await openFakeMesh({ leaseMs: 600 });
  await mesh.prepare("echo");
  await mesh.submit({ taskId: "t1" });
  await mesh.takeAndForget("echo", 5);
  const agent = defineAgent({ name: "a", capabilities: { echo: (_task, ctx) => ctx.attempt } });
  mesh.tasks.get("t1")!.fence = 7n;
  mesh.answer = (report) => {
    if (report.kind.case !== "begin") return undefined;
    // The process that had the id before was killed at attempt 1; the signal to it comes before the answer.
    mesh.cancel("a1", "t1", 1, "AGENT_LOST");
    return { case: "accepted", value: { fence: 7n, attempt: 2 } };
  };
  await using _running = await runAgent(agent, mesh.agentOptions({ agentId: "a1" }));
  const report = await mesh.ended("t1");
  expect(report.attempt).toBe(2);
  expect(valueOfPayload(report.kind.case === "complete" ? report.kind.value.result : undefined)).toBe(2);
});

test("a cancel signal that comes before the answer to begin starts no handler", async () => {
  await using mesh = await openFakeMesh({ leaseMs: 600 });
  await mesh.prepare("echo");
  await mesh.submit({ taskId: "t1" });
  await mesh.takeAndForget("echo", 5);
  let started = 0;
  const agent = defineAgent({ name: "a", capabilities: { echo: () => (started += 1) } });
  mesh.answer = (report) => {
    if (report.kind.case !== "begin") return undefined;
    mesh.cancel("a1", "t1", 2, "not needed any more");
    return { case: "accepted", value: { fence: 7n, attempt: 2 } };
  };
  await using running = await runAgent(agent, mesh.agentOptions({ agentId: "a1" }));
  await expect.poll(() => running.stats().endings.canceled).toBe(1);
  expect(started).toBe(0);
  expect(mesh.reportsOf("t1").map((one) => one.kind.case)).toEqual(["begin"]);
  expect(running.stats().running).toBe(0);
});

test("a delivery that the mesh drops starts no handler", async () => {
  await using mesh = await openFakeMesh();
  let calls = 0;
  const agent = defineAgent({ name: "a", capabilities: { echo: () => (calls += 1) } });
  await using running = await runAgent(agent, mesh.agentOptions());
  mesh.answer = (report) => (report.taskId === "t1" ? { case: "dropped", value: { reason: "TASK_ENDED" } } : undefined);
  await mesh.submit({ taskId: "t1", beginRequired: true });
  await mesh.submit({ taskId: "t2" });
  await mesh.ended("t2");
  await mesh.until(() => mesh.reportsOf("t1").length > 0);
  await expect.poll(() => running.stats().endings.dropped).toBe(1);
  expect(calls).toBe(1);
});

test("a refused begin aborts the handler with LEASE_LOST and nothing more is reported on it", async () => {
  await using mesh = await openFakeMesh();
  const reason = Promise.withResolvers<unknown>();
  const agent = defineAgent({
    name: "a",
    capabilities: {
      echo: async (_task, { signal }) => {
        await aborted(signal);
        reason.resolve(signal.reason);
        return "late";
      },
    },
  });
  await using running = await runAgent(agent, mesh.agentOptions());
  mesh.answer = (report) =>
    report.kind.case === "begin" ? { case: "refused", value: { reason: "LEASE_LOST", message: "gone" } } : undefined;
  await mesh.submit({ taskId: "t1" });
  expect(await reason.promise).toMatchObject({ name: "AgentError", code: "LEASE_LOST" });
  await running.drain();
  expect(mesh.reportsOf("t1").map((one) => one.kind.case)).toEqual(["begin"]);
  expect(running.stats().endings.lease_lost).toBe(1);
});

test("a cancel signal aborts the handler with CANCELED and nothing is settled", async () => {
  await using mesh = await openFakeMesh();
  const context = Promise.withResolvers<TaskContext>();
  const reason = Promise.withResolvers<unknown>();
  const agent = defineAgent({
    name: "a",
    capabilities: {
      echo: async (_task, ctx) => {
        context.resolve(ctx);
        await aborted(ctx.signal);
        reason.resolve(ctx.signal.reason);
        // What the handler still tries is refused, whether it awaits it or not.
        void ctx.output("unseen");
        await ctx.output("unseen");
      },
    },
  });
  await using running = await runAgent(agent, mesh.agentOptions({ agentId: "a1" }));
  await mesh.submit({ taskId: "t1" });
  await context.promise;
  mesh.cancel("a1", "t1", 1, "not needed any more");
  expect(await reason.promise).toMatchObject({ code: "CANCELED", message: "not needed any more" });
  await running.drain();
  expect(mesh.reportsOf("t1").filter((one) => one.kind.case !== "begin")).toEqual([]);
  expect(running.stats().endings.canceled).toBe(1);
});

test("what others have sent to an agent's signals cancels nothing", async () => {
  await using mesh = await openFakeMesh();
  const context = Promise.withResolvers<TaskContext>();
  const reason = Promise.withResolvers<unknown>();
  const agent = defineAgent({
    name: "a",
    capabilities: {
      echo: async (_task, ctx) => {
        context.resolve(ctx);
        await aborted(ctx.signal);
        reason.resolve(ctx.signal.reason);
      },
    },
  });
  await using _running = await runAgent(agent, mesh.agentOptions({ agentId: "a1" }));
  await mesh.submit({ taskId: "t1" });
  await context.promise;
  mesh.misdirect("a1", "t1", 1, "an answer that somebody had sent here");
  mesh.cancel("a1", "t1", 1, "not needed any more");
  expect(await reason.promise).toMatchObject({ code: "CANCELED", message: "not needed any more" });
});

test("an attempt beyond start_to_close is aborted and fails at once, though its handler goes on, and its slot stays taken", async () => {
  await using mesh = await openFakeMesh();
  const gate = Promise.withResolvers<void>();
  const seen = Promise.withResolvers<unknown>();
  const agent = defineAgent({
    name: "a",
    capabilities: {
      echo: async (task, { signal }) => {
        if (task.taskId !== "slow") return "next";
        signal.addEventListener("abort", () => seen.resolve(signal.reason));
        await gate.promise;
        return "late";
      },
    },
  });
  await using running = await runAgent(agent, mesh.agentOptions());
  await mesh.submit({ taskId: "slow", task: { timeouts: { startToClose: { seconds: 0n, nanos: 50_000_000 } } } });
  const report = await mesh.ended("slow");
  expect(report.kind).toMatchObject({
    case: "fail",
    value: { failure: { reason: "START_TO_CLOSE_TIMEOUT", retryable: true, source: 3 } },
  });
  expect(await seen.promise).toMatchObject({ code: "START_TO_CLOSE_TIMEOUT" });
  expect(running.stats()).toMatchObject({ running: 1, hung: 1 });
  await mesh.submit({ taskId: "next" });
  gate.resolve();
  await mesh.ended("next");
  await expect.poll(() => running.stats()).toMatchObject({ running: 0, hung: 0 });
  expect(mesh.reportsOf("slow", "complete")).toEqual([]);
});

test("a hung handler loses its slot after the bound, so that the agent does not go deaf", async () => {
  await using mesh = await openFakeMesh();
  const gate = Promise.withResolvers<void>();
  const agent = defineAgent({
    name: "a",
    capabilities: { echo: (task) => (task.taskId === "hung" ? gate.promise : "next") },
  });
  await using running = await runAgent(agent, mesh.agentOptions({ hungMs: 100 }));
  await mesh.submit({ taskId: "hung", task: { timeouts: { startToClose: { seconds: 0n, nanos: 20_000_000 } } } });
  await mesh.ended("hung");
  await mesh.submit({ taskId: "next" });
  await mesh.ended("next");
  expect(running.stats().hung).toBe(1);
  gate.resolve();
  await expect.poll(() => running.stats().hung).toBe(0);
});

test("a handler that must give signs of life and gives none fails with HEARTBEAT_TIMEOUT; one that gives them does not", async () => {
  await using mesh = await openFakeMesh();
  const agent = defineAgent({
    name: "a",
    concurrency: 2,
    capabilities: {
      silent: (_task, { signal }) => aborted(signal),
      lively: async (_task, { heartbeat }) => {
        for (let beat = 0; beat < 6; beat++) {
          heartbeat();
          await tick(100);
        }
        return "done";
      },
    },
  });
  await using _running = await runAgent(agent, mesh.agentOptions());
  const timeouts = { heartbeat: { seconds: 0n, nanos: 300_000_000 } };
  await mesh.submit({ taskId: "lively", type: "lively", task: { timeouts } });
  await mesh.submit({ taskId: "silent", type: "silent", task: { timeouts } });
  expect((await mesh.ended("silent")).kind).toMatchObject({
    case: "fail",
    value: { failure: { reason: "HEARTBEAT_TIMEOUT", retryable: true } },
  });
  expect((await mesh.ended("lively")).kind.case).toBe("complete");
});

const FAILURES: readonly (readonly [string, Handler, object])[] = [
  [
    "a thrown error",
    () => Promise.reject(new Error("boom")),
    { message: "boom", reason: "HANDLER_ERROR", retryable: true },
  ],
  [
    "a synchronous throw",
    () => {
      throw new Error("at once");
    },
    { message: "at once", reason: "HANDLER_ERROR", retryable: true },
  ],
  [
    "a rejection with something that is no error",
    () => Promise.reject(Object.assign(Object.create(null), { a: 1 })),
    { message: 'the handler threw {"a":1}', reason: "HANDLER_ERROR", retryable: true },
  ],
  [
    "a terminal error",
    () => Promise.reject(new TerminalError("no such file", { reason: "NO_FILE" })),
    { message: "no such file", reason: "NO_FILE", retryable: false },
  ],
  ["fail()", () => fail("bad", { reason: "BAD_THING" }), { message: "bad", reason: "BAD_THING", retryable: false }],
  ["a value without a JSON form", () => 1n, { reason: "HANDLER_ERROR", retryable: true }],
];

test.for(FAILURES)("%s becomes a failure that says what the mesh may do", async ([, handler, failure]) => {
  await using mesh = await openFakeMesh();
  await using _running = await runAgent(
    defineAgent({ name: "a", capabilities: { echo: handler } }),
    mesh.agentOptions(),
  );
  await mesh.submit({ taskId: "t1" });
  expect((await mesh.ended("t1")).kind).toMatchObject({ case: "fail", value: { failure } });
});

test("retryAfter and snooze carry their delays", async () => {
  await using mesh = await openFakeMesh();
  const agent = defineAgent({
    name: "a",
    capabilities: { later: () => retryAfter(1_500, "busy", { reason: "BUSY" }), sleepy: () => snooze(250) },
  });
  await using _running = await runAgent(agent, mesh.agentOptions());
  await mesh.submit({ taskId: "t1", type: "later" });
  await mesh.submit({ taskId: "t2", type: "sleepy" });
  const later = (await mesh.ended("t1")).kind;
  expect(later).toMatchObject({ case: "retryAfter", value: { failure: { reason: "BUSY", retryable: true } } });
  expect(later.case === "retryAfter" && msFromDuration(later.value.delay)).toBe(1_500);
  const sleepy = (await mesh.ended("t2")).kind;
  expect(sleepy.case === "snooze" && msFromDuration(sleepy.value.delay)).toBe(250);
});

test("an input that parse refuses fails for good with INVALID_INPUT, and a typed handler gets what parse made", async () => {
  await using mesh = await openFakeMesh();
  const double = capability({
    parse: (input): { readonly n: number } => {
      if (typeof input !== "object" || input === null || !("n" in input) || typeof input.n !== "number") {
        throw new Error("n must be a number");
      }
      return { n: input.n };
    },
    run: (task) => task.input.n * 2,
  });
  await using _running = await runAgent(defineAgent({ name: "a", capabilities: { double } }), mesh.agentOptions());
  await mesh.submit({ taskId: "good", type: "double", input: { n: 21 } });
  await mesh.submit({ taskId: "bad", type: "double", input: { n: "x" } });
  const good = (await mesh.ended("good")).kind;
  expect(valueOfPayload(good.case === "complete" ? good.value.result : undefined)).toBe(42);
  expect((await mesh.ended("bad")).kind).toMatchObject({
    case: "fail",
    value: { failure: { reason: "INVALID_INPUT", retryable: false, message: "invalid input: n must be a number" } },
  });
});

test("a result over the inline limit travels as a blob, and a JSON input that came as a blob is an ordinary input", async () => {
  await using mesh = await openFakeMesh();
  const agent = defineAgent({ name: "a", capabilities: { echo: (task) => task.input } });
  await using _running = await runAgent(agent, mesh.agentOptions());
  const text = "x".repeat(300_000);
  const blob = mesh.storeBlob(Buffer.from(JSON.stringify({ text })), "application/json");
  const payload = { $typeName: "mycel.v1.Payload" as const, kind: { case: "blob" as const, value: blob } };
  await mesh.submit({ taskId: "t1", payload });
  const { kind } = await mesh.ended("t1");
  const result = kind.case === "complete" ? kind.value.result?.kind : undefined;
  expect(result?.case).toBe("blob");
  const stored = mesh.blobs.get(result?.case === "blob" ? result.value.blobId : "");
  expect(JSON.parse(Buffer.from(stored!.data).toString())).toEqual({ text });
});

test("a wrong checksum of a blob fails the attempt instead of feeding the handler", async () => {
  await using mesh = await openFakeMesh();
  await using _running = await runAgent(
    defineAgent({ name: "a", capabilities: { echo: (task) => task.read() } }),
    mesh.agentOptions(),
  );
  const blob = mesh.storeBlob(Buffer.from("content"), "text/plain");
  const payload = {
    $typeName: "mycel.v1.Payload" as const,
    kind: { case: "blob" as const, value: { ...blob, sha256: new Uint8Array(32) } },
  };
  await mesh.submit({ taskId: "t1", payload });
  const { kind } = await mesh.ended("t1");
  expect(kind.case === "fail" && kind.value.failure?.message).toMatch(/SHA-256/);
});

test("mistakes are coded errors with one clear line", async () => {
  const agent = defineAgent({ name: "a", capabilities: { echo: () => 1 } });
  await expect(
    runAgent(agent, { url: "http://127.0.0.1:1", connectTimeoutMs: 300, logger: silentLogger }),
  ).rejects.toMatchObject({
    code: "COORDINATOR_UNREACHABLE",
    message: expect.stringMatching(/^no coordinator answers at http:\/\/127\.0\.0\.1:1: .+$/),
  });
  await expect(runAgent(agent, { url: "nats://x" })).rejects.toBeInstanceOf(AgentError);
  await expect(runAgent(agent, {})).rejects.toMatchObject({ code: "INVALID_OPTION" });
});

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve());
  });
}
