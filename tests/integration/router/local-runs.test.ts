// What a task that runs in this process does for its caller: the events, results and errors of the mesh, and the means of an agent's handler.
import { create } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { PayloadSchema } from "../../../gen/mycel/v1/payload_pb.ts";
import { AgentError, fail, type Handler, retryAfter, snooze, TerminalError } from "../../../sdk/agent/index.ts";
import { createClient, MycelError, TaskFailedError, type TaskEvent } from "../../../sdk/client/index.ts";
import { createRouter, type Router, type RouterOptions, type Rule } from "../../../sdk/router/index.ts";
import { openFakeCoordinator } from "../../support/fake-coordinator.ts";

const LOCAL: readonly Rule[] = [{ name: "here", when: { handler: true }, run: "local", fallback: false }];
const QUICK = { retry: { initialIntervalMs: 1, maximumIntervalMs: 1 } };

/** A router that runs everything here, whose mesh is nowhere. */
async function setup(handlers: Record<string, Handler>, options: Partial<RouterOptions> = {}) {
  const client = createClient({ url: "http://127.0.0.1:1" });
  const router = createRouter({ client, handlers, rules: LOCAL, ...options });
  return Object.assign(router, {
    async [Symbol.asyncDispose]() {
      await client[Symbol.asyncDispose]();
    },
  }) satisfies Router;
}

/** An event without what differs from run to run. */
function shownOf(event: TaskEvent): unknown {
  switch (event.kind) {
    case "snapshot":
      return ["snapshot", event.sequence, event.state];
    case "state":
      return ["state", event.sequence, event.state, event.status.attempt, event.result];
    case "chunk":
      return ["chunk", event.sequence, event.attempt, event.value];
    case "progress":
      return ["progress", event.sequence, event.attempt, event.fraction, event.text];
    case "log":
      return ["log", event.sequence, event.attempt, event.level, event.text];
  }
}

test("a local run tells its life in the events of the mesh", async () => {
  await using router = await setup({
    count: async (task, { output, progress, log }) => {
      for (let i = 1; i <= Number(task.input); i += 1) await output({ i });
      progress(0.5, "half");
      log("warn", "nearly");
      return { counted: task.input };
    },
  });
  const run = router.run("count", 2, { labels: { of: "test" } });
  const events = await Array.fromAsync(run);
  expect(events.map(shownOf)).toEqual([
    ["snapshot", 0, "submitted"],
    ["state", 1, "working", 1, undefined],
    ["chunk", 2, 1, { i: 1 }],
    ["chunk", 3, 1, { i: 2 }],
    ["progress", 4, 1, 0.5, "half"],
    ["log", 5, 1, "warn", "nearly"],
    ["state", 6, "completed", 1, { counted: 2 }],
  ]);
  const [snapshot] = events;
  expect(snapshot).toMatchObject({ task: { type: "count", queue: "count", labels: { of: "test" } } });
  expect((await run.submitted).taskId).toMatch(/^local-/);
  expect(await run.result()).toEqual({ counted: 2 });
  expect(await run.decision).toMatchObject({ where: "local", rule: "here", fellBack: false });
  expect(() => run[Symbol.asyncIterator]()).toThrow("run can be iterated only once");
});

test("a result is there for whoever asks for nothing else", async () => {
  await using router = await setup({ shout: (task) => String(task.input).toUpperCase() });
  expect(await router.run<string>("shout", "hello").result()).toBe("HELLO");
});

test("only the kinds that were asked for are told, and always the end", async () => {
  await using router = await setup({
    work: async (_, { output, progress }) => {
      progress(0.1);
      await output("part");
    },
  });
  const events = await Array.fromAsync(router.run("work", undefined, { kinds: ["chunk"] }));
  expect(events.map(({ kind }) => kind)).toEqual(["snapshot", "chunk", "state"]);
});

