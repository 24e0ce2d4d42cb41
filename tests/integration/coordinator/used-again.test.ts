// An id is used anew once its task is purged. Whoever still holds the old task must not touch the new one.
import { expect, test } from "vitest";
import { stateOf } from "../../../lib/core/task.ts";
import { msFromTimestamp, timestampFromMs } from "../../../lib/wire/time-codec.ts";
import { viewOf } from "../../../lib/wire/task-codec.ts";
import { TENANT } from "../../support/mesh-log.ts";
import { type Delivery, openParts, type Parts } from "./open-parts.ts";

const COMPLETE = { case: "complete" as const, value: {} };

/** An agent got a task and froze; the task was canceled and purged meanwhile. */
async function frozen(parts: Parts): Promise<{ delivery: Delivery; startTime: ReturnType<typeof timestampFromMs> }> {
  const { taskId } = await parts.submit({ taskId: "again" });
  const delivery = await parts.pull();
  await parts.lifecycle.cancel(TENANT, taskId, "enough");
  await parts.taskLog.purge(TENANT, taskId);
  return { delivery, startTime: timestampFromMs(Date.now() - 5_000) };
}

async function state(parts: Parts): Promise<string> {
  return stateOf(viewOf(await parts.lifecycle.read(TENANT, "again")));
}

test.for([
  ["a late completion", COMPLETE],
  ["a late failure", { case: "fail" as const, value: { failure: { message: "no" } } }],
  ["a late hand-back", { case: "handBack" as const, value: { started: true } }],
] as const)("%s does not touch the new task", async ([, kind]) => {
  await using parts = await openParts();
  const { delivery, startTime } = await frozen(parts);
  await parts.submit({ taskId: "again" });

  const { outcome } = await parts.report(delivery, { kind, startTime });

  expect(outcome).toMatchObject({ case: "refused", value: { reason: "LEASE_LOST" } });
  expect(await state(parts)).toBe("submitted");
  const next = await parts.pull();
  expect((await parts.report(next, { kind: COMPLETE, startTime })).outcome.case).toBe("accepted");
  expect(await state(parts)).toBe("completed");
});

test("a completion that comes before the id is used anew does not end the task in advance", async () => {
  await using parts = await openParts();
  const { delivery, startTime } = await frozen(parts);

  const { outcome } = await parts.report(delivery, { kind: COMPLETE, startTime });

  expect(outcome).toMatchObject({ case: "refused", value: { reason: "LEASE_LOST" } });
  await parts.submit({ taskId: "again" });
  expect(await state(parts)).toBe("submitted");
});

test("an agent whose clock is ahead does not pass for quick by as long as it was frozen", async () => {
  await using parts = await openParts();
  await parts.submit({ taskId: "other" });
  const other = await parts.pull();
  const ahead = timestampFromMs(Date.now() + 5_000);
  expect((await parts.report(other, { kind: COMPLETE, startTime: ahead })).outcome.case).toBe("accepted");
  const { delivery, startTime } = await frozen(parts);
  await parts.submit({ taskId: "again" });

  const byItsClock = timestampFromMs(msFromTimestamp(startTime) + 5_000);
  const { outcome } = await parts.report(delivery, { kind: COMPLETE, startTime: byItsClock });

  expect(outcome).toMatchObject({ case: "refused", value: { reason: "LEASE_LOST" } });
  expect(await state(parts)).toBe("submitted");
});

test("a completion that comes when its task is just being purged leaves nothing behind", async () => {
  await using parts = await openParts();
  const { taskId } = await parts.submit({ taskId: "again" });
  const delivery = await parts.pull();
  parts.log.connection.publish(delivery.reply, "-NAK");
  const next = await parts.pull();
  const begun = await parts.report(next, { kind: { case: "begin", value: { redelivery: true } } }, "other");
  const { fence, attempt } = begun.outcome.value as { fence: bigint; attempt: number };
  await parts.report(next, { kind: COMPLETE, fence, attempt }, "other");
  const append = parts.taskLog.append.bind(parts.taskLog);
  // Between a look at the log and the write that it decides.
  parts.taskLog.append = async (...event) => {
    await parts.taskLog.purge(TENANT, taskId);
    return append(...event);
  };

  const { outcome } = await parts.report(delivery, { kind: COMPLETE, startTime: timestampFromMs(Date.now() - 5_000) });

  expect(outcome).toMatchObject({ case: "refused", value: { reason: "LEASE_LOST" } });
  await parts.taskLog.purge(TENANT, taskId);
  await parts.submit({ taskId: "again" });
  expect(await state(parts)).toBe("submitted");
});
