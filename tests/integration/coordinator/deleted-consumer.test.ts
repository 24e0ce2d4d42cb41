// Somebody deletes a consumer that coordinators pull from. It comes back, and nothing that was due is lost.
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
