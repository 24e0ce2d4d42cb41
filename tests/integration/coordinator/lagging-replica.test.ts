// Direct gets may be answered by a replica that lags behind. Nothing may be lost by what it does not know yet.
import { expect, test } from "vitest";
import { TIMERS_STREAM } from "../../../lib/wire/subjects.ts";
import { stateOf } from "../../../lib/core/task.ts";
import { viewOf } from "../../../lib/wire/task-codec.ts";
import { TENANT } from "../../support/mesh-log.ts";
import { openParts, type Parts } from "./open-parts.ts";

const FAIL = { case: "fail" as const, value: { failure: { message: "no", retryable: true } } };
const BEGIN = { case: "begin" as const, value: { redelivery: true } };

async function state(parts: Parts, taskId: string): Promise<string> {
  const record = await parts.taskLog.readLatest(TENANT, taskId);
  return record === undefined ? "gone" : stateOf(viewOf(record));
}

test("a delivery is not thrown away because a replica does not know its task yet", async () => {
  await using parts = await openParts();
  const { taskId } = await parts.submit({ taskId: "new" });
  const delivery = await parts.pull();
  parts.replica.upTo = 0;

  const answer = await parts.report(delivery, { kind: BEGIN });

  expect(parts.replica.staleReads).toBe(1);
  expect(answer.outcome.case).toBe("accepted");
  expect(await parts.unacknowledged()).toBe(1);
  expect(await state(parts, taskId)).toBe("working");
});

test("a delivery of a retry is not taken for a leftover of the attempt before it", async () => {
  await using parts = await openParts();
  const { taskId } = await parts.submit({ taskId: "retried", retryPolicy: { initialInterval: { nanos: 1_000_000 } } });
  await parts.report(await parts.pull(), { kind: FAIL });
  const backingOff = await parts.taskLog.readLatest(TENANT, taskId);
  parts.watchTimers();
  const retry = await parts.pull();
  parts.replica.upTo = backingOff?.event?.sequence ?? 0;

  const answer = await parts.report(retry, { kind: BEGIN, attempt: 2 });

  expect(parts.replica.staleReads).toBeGreaterThan(0);
  expect(answer.outcome.case).toBe("accepted");
  expect(await parts.unacknowledged()).toBe(1);
});

test("a failed attempt is not refused because a replica does not know that it began", async () => {
  await using parts = await openParts();
  const { taskId } = await parts.submit({ taskId: "begun" });
  const delivery = await parts.pull();
  const begun = await parts.report(delivery, { kind: { case: "begin", value: {} } });
  parts.replica.upTo = delivery.sequence;

  const fence = begun.outcome.case === "accepted" ? begun.outcome.value.fence : 0n;
  const answer = await parts.report(delivery, { kind: FAIL, fence });

  expect(answer.outcome.case).toBe("accepted");
  expect(await state(parts, taskId)).toBe("backing_off");
});

test("a timer is not thrown away because a replica does not know yet what it was set for", async () => {
  await using parts = await openParts();
  const { taskId } = await parts.submit({ taskId: "timed", retryPolicy: { initialInterval: { nanos: 1_000_000 } } });
  const delivery = await parts.pull();
  parts.replica.upTo = delivery.sequence;
  await parts.report(delivery, { kind: FAIL });
  parts.watchTimers();

  const retry = await parts.pull();

  expect(retry.sequence).toBeGreaterThan(delivery.sequence);
  expect(await state(parts, taskId)).toBe("submitted");
  await expect.poll(async () => (await parts.log.manager.streams.info(TIMERS_STREAM)).state.messages).toBe(0);
});

test("a second backoff is not lost behind a replica that still shows the first", async () => {
  await using parts = await openParts();
  const retryPolicy = { initialInterval: { nanos: 1_000_000 }, maximumAttempts: 3 };
  const { taskId } = await parts.submit({ taskId: "twice", retryPolicy });
  await parts.report(await parts.pull(), { kind: FAIL });
  const first = (await parts.taskLog.readLatest(TENANT, taskId))?.event?.sequence ?? 0;
  parts.watchTimers();
  const second = await parts.pull();
  parts.replica.upTo = first;
  await parts.report(second, { kind: FAIL, attempt: 2, fence: BigInt(first) });

  const third = await parts.pull();

  expect(third.sequence).toBeGreaterThan(second.sequence);
  expect(parts.replica.staleReads).toBeGreaterThan(0);
});

test("whoever cancels is told of the canceled task", async () => {
  await using parts = await openParts();
  const { taskId } = await parts.submit({ taskId: "canceled" });
  const { dispatch } = await parts.lifecycle.read(TENANT, taskId);
  parts.replica.upTo = dispatch.sequence;
  expect(stateOf(viewOf(await parts.lifecycle.cancel(TENANT, taskId, "enough")))).toBe("canceled");
});
