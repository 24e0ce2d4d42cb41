// How work is delivered, by the same tests on a real nats-server and in the simulation's memory.
import { describe, expect, test } from "vitest";
import { DEFAULT_TENANT } from "../../../lib/core/names.ts";
import { aDispatch, type ContractMesh, LEASE_MS, openJetStreamMesh, openMemoryMesh } from "./contract-mesh.ts";

/** Long enough for whatever is bound to come. */
const BOUND_MS = 10_000;

/** How long to wait for what must not come. */
const NOTHING_MS = 200;

async function withTask(open: () => Promise<ContractMesh>): Promise<ContractMesh> {
  const mesh = await open();
  await mesh.lanes.lanesOf(DEFAULT_TENANT, "work");
  await mesh.taskLog.dispatch(aDispatch("t"), 0);
  return mesh;
}

describe.each([
  ["in memory", openMemoryMesh],
  ["on JetStream", openJetStreamMesh],
] as const)("a queue %s", (_, open) => {
  test("delivers a task to one puller, from the lane of its priority", async () => {
    await using mesh = await withTask(open);
    await mesh.taskLog.dispatch(aDispatch("urgent", { priority: 10 }), 0);

    const first = await mesh.pull("work", BOUND_MS);

    expect(first).toMatchObject({ deliveries: 1, subject: "task.default.t.q.work.5" });
    expect(await mesh.pull("work", NOTHING_MS)).toBeUndefined();
  });

  test("delivers in the order of submission", async () => {
    await using mesh = await withTask(open);
    await mesh.taskLog.dispatch(aDispatch("u"), 0);

    const subjects = [(await mesh.pull("work", BOUND_MS))?.subject, (await mesh.pull("work", BOUND_MS))?.subject];

    expect(subjects).toEqual(["task.default.t.q.work.5", "task.default.u.q.work.5"]);
  });

  test("delivers what was dispatched before the queue was there", async () => {
    await using mesh = await open();
    await mesh.taskLog.dispatch(aDispatch("t"), 0);
    await mesh.lanes.lanesOf(DEFAULT_TENANT, "work");

    expect(await mesh.pull("work", BOUND_MS)).toMatchObject({ deliveries: 1 });
  });

  test("delivers again when a lease ends, and counts", async () => {
    await using mesh = await withTask(open);
    const first = await mesh.pull("work", BOUND_MS);

    const second = await mesh.pull("work", BOUND_MS);

    expect(second).toMatchObject({ deliveries: 2, sequence: first?.sequence });
  });

  test("does not deliver again while there are signs of life", async () => {
    await using mesh = await withTask(open);
    const first = (await mesh.pull("work", BOUND_MS))!;
    expect(await mesh.pull("work", LEASE_MS * 0.6)).toBeUndefined();

    await mesh.answer(first, "+WPI");

    expect(await mesh.pull("work", LEASE_MS * 0.6)).toBeUndefined();
    expect(await mesh.pull("work", BOUND_MS)).toMatchObject({ deliveries: 2 });
  });

  test("delivers again at once what was given back", async () => {
    await using mesh = await withTask(open);
    const first = (await mesh.pull("work", BOUND_MS))!;

    await mesh.answer(first, "-NAK");

    expect(await mesh.pull("work", LEASE_MS / 2)).toMatchObject({ deliveries: 2 });
  });

  test("never delivers again what was acknowledged", async () => {
    await using mesh = await withTask(open);
    const first = (await mesh.pull("work", BOUND_MS))!;

    await mesh.answer(first, "+ACK");

    expect(await mesh.pull("work", LEASE_MS * 1.5)).toBeUndefined();
    expect(await mesh.manager.consumers.info("MYCEL_TASKS", "default=work=5")).toMatchObject({
      num_pending: 0,
      num_ack_pending: 0,
    });
  });

  test("takes the acknowledgement of an earlier delivery for one of the message", async () => {
    await using mesh = await withTask(open);
    const first = (await mesh.pull("work", BOUND_MS))!;
    await mesh.pull("work", BOUND_MS);

    await mesh.answer(first, "+ACK");

    expect(await mesh.pull("work", LEASE_MS * 1.5)).toBeUndefined();
  });

  test("frees a message whoever gives it back", async () => {
    await using mesh = await withTask(open);
    const first = (await mesh.pull("work", BOUND_MS))!;
    await mesh.pull("work", BOUND_MS);

    await mesh.answer(first, "-NAK");

    expect(await mesh.pull("work", LEASE_MS / 2)).toMatchObject({ deliveries: 3 });
  });

  test("forgets a delivery whose message was withdrawn", async () => {
    await using mesh = await withTask(open);
    await mesh.pull("work", BOUND_MS);

    await mesh.taskLog.withdraw((await mesh.taskLog.read(DEFAULT_TENANT, "t"))!);

    expect(await mesh.pull("work", LEASE_MS * 1.5)).toBeUndefined();
  });

  test("says how much waits and how much is delivered", async () => {
    await using mesh = await withTask(open);
    await mesh.taskLog.dispatch(aDispatch("u"), 0);
    await mesh.taskLog.dispatch(aDispatch("v"), 0);
    await mesh.pull("work", BOUND_MS);

    const info = await mesh.manager.consumers.info("MYCEL_TASKS", "default=work=5");

    expect(info).toMatchObject({ num_pending: 2, num_ack_pending: 1 });
  });
});