describe("a handler gets what an agent's gets", () => {
  test("its input as it would arrive", async () => {
    const seen: unknown[] = [];
    await using router = await setup({
      look: async (task) => {
        seen.push([task.input, task.type, task.queue, task.attempt, Buffer.from(await task.read()).length]);
      },
    });
    const date = new Date(0);
    await router.run("look", { date, nothing: undefined, list: [1, Number.NaN] }).result();
    await router.run("look", new Uint8Array([1, 2, 3]), { queue: "other" }).result();
    await router.run("look", { text: "x".repeat(300_000) }).result();
    expect(seen).toEqual([
      [{ date: "1970-01-01T00:00:00.000Z", list: [1, null] }, "look", "look", 1, 51],
      [new Uint8Array([1, 2, 3]), "look", "other", 1, 3],
      [{ text: "x".repeat(300_000) }, "look", "look", 1, 300_011],
    ]);
  });

  test("its parse, whose refusal ends the task", async () => {
    const client = createClient({ url: "http://127.0.0.1:1" });
    await using _ = client;
    const run = (): never => expect.fail("called with an input that was refused");
    const parse = (): never => {
      throw new Error("no number");
    };
    const router = createRouter({ client, handlers: new Map([["sum", { run, parse }]]), rules: LOCAL });
    await expect(router.run("sum", "x", QUICK).result()).rejects.toMatchObject({
      name: "TaskFailedError",
      state: "failed",
      reason: "INVALID_INPUT",
      message: expect.stringContaining("invalid input: no number"),
    });
  });

  test("a deadline, and a signal that says why it must stop", async () => {
    const reasons: unknown[] = [];
    await using router = await setup({
      wait: async (_, { signal, deadline }) => {
        expect(deadline.getTime()).toBeGreaterThan(Date.now() - 1_000);
        await new Promise((resolve) => signal.addEventListener("abort", resolve));
        reasons.push(signal.reason);
        return "too late";
      },
    });
    const failed = router.run("wait", undefined, { startToCloseMs: 20, retry: { maximumAttempts: 1 } }).result();
    await expect(failed).rejects.toMatchObject({ state: "failed", reason: "START_TO_CLOSE_TIMEOUT" });
    expect(reasons).toEqual([expect.objectContaining({ code: "START_TO_CLOSE_TIMEOUT" })]);
    expect(reasons[0]).toBeInstanceOf(AgentError);
  });

  test("a heartbeat timeout, which its signs of life hold off", async () => {
    await using router = await setup({
      silent: (_, { signal }) => new Promise((resolve) => signal.addEventListener("abort", resolve)),
      lively: async (_, { heartbeat }) => {
        for (let i = 0; i < 6; i += 1) {
          await new Promise((resolve) => setTimeout(resolve, 300));
          heartbeat();
        }
        return "done";
      },
    });
    const options = { heartbeatMs: 1_000, retry: { maximumAttempts: 1 } };
    const silent = expect(router.run("silent", undefined, options).result()).rejects.toMatchObject({
      reason: "HEARTBEAT_TIMEOUT",
    });
    expect(await router.run("lively", undefined, options).result()).toBe("done");
    await silent;
  });

  test("blobs of the mesh", async () => {
    await using mesh = await openFakeCoordinator();
    await using client = createClient({ url: mesh.url });
    const blob = await client.uploadBlob(Buffer.from("stored there"), { contentType: "text/plain" });
    const read: Handler = async (task, { openBlob }) => {
      const pieces = await Array.fromAsync(await openBlob(blob.blobId));
      return [Buffer.from(await task.read()).toString(), Buffer.concat(pieces).toString()];
    };
    const router = createRouter({ client, handlers: { read }, rules: LOCAL });
    const input = create(PayloadSchema, { kind: { case: "blob", value: blob } });
    expect(await router.run("read", input).result()).toEqual(["stored there", "stored there"]);
  });
});

