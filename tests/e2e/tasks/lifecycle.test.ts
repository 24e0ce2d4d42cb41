// The life of tasks, from submission to purge, over real processes.

import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { timestampFromMs } from "../../../lib/wire/time-codec.ts";
import { createClient, type MycelClient, TaskFailedError } from "../../../sdk/client/index.ts";
import { executions } from "../../support/executions.ts";
import { openMesh, type TestMesh, type TestProcess } from "../../support/processes.ts";

let mesh: TestMesh;
let agent: TestProcess;
let client: MycelClient;

beforeAll(async () => {
  mesh = await openMesh({ leaseMs: 2_000 });
  agent = await mesh.startAgent("worker", { MYCEL_CONCURRENCY: "2" });
  client = createClient({ url: mesh.urls[0]! });
});

afterAll(async () => {
  await client[Symbol.asyncDispose]();
  await mesh[Symbol.asyncDispose]();
});

async function states(taskId: string): Promise<string[]> {
  const seen: string[] = [];
  for await (const event of client.watch(taskId))
    if (event.kind === "state") seen.push(`${event.state} ${event.status.attempt}`);
  return seen;
}

test("canceling a running task aborts its handler, and the task is canceled at once", async () => {
  const { taskId } = await client.submit("patient", null);
  for await (const event of client.watch(taskId)) if (event.kind === "state" && event.state === "working") break;

  const status = await client.cancel(taskId, "changed my mind");

  expect(status.cancelReason).toBe("changed my mind");
  await expect.poll(() => existsSync(join(mesh.dir, `aborted-${taskId}`))).toBe(true);
  expect(readFileSync(join(mesh.dir, `aborted-${taskId}`), "utf8")).toBe("CANCELED");
  expect(await states(taskId)).toEqual(["working 1", "canceled 1"]);
  await expect(client.result(taskId)).rejects.toThrow(TaskFailedError);
  expect(await client.cancel(taskId)).toEqual(status);
});

test("a task that is canceled while it waits starts no handler, keeps its definition, and is recognised when it comes again", async () => {
  const taskId = "waiting";
  await client.submit("nobody-does-this", { a: 1 }, { taskId });
  await client.cancel(taskId);

  const task = await client.get(taskId);
  expect([task.type, task.queue, await client.value(task.input)]).toEqual([
    "nobody-does-this",
    "nobody-does-this",
    { a: 1 },
  ]);
  expect(await client.submit("nobody-does-this", { a: 1 }, { taskId })).toMatchObject({ existing: true });
  await expect(client.submit("nobody-does-this", { a: 2 }, { taskId })).rejects.toMatchObject({
    reason: "TASK_ALREADY_EXISTS",
  });
  await expect(client.retry(taskId)).rejects.toMatchObject({ reason: "TASK_NOT_DEAD" });
});

test("retries back off, count their attempts, and end in a dead letter with the last failure", async () => {
  const retry = { maximumAttempts: 3, initialIntervalMs: 20 };
  const { taskId } = await client.submit("fail", null, { retry });

  // An attempt that fails within milliseconds is never seen at work; only the last one is always recorded first.
  expect(await states(taskId)).toEqual(["backing_off 1", "backing_off 2", "working 3", "failed 3"]);
  const outcome = await client.outcome(taskId);
  expect(outcome).toMatchObject({
    state: "failed",
    failure: { reason: "HANDLER_ERROR", message: "no luck at attempt 3" },
  });
  const dead: string[] = [];
  await expect
    .poll(async () => {
      for await (const { task } of client.deadLetters()) dead.push(task!.taskId);
      return dead;
    })
    .toContain(taskId);
});

test("snoozing spends no attempt, asking for a retry spends one", async () => {
  const { taskId } = await client.submit("moody", null, { retry: { maximumAttempts: 2 } });
  expect(await client.result(taskId)).toEqual({ calls: 4, attempt: 2 });
});

test("an attempt that runs too long is aborted, and the policy decides", async () => {
  const { taskId } = await client.submit("patient", null, { startToCloseMs: 200, retry: { maximumAttempts: 1 } });
  const outcome = await client.outcome(taskId);
  expect(outcome).toMatchObject({ state: "failed", failure: { reason: "START_TO_CLOSE_TIMEOUT" } });
  expect(readFileSync(join(mesh.dir, `aborted-${taskId}`), "utf8")).toBe("START_TO_CLOSE_TIMEOUT");
});

