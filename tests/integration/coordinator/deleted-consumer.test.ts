// Somebody deletes a consumer, and it is made again. Nothing that was due is lost, and what counts anew is not taken for what counted before.
import { expect, test } from "vitest";
import { TIMERS_CONSUMER, TIMERS_STREAM } from "../../../lib/wire/subjects.ts";
import { openParts } from "./open-parts.ts";

test("timers are handled again after their consumer was deleted", async () => {
  await using parts = await openParts();
  parts.watchTimers();
  await expect
    .poll(async () => (await parts.log.manager.consumers.info(TIMERS_STREAM, TIMERS_CONSUMER)).num_waiting)
    .toBeGreaterThan(0);
  await parts.log.manager.consumers.delete(TIMERS_STREAM, TIMERS_CONSUMER);
  await parts.submit({ taskId: "t", retryPolicy: { initialInterval: { nanos: 1_000_000 } } });
  const first = await parts.pull();
  await parts.report(first, { kind: { case: "fail", value: { failure: { message: "no", retryable: true } } } });

  await expect
    .poll(async () => (await parts.log.manager.streams.info(TIMERS_STREAM)).state.messages, { timeout: 15_000 })
    .toBe(0);
  expect((await parts.pull()).sequence).toBeGreaterThan(first.sequence);
}, 30_000);

test("an agent that gets its running task once more from a queue that counts anew does not get its token once more", async () => {
  await using parts = await openParts();
  await parts.submit({ taskId: "t" });
  const first = await parts.pull();
  const begin = { case: "begin" as const, value: { redelivery: true } };
  const begun = await parts.report(first, { kind: begin });
  // The second delivery of the new consumer, and again the first of this message.
  const reply = first.reply.split(".").with(6, "2").join(".");

  const again = await parts.report({ ...first, reply }, { kind: begin });

  expect(begun.outcome.case).toBe("accepted");
  expect(again.outcome).toMatchObject({ case: "refused", value: { reason: "LEASE_LOST" } });
  expect((await parts.report(first, { kind: begin })).outcome).toEqual(begun.outcome);
});
