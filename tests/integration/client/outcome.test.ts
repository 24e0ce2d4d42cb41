// What the client promises about a task's end: an error of its own if it is a bad one, or a value, and waiting that outlasts connections.
import { describe, expect, test } from "vitest";
import { TaskFailedError, createClient } from "../../../sdk/client/index.ts";
import { openFakeCoordinator } from "../../support/fake-coordinator.ts";

describe("a task that ends badly", () => {
  test("is an error of its own with state, reason, message and attempt", async () => {
    await using mesh = await openFakeCoordinator();
    await using client = createClient({ url: mesh.url });
    const { taskId } = await client.submit("fail");
    const error = await client.result(taskId).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(TaskFailedError);
    expect(error).toMatchObject({
      taskId,
      state: "failed",
      reason: "HANDLER_ERROR",
      attempt: 1,
      message: `task ${taskId} failed: division by zero`,
    });
  });

  test("is a value for those who ask for the outcome", async () => {
    await using mesh = await openFakeCoordinator();
    await using client = createClient({ url: mesh.url });
    const { taskId } = await client.submit("time-out");
    await expect(client.outcome(taskId)).resolves.toMatchObject({
      state: "timed_out",
      failure: { reason: "SCHEDULE_TO_CLOSE_TIMEOUT" },
    });
    const idle = await client.submit("idle");
    await client.cancel(idle.taskId, "changed my mind");
    await expect(client.outcome(idle.taskId)).resolves.toMatchObject({
      state: "canceled",
      cancelReason: "changed my mind",
    });
    await expect(client.waitFor(idle.taskId)).rejects.toMatchObject({ state: "canceled", reason: "CANCELED" });
  });
});

describe("waitFor", () => {
  test("gets the result with the end", async () => {
    await using mesh = await openFakeCoordinator();
    await using client = createClient({ url: mesh.url });
    const { taskId } = await client.submit("echo", { message: "hello" });
    await expect(client.result(taskId)).resolves.toEqual({ message: "hello" });
    expect(mesh.count("GetTask")).toBe(0);
  });

  test("asks a coordinator for the result that does not tell it with the end", async () => {
    await using mesh = await openFakeCoordinator({ tellsResults: false });
    await using client = createClient({ url: mesh.url });
    const { taskId } = await client.submit("echo", { message: "hello" });
    await expect(client.result(taskId)).resolves.toEqual({ message: "hello" });
    expect(mesh.count("GetTask")).toBe(1);
  });

  test("goes on over a lost connection until the task has ended", async () => {
    await using mesh = await openFakeCoordinator();
    await using client = createClient({ url: mesh.url });
    const { taskId } = await client.submit("idle");
    const waiting = client.waitFor(taskId);
    await expect.poll(() => mesh.count("GetTaskStatus")).toBe(1);
    mesh.cut();
    await expect.poll(() => mesh.count("GetTaskStatus")).toBe(2);
    mesh.complete(taskId, "done");
    await expect(waiting).resolves.toMatchObject({ state: "completed", taskId, result: "done" });
  });

  test("says that the time is up, and in which state the task is", async () => {
    await using mesh = await openFakeCoordinator();
    await using client = createClient({ url: mesh.url });
    const { taskId } = await client.submit("idle");
    await expect(client.waitFor(taskId, { timeoutMs: 30 })).rejects.toMatchObject({
      code: "deadline_exceeded",
      reason: "WAIT_TIMEOUT",
      message: `task ${taskId} is still submitted after 30 ms`,
    });
  });

  test("ends when its signal says so", async () => {
    await using mesh = await openFakeCoordinator();
    await using client = createClient({ url: mesh.url });
    const { taskId } = await client.submit("idle");
    const controller = new AbortController();
    const waiting = client.waitFor(taskId, { signal: controller.signal });
    await expect.poll(() => mesh.count("GetTaskStatus")).toBe(1);
    controller.abort();
    await expect(waiting).rejects.toMatchObject({ name: "MycelError", code: "canceled" });
  });
});
