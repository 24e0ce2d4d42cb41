// The log of tasks, by the same tests on a real nats-server and in the simulation's memory.
import { describe, expect, test } from "vitest";
import { DEFAULT_TENANT, WITHDRAWN_QUEUE } from "../../../lib/core/names.ts";
import type { WriteOutcome } from "../../../lib/nats/task-log.ts";
import { aDispatch, anEvent, by, openJetStreamMesh, openMemoryMesh } from "./contract-mesh.ts";

const TASK = { tenant: DEFAULT_TENANT, taskId: "t" };
const UNAVAILABLE = { reason: "BROKER_UNAVAILABLE" };

function sequenceOf(outcome: WriteOutcome): number {
  if (outcome.kind !== "stored") throw new Error("it was not stored");
  return outcome.sequence;
}

describe.each([
  ["in memory", openMemoryMesh],
  ["on JetStream", openJetStreamMesh],
] as const)("the task log %s", (_, open) => {
  test("knows nothing of a task that was not submitted", async () => {
    await using mesh = await open();

    expect(await mesh.taskLog.read(DEFAULT_TENANT, "t")).toBeUndefined();
    expect(await mesh.taskLog.readLatest(DEFAULT_TENANT, "t")).toBeUndefined();
  });

  test("takes the first dispatch for the submission, and refuses another one in whichever queue", async () => {
    await using mesh = await open();
    const sequence = sequenceOf(await mesh.taskLog.dispatch(aDispatch("t"), 0));

    expect(await mesh.taskLog.dispatch(aDispatch("t", { queue: "errands", priority: 10 }), 0)).toEqual({
      kind: "conflict",
    });

    const record = await mesh.taskLog.read(DEFAULT_TENANT, "t");
    expect(record?.dispatch).toMatchObject({ sequence, queue: "work", priority: 5, message: { attempt: 1 } });
    expect(record?.event).toBeUndefined();
    expect(await mesh.taskLog.readLatest(DEFAULT_TENANT, "t")).toEqual(record);
  });

  test("takes a dispatch only after the one that its writer has seen", async () => {
    await using mesh = await open();
    const first = sequenceOf(await mesh.taskLog.dispatch(aDispatch("t"), 0));
    const second = sequenceOf(await mesh.taskLog.dispatch(aDispatch("t", { queue: "errands" }), first));

    expect(await mesh.taskLog.dispatch(aDispatch("t"), first)).toEqual({ kind: "conflict" });
    expect(await mesh.taskLog.dispatch(aDispatch("t"), second + 100)).toEqual({ kind: "conflict" });

    expect(second).toBeGreaterThan(first);
    expect((await mesh.taskLog.read(DEFAULT_TENANT, "t"))?.dispatch).toMatchObject({ sequence: second });
  });

  test("moves a task by compare-and-set on its chain of events", async () => {
    await using mesh = await open();
    await mesh.taskLog.dispatch(aDispatch("t"), 0);
    const first = sequenceOf(await mesh.taskLog.append(TASK, anEvent(), by("first"), 0));

    expect(await mesh.taskLog.append(TASK, anEvent(), by("stale"), 0)).toEqual({ kind: "conflict" });
    expect(await mesh.taskLog.append(TASK, anEvent(), by("wrong"), first + 1)).toEqual({ kind: "conflict" });
    const second = await mesh.taskLog.append(TASK, anEvent({ state: "completed" }), by("second"), first);

    const record = await mesh.taskLog.read(DEFAULT_TENANT, "t");
    expect(record?.event).toMatchObject({ sequence: sequenceOf(second), message: { operationId: "second" } });
  });

  test("lets exactly one of many writers win", async () => {
    await using mesh = await open();
    await mesh.taskLog.dispatch(aDispatch("t"), 0);

    const writers = Array.from({ length: 20 }, (_, i) => mesh.taskLog.append(TASK, anEvent(), by(`op-${i}`), 0));

    const outcomes = await Promise.all(writers);
    expect(outcomes.filter(({ kind }) => kind === "stored")).toHaveLength(1);
    expect(outcomes.filter(({ kind }) => kind === "conflict")).toHaveLength(19);
  });

  test("recognises an operation that is written again, but not another decision of the same operation", async () => {
    await using mesh = await open();
    await mesh.taskLog.dispatch(aDispatch("t"), 0);
    const first = await mesh.taskLog.append(TASK, anEvent(), by("op"), 0);

    expect(await mesh.taskLog.append(TASK, anEvent(), by("op"), 0)).toEqual(first);
    expect(await mesh.taskLog.append(TASK, anEvent({ attempt: 2 }), by("op"), 0)).toEqual({ kind: "conflict" });
    expect(await mesh.taskLog.append(TASK, anEvent({ state: "failed" }), by("op"), 0)).toEqual({ kind: "conflict" });
  });

  test("finds out what became of an event whose answer was lost", async () => {
    await using mesh = await open();
    await mesh.taskLog.dispatch(aDispatch("t"), 0);
    mesh.loseNextAnswer(true);
    const first = sequenceOf(await mesh.taskLog.append(TASK, anEvent(), by("first"), 0));
    mesh.loseNextAnswer(false);

    await expect(mesh.taskLog.append(TASK, anEvent(), by("second"), first)).rejects.toMatchObject(UNAVAILABLE);

    expect((await mesh.taskLog.read(DEFAULT_TENANT, "t"))?.event).toMatchObject({ sequence: first });
  });

  test("finds out what became of a dispatch whose answer was lost", async () => {
    await using mesh = await open();
    mesh.loseNextAnswer(false);
    await expect(mesh.taskLog.dispatch(aDispatch("t"), 0)).rejects.toMatchObject(UNAVAILABLE);
    mesh.loseNextAnswer(true);
    const first = sequenceOf(await mesh.taskLog.dispatch(aDispatch("t"), 0));
    expect((await mesh.taskLog.read(DEFAULT_TENANT, "t"))?.dispatch.sequence).toBe(first);
    mesh.loseNextAnswer(true);
    expect(await mesh.taskLog.dispatch(aDispatch("t", {}, "another content"), 0)).toEqual({ kind: "conflict" });
  });

  test("does not take a dispatch that was followed by more for the one whose answer was lost", async () => {
    await using mesh = await open();
    const first = sequenceOf(await mesh.taskLog.dispatch(aDispatch("t"), 0));
    const waits = sequenceOf(await mesh.taskLog.append(TASK, anEvent({ state: "backing_off" }), by("first"), 0));
    const retry = aDispatch("t", {}, "1", { attempt: 2, fence: BigInt(waits) });
    await mesh.taskLog.dispatch(retry, first);
    await mesh.taskLog.append(TASK, anEvent({ state: "backing_off" }), by("second"), waits);
    mesh.loseNextAnswer(false);

    // Whoever knows nothing of the second wait wants to end the first.
    expect(await mesh.taskLog.dispatch(retry, first)).toEqual({ kind: "conflict" });
  });

  test("stores a batch of submissions under consecutive sequences", async () => {
    await using mesh = await open();
    const tasks = ["a", "b", "c"];

    const last = sequenceOf(await mesh.taskLog.dispatchBatch(tasks.map((taskId) => aDispatch(taskId))));

    const records = await Promise.all(tasks.map((taskId) => mesh.taskLog.read(DEFAULT_TENANT, taskId)));
    expect(records.map((record) => record?.dispatch.sequence)).toEqual([last - 2, last - 1, last]);
  });

  test("stores none of a batch of submissions if one of them exists", async () => {
    await using mesh = await open();
    await mesh.taskLog.dispatch(aDispatch("b"), 0);

    const outcome = await mesh.taskLog.dispatchBatch(["a", "b", "c"].map((taskId) => aDispatch(taskId)));

    expect(outcome).toEqual({ kind: "conflict" });
    expect(await mesh.taskLog.read(DEFAULT_TENANT, "a")).toBeUndefined();
    expect(await mesh.taskLog.read(DEFAULT_TENANT, "c")).toBeUndefined();
  });

  test("has the tasks of a batch looked up when its answer was lost", async () => {
    await using mesh = await open();
    mesh.loseNextAnswer(true);

    expect(await mesh.taskLog.dispatchBatch([aDispatch("a"), aDispatch("b")])).toEqual({ kind: "conflict" });

    expect(await mesh.taskLog.read(DEFAULT_TENANT, "b")).toBeDefined();
  });

  test("keeps the definition of a task whose work item it withdraws, once", async () => {
    await using mesh = await open();
    await mesh.taskLog.dispatch(aDispatch("t"), 0);
    const before = (await mesh.taskLog.read(DEFAULT_TENANT, "t"))!;

    await mesh.taskLog.withdraw(before);
    await mesh.taskLog.withdraw(before);
    const after = (await mesh.taskLog.read(DEFAULT_TENANT, "t"))!;
    await mesh.taskLog.withdraw(after);

    expect(after.dispatch.queue).toBe(WITHDRAWN_QUEUE);
    expect(after.dispatch.message).toEqual(before.dispatch.message);
    expect(await mesh.taskLog.readLatest(DEFAULT_TENANT, "t")).toEqual(after);
    expect(await mesh.taskLog.dispatch(aDispatch("t"), 0)).toEqual({ kind: "conflict" });
  });

  test("leaves no copy of a task that is purged while its work item is withdrawn", async () => {
    await using mesh = await open();
    await mesh.taskLog.dispatch(aDispatch("t"), 0);
    const ended = sequenceOf(await mesh.taskLog.append(TASK, anEvent({ state: "canceled" }), by("op"), 0));
    const { streams } = mesh.manager;
    const remove = streams.deleteMessage.bind(streams);
    streams.deleteMessage = async (...message) => {
      await streams.purge("MYCEL_TASKS", { filter: "task.default.t.>", seq: ended + 1 });
      return await remove(...message);
    };

    await mesh.taskLog.withdraw((await mesh.taskLog.read(DEFAULT_TENANT, "t"))!);

    expect(await mesh.taskLog.readLatest(DEFAULT_TENANT, "t")).toBeUndefined();
  });

  test("purges the copy that is made of a work item while its task is purged", async () => {
    await using mesh = await open();
    await mesh.taskLog.dispatch(aDispatch("t"), 0);
    const ended = sequenceOf(await mesh.taskLog.append(TASK, anEvent({ state: "canceled" }), by("op"), 0));
    const record = (await mesh.taskLog.read(DEFAULT_TENANT, "t"))!;
    const { streams } = mesh.manager;
    const purge = streams.purge.bind(streams);
    streams.purge = async (...request) => {
      if (request[0] === "MYCEL_TASKS") await mesh.taskLog.withdraw(record);
      return await purge(...request);
    };

    await mesh.taskLog.purge(DEFAULT_TENANT, "t", ended);

    expect(await mesh.taskLog.readLatest(DEFAULT_TENANT, "t")).toBeUndefined();
  });

  test("purges a task that is as it was decided about, and takes its id anew", async () => {
    await using mesh = await open();
    const submitted = sequenceOf(await mesh.taskLog.dispatch(aDispatch("t"), 0));
    const ended = sequenceOf(await mesh.taskLog.append(TASK, anEvent({ state: "completed" }), by("op"), 0));
    await mesh.timers.set(TASK, "schedule_to_close", mesh.nowMs() + 3_600_000);
    await mesh.outputLog.fence(TASK, "agent", 1);
    await mesh.taskLog.purge(DEFAULT_TENANT, "t", submitted);
    expect(await mesh.taskLog.read(DEFAULT_TENANT, "t")).toBeDefined();

    await mesh.taskLog.purge(DEFAULT_TENANT, "t", ended);

    expect(await mesh.taskLog.readLatest(DEFAULT_TENANT, "t")).toBeUndefined();
    expect(sequenceOf(await mesh.taskLog.dispatch(aDispatch("t"), 0))).toBeGreaterThan(ended);
    expect((await mesh.taskLog.read(DEFAULT_TENANT, "t"))?.event).toBeUndefined();
  });

  test("leaves the timers that were set once a task had ended: they are those of the next one of its name", async () => {
    await using mesh = await open();
    const dueMs = mesh.nowMs() + 3_600_000;
    const set = async (): Promise<unknown> =>
      (await mesh.manager.streams.info("MYCEL_TIMERS", { subjects_filter: "timer.set.default.t.>" })).state.messages;
    await mesh.timers.set(TASK, "schedule_to_close", dueMs);
    await mesh.taskLog.dispatch(aDispatch("t"), 0);
    await mesh.letTimePass();
    const ended = sequenceOf(await mesh.taskLog.append(TASK, anEvent({ state: "completed" }), by("op"), 0));
    await mesh.letTimePass();
    await mesh.timers.set(TASK, "schedule_to_close", dueMs);

    await mesh.taskLog.purge(DEFAULT_TENANT, "t", ended);

    expect(await mesh.taskLog.readLatest(DEFAULT_TENANT, "t")).toBeUndefined();
    expect(await set()).toBe(1);
  });

  test("does not put the end of a purged task together with the dispatch of one that was submitted anew", async () => {
    await using mesh = await open();
    await mesh.taskLog.dispatch(aDispatch("t"), 0);
    await mesh.taskLog.append(TASK, anEvent({ state: "completed" }), by("op"), 0);
    let anew = 0;
    mesh.interruptNextRead("task.default.t.q.>", async () => {
      await mesh.taskLog.purge(DEFAULT_TENANT, "t");
      anew = sequenceOf(await mesh.taskLog.dispatch(aDispatch("t"), 0));
    });

    const record = await mesh.taskLog.readLatest(DEFAULT_TENANT, "t");

    expect(record?.dispatch.sequence).toBe(anew);
    expect(record?.event).toBeUndefined();
  });

  test("leaves a task alone that was submitted anew while the one before it was being purged", async () => {
    await using mesh = await open();
    await mesh.taskLog.dispatch(aDispatch("t"), 0);
    const ended = sequenceOf(await mesh.taskLog.append(TASK, anEvent({ state: "completed" }), by("op"), 0));
    mesh.interruptNextRead("task.default.t.q.>", async () => {
      await mesh.taskLog.purge(DEFAULT_TENANT, "t", ended);
      await mesh.taskLog.dispatch(aDispatch("t"), 0);
    });

    await mesh.taskLog.purge(DEFAULT_TENANT, "t", ended);

    expect(await mesh.taskLog.readLatest(DEFAULT_TENANT, "t")).toBeDefined();
  });

  test("fences the outputs of an attempt where its last output stands", async () => {
    await using mesh = await open();
    const publish = async (text: string): Promise<number> => {
      const body = new TextEncoder().encode(text);
      const outcome = await mesh.publisher.publish({ subject: "out.default.t.agent.1", body });
      return outcome.kind === "stored" ? outcome.sequence : 0;
    };
    await publish("");
    const last = await publish("");

    expect(await mesh.outputLog.fence(TASK, "agent", 1)).toBe(last);
    const late = await publish("");
    expect(await mesh.outputLog.fence(TASK, "agent", 2)).toBe(0);

    expect(await mesh.outputLog.holds(TASK, "agent", 1, late)).toBe(true);
    expect(await mesh.outputLog.holds(TASK, "agent", 2, late)).toBe(false);
    const read = await mesh.outputLog.read(TASK, "agent", 1, last);
    expect(read.map(({ sequence, expected }) => [sequence, expected])).toEqual([
      [last + 1, last],
      [late, undefined],
    ]);
  });

  test("stores an output once that is published again under its message id", async () => {
    await using mesh = await open();
    const message = { subject: "out.default.t.agent.1", body: new Uint8Array(), headers: { "Nats-Msg-Id": "1" } };

    const first = await mesh.publisher.publish(message);

    expect(await mesh.publisher.publish(message)).toEqual(first);
    expect(await mesh.outputLog.read(TASK, "agent", 1, 0)).toHaveLength(1);
  });
});