test("deadlines end a task when no agent is there", async () => {
  const late = await client.submit("nobody-comes", null, { scheduleToStartMs: 1_000 });
  const later = await client.submit("nobody-comes", null, { scheduleToCloseMs: 1_000, delayMs: 100 });
  expect(await client.outcome(late.taskId)).toMatchObject({
    state: "timed_out",
    failure: { reason: "SCHEDULE_TO_START_TIMEOUT" },
  });
  expect(await client.outcome(later.taskId)).toMatchObject({
    state: "timed_out",
    failure: { reason: "SCHEDULE_TO_CLOSE_TIMEOUT" },
  });
});

test("the overall deadline also ends a running task, and its handler is told", async () => {
  const { taskId } = await client.submit("patient", null, { scheduleToCloseMs: 1_000 });
  expect(await client.outcome(taskId)).toMatchObject({ state: "timed_out" });
  await expect.poll(() => existsSync(join(mesh.dir, `aborted-${taskId}`))).toBe(true);
});

test("a delayed task starts at its time and not before", async () => {
  const startTime = new Date(Date.now() + 1_200);
  const { taskId, status } = await client.submit("work", {}, { startTime });
  expect(status.nextAttemptTime).toEqual(timestampFromMs(startTime.getTime()));
  expect((await client.outcome(taskId)).state).toBe("completed");
  const { attemptStartTime } = await client.status(taskId);
  const startedMs = Number(attemptStartTime!.seconds) * 1000 + attemptStartTime!.nanos / 1e6;
  // A timer may fire a moment early; a second is what the rules allow.
  expect(startedMs).toBeGreaterThan(startTime.getTime() - 1_000);
});

test("critical work starts before all other work that waits", async () => {
  const plug = await client.submitMany(
    [1, 2].map((i) => ({ type: "work", input: { until: "unplug" }, taskId: `plug-${i}` })),
  );
  expect(plug.every(({ ok }) => ok)).toBe(true);
  await expect.poll(() => executions(mesh.dir).filter(({ taskId }) => taskId.startsWith("plug-")).length).toBe(2);
  const priorities = ["low", "normal", "high", "critical"] as const;
  const tasks = priorities.flatMap((priority) =>
    Array.from({ length: 6 }, (_, i) => ({
      type: "work",
      input: { workMs: 15 },
      taskId: `${priority}-${i}`,
      priority,
    })),
  );
  await client.submitMany(tasks);
  writeFileSync(join(mesh.dir, "unplug"), "");
  await Promise.all(tasks.map(({ taskId }) => client.outcome(taskId)));

  const order = executions(mesh.dir)
    .filter(({ what, taskId }) => what === "start" && /^(low|normal|high|critical)-/.test(taskId))
    .map(({ taskId }) => taskId.split("-")[0]!);
  const place = (priority: string): number => order.indexOf(priority);
  // Two slots start side by side, so neighbours may swap at the seams; blocks may not mix.
  expect(order.lastIndexOf("critical")).toBeLessThan(place("normal"));
  expect(order.lastIndexOf("high")).toBeLessThan(place("low"));
  expect(place("critical")).toBeLessThan(2);
});

test("a draining agent hands back what it cannot finish, without an attempt spent", async () => {
  const { taskId } = await client.submit(
    "work",
    { until: "drained.go" },
    { taskId: "drained", retry: { maximumAttempts: 1 } },
  );
  await expect.poll(() => executions(mesh.dir, taskId).length).toBe(1);
  const leaving = agent;
  const second = await mesh.startAgent("second");
  leaving.signal("SIGTERM");
  expect(await leaving.exited).toBe(0);
  await expect.poll(() => executions(mesh.dir, taskId).filter(({ what }) => what === "start").length).toBe(2);
  writeFileSync(join(mesh.dir, "drained.go"), "");

  expect(await client.result(taskId)).toEqual({ by: "second", attempt: 1 });
  agent = second;
});

test("an ended task is purged when its time is over", async () => {
  const { taskId } = await client.submit("work", {}, { resultTtlMs: 1_000 });
  await client.outcome(taskId);
  await expect
    .poll(
      () =>
        client.status(taskId).then(
          () => "there",
          (error: { reason?: string }) => error.reason,
        ),
      { timeout: 30_000, interval: 500 },
    )
    .toBe("TASK_NOT_FOUND");
});