describe("a local attempt that fails", () => {
  test("is followed by another, as the retry policy says", async () => {
    let calls = 0;
    await using router = await setup({
      flaky: (task) => {
        calls += 1;
        if (task.attempt < 3) throw new Error(`not yet (${task.attempt})`);
        return task.attempt;
      },
    });
    const events = await Array.fromAsync(router.run("flaky", undefined, { ...QUICK, kinds: ["state"] }));
    expect(events.map(shownOf)).toEqual([
      ["snapshot", 0, "submitted"],
      ["state", 1, "working", 1, undefined],
      ["state", 2, "backing_off", 1, undefined],
      ["state", 3, "working", 2, undefined],
      ["state", 4, "backing_off", 2, undefined],
      ["state", 5, "working", 3, undefined],
      ["state", 6, "completed", 3, 3],
    ]);
    expect(calls).toBe(3);
  });

  test("for the last time fails the task with what was thrown", async () => {
    await using router = await setup({
      broken: () => {
        throw new Error("out of luck");
      },
    });
    const failed = await router
      .run("broken", undefined, { ...QUICK, retry: { ...QUICK.retry, maximumAttempts: 2 } })
      .result()
      .catch((error: unknown) => error);
    expect(failed).toBeInstanceOf(TaskFailedError);
    expect(failed).toMatchObject({ state: "failed", reason: "HANDLER_ERROR", attempt: 2 });
    expect((failed as Error).message).toMatch(/^task local-[\w-]+ failed: out of luck$/);
  });

  test.for<[string, Handler, number, object]>([
    ["fail()", () => fail("no use", { reason: "NO_USE" }), 1, { reason: "NO_USE" }],
    [
      "a TerminalError",
      () => {
        throw new TerminalError("gone");
      },
      1,
      { reason: "HANDLER_FAILED" },
    ],
    ["retryAfter()", () => retryAfter(0, "later"), 3, { reason: "RETRY_REQUESTED" }],
    ["a result that has no form", () => ({ big: 1n }), 3, { reason: "HANDLER_ERROR" }],
  ])("by %s ends as it would in the mesh", async ([, handler, attempts, failure]) => {
    let calls = 0;
    const counted: Handler = (task, ctx) => {
      calls += 1;
      return handler(task, ctx);
    };
    await using router = await setup({ work: counted });
    await expect(router.run("work", undefined, QUICK).result()).rejects.toMatchObject(failure);
    expect(calls).toBe(attempts);
  });

  test("spends nothing when it snoozes", async () => {
    const attempts: number[] = [];
    await using router = await setup({
      nap: (task) => {
        attempts.push(task.attempt);
        return attempts.length < 3 ? snooze(1) : "awake";
      },
    });
    expect(await router.run("nap").result()).toBe("awake");
    expect(attempts).toEqual([1, 1, 1]);
  });
});

