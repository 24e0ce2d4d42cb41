// Timers, by the same tests on a real nats-server and in the simulation's memory.
import { describe, expect, test } from "vitest";
import { DEFAULT_TENANT } from "../../../lib/core/names.ts";
import { TIMERS_STREAM } from "../../../lib/wire/subjects.ts";
import { aDispatch, openJetStreamMesh, openMemoryMesh } from "./contract-mesh.ts";

const TASK = { tenant: DEFAULT_TENANT, taskId: "t" };

/** Long enough for whatever is bound to come. */
const BOUND_MS = 10_000;

/** How long to wait for what must not come. */
const NOTHING_MS = 700;

describe.each([
  ["in memory", openMemoryMesh],
  ["on JetStream", openJetStreamMesh],
] as const)("a timer %s", (_, open) => {
  test("arrives when it is due, and not before", async () => {
    await using mesh = await open();
    const atMs = mesh.nowMs() + 1_000;
    await mesh.timers.set(TASK, "dispatch", atMs, 2);

    const found = await mesh.pullTimer(BOUND_MS);

    expect(mesh.nowMs()).toBeGreaterThanOrEqual(atMs);
    expect(found).toMatchObject({ deliveries: 1, timer: { ...TASK, name: "dispatch", misses: 2 } });
    expect(await mesh.pullTimer(NOTHING_MS)).toBeUndefined();
  });

  test("arrives at once if it was due before it was set", async () => {
    await using mesh = await open();
    await mesh.timers.set(TASK, "dispatch", mesh.nowMs() - 60_000);

    expect(await mesh.pullTimer(BOUND_MS)).toBeDefined();
  });

  test("takes the place of the task's earlier one of the same name", async () => {
    await using mesh = await open();
    await mesh.timers.set(TASK, "dispatch", mesh.nowMs() + 500, 1);
    await mesh.timers.set(TASK, "dispatch", mesh.nowMs() + 1_500, 2);

    expect(await mesh.pullTimer(BOUND_MS)).toMatchObject({ timer: { misses: 2 } });
    expect(await mesh.pullTimer(NOTHING_MS)).toBeUndefined();
  });

  test("leaves those of other names and tasks alone", async () => {
    await using mesh = await open();
    await mesh.timers.set(TASK, "schedule_to_start", mesh.nowMs());
    await mesh.timers.set(TASK, "schedule_to_close", mesh.nowMs() + 500);
    await mesh.timers.set({ ...TASK, taskId: "u" }, "schedule_to_close", mesh.nowMs() + 1_000);

    const found = [await mesh.pullTimer(BOUND_MS), await mesh.pullTimer(BOUND_MS), await mesh.pullTimer(BOUND_MS)];

    expect(found.map((due) => `${due?.timer.taskId} ${due?.timer.name}`)).toEqual([
      "t schedule_to_start",
      "t schedule_to_close",
      "u schedule_to_close",
    ]);
  });

  test("arrives again until it is acknowledged", async () => {
    await using mesh = await open();
    await mesh.timers.set(TASK, "dispatch", mesh.nowMs());
    const first = (await mesh.pullTimer(BOUND_MS))!;
    await mesh.answer(first, "-NAK");
    const second = (await mesh.pullTimer(BOUND_MS))!;
    await mesh.answer(second, "+ACK");

    expect(second).toMatchObject({ deliveries: 2, sequence: first.sequence });
    expect(await mesh.pullTimer(NOTHING_MS)).toBeUndefined();
  });

  test("leaves nothing behind once it was removed, and can be set anew", async () => {
    await using mesh = await open();
    await mesh.timers.set(TASK, "dispatch", mesh.nowMs());
    const { sequence } = (await mesh.pullTimer(BOUND_MS))!;

    await mesh.manager.streams.deleteMessage(TIMERS_STREAM, sequence, false);

    expect((await mesh.manager.streams.info(TIMERS_STREAM)).state.messages).toBe(0);
    await mesh.timers.set(TASK, "dispatch", mesh.nowMs());
    expect(await mesh.pullTimer(BOUND_MS)).toBeDefined();
  });

  test("goes with its task when that is purged", async () => {
    await using mesh = await open();
    await mesh.taskLog.dispatch(aDispatch("t"), 0);
    await mesh.timers.set(TASK, "dispatch", mesh.nowMs() + 500);

    await mesh.taskLog.purge(DEFAULT_TENANT, "t");

    expect(await mesh.pullTimer(2 * NOTHING_MS)).toBeUndefined();
  });
});