describe("a local task", () => {
  test("times out when it does not end within its schedule_to_close", async () => {
    await using router = await setup({
      wait: (_, { signal }) => new Promise((resolve) => signal.addEventListener("abort", resolve)),
    });
    const late = router.run("wait", undefined, { scheduleToCloseMs: 1_000 }).result();
    await expect(late).rejects.toMatchObject({ state: "timed_out", reason: "SCHEDULE_TO_CLOSE_TIMEOUT" });
  });

  test("times out when no attempt starts within its schedule_to_start, and not when it takes long after that", async () => {
    await using router = await setup(
      { work: () => new Promise((resolve) => setTimeout(() => resolve("done"), 1_300)) },
      { concurrency: 1 },
    );
    const options = { scheduleToStartMs: 1_000 };
    const first = router.run("work", undefined, options);
    await first.submitted;
    const second = expect(router.run("work", undefined, options).result()).rejects.toMatchObject({
      state: "timed_out",
      reason: "SCHEDULE_TO_START_TIMEOUT",
      attempt: 0,
    });
    expect(await first.result()).toBe("done");
    await second;
  });

  test("is stopped when its caller leaves", async () => {
    const stopped = Promise.withResolvers<unknown>();
    await using router = await setup({
      wait: (_, { signal }) => {
        signal.addEventListener("abort", () => stopped.resolve(signal.reason));
        return stopped.promise;
      },
    });
    const caller = new AbortController();
    const run = router.run("wait", undefined, { signal: caller.signal });
    const reading = Array.fromAsync(run);
    await run.submitted;
    caller.abort();
    await expect(reading).rejects.toMatchObject({ name: "MycelError", code: "canceled" });
    await expect(run.result()).rejects.toMatchObject({ name: "MycelError", code: "canceled" });
    expect(await stopped.promise).toMatchObject({ code: "CANCELED" });
  });

  test("is stopped when its caller's time is up", async () => {
    await using router = await setup({
      wait: (_, { signal }) => new Promise((resolve) => signal.addEventListener("abort", resolve)),
    });
    const late = router.run("wait", undefined, { timeoutMs: 30 }).result();
    await expect(late).rejects.toMatchObject({ name: "MycelError", code: "deadline_exceeded" });
  });

  test("waits for a slot: no more than so many handlers run at once", async () => {
    let running = 0;
    let most = 0;
    await using router = await setup(
      {
        work: async () => {
          running += 1;
          most = Math.max(most, running);
          await new Promise((resolve) => setImmediate(resolve));
          running -= 1;
        },
      },
      { concurrency: 3 },
    );
    await Promise.all(Array.from({ length: 20 }, () => router.run("work").result()));
    expect(most).toBe(3);
  });

  test("is refused when too many are under way, and taken again when there is room", async () => {
    const gate = Promise.withResolvers<string>();
    await using router = await setup({ work: () => gate.promise }, { concurrency: 1, waiting: 1 });
    const taken = [router.run("work"), router.run("work")];
    await Promise.all(taken.map(({ submitted }) => submitted));
    await expect(router.run("work").result()).rejects.toMatchObject({
      code: "resource_exhausted",
      reason: "NOWHERE_TO_RUN",
      message:
        '"work" can run nowhere: in this process: 2 tasks are under way in this process, which is all that it takes; in the mesh: rule here does not let it run there',
    });
    gate.resolve("open");
    expect(await Promise.all(taken.map((run) => run.result()))).toEqual(["open", "open"]);
    expect(await router.run("work").result()).toBe("open");
  });

  test("keeps its handler waiting while its reader is behind", async () => {
    let pushed = 0;
    await using router = await setup({
      flood: async (_, { output }) => {
        for (; pushed < 40; pushed += 1) await output("x".repeat(100_000));
      },
    });
    const reader = router.run("flood")[Symbol.asyncIterator]();
    await reader.next();
    await expect.poll(() => pushed).toBeGreaterThan(5);
    await new Promise((resolve) => setImmediate(resolve));
    expect(pushed).toBeLessThan(20);
    let chunks = 0;
    for (let next = await reader.next(); next.done !== true; next = await reader.next()) {
      if (next.value.kind === "chunk") chunks += 1;
    }
    expect(chunks).toBe(40);
  });

  test("fails when it says more than anybody will ever read", async () => {
    const refused = Promise.withResolvers<void>();
    await using router = await setup({
      flood: async (_, { output }) => {
        try {
          for (let i = 0; i < 700; i += 1) await output("x".repeat(100_000));
        } finally {
          refused.resolve();
        }
      },
    });
    const run = router.run("flood", undefined, QUICK);
    // Nobody reads until then.
    await refused.promise;
    await expect(run.result()).rejects.toMatchObject({ reason: "OUTPUT_UNREAD" });
  });

  test("is checked as the mesh checks one, and every fault is told", async () => {
    await using router = await setup({ work: () => "never" });
    const wrong = router.run("work", undefined, { taskId: "not ok", startToCloseMs: 1, labels: { "": "x" } }).result();
    const error = await wrong.catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(MycelError);
    expect(error).toMatchObject({ code: "invalid_argument", reason: "INVALID_REQUEST" });
    expect((error as MycelError).violations.map(({ field }) => field)).toEqual([
      "task_id",
      "labels",
      "timeouts.start_to_close",
    ]);
  });

  test("ends with its router", async () => {
    const client = createClient({ url: "http://127.0.0.1:1" });
    await using _ = client;
    const router = createRouter({
      client,
      handlers: { wait: (_task, { signal }) => new Promise((resolve) => signal.addEventListener("abort", resolve)) },
      rules: LOCAL,
    });
    const run = router.run("wait");
    await run.submitted;
    const ended = expect(run.result()).rejects.toMatchObject({ code: "canceled", reason: "ROUTER_CLOSED" });
    await router[Symbol.asyncDispose]();
    await ended;
    await expect(router.run("wait").result()).rejects.toMatchObject({ reason: "ROUTER_CLOSED" });
  });
});
