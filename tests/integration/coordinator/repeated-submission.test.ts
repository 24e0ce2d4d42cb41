// A submission that comes again finds its task, and changes nothing about it.
import { fromBinary } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { TimerSchema } from "../../../gen/mycel/v1/task_log_pb.ts";
import { TIMERS_STREAM, timerSubject } from "../../../lib/wire/subjects.ts";
import { msFromTimestamp } from "../../../lib/wire/time-codec.ts";
import { TENANT } from "../../support/mesh-log.ts";
import { openParts, type Parts } from "./open-parts.ts";

async function deadlineMs(parts: Parts, taskId: string): Promise<number | undefined> {
  const subject = timerSubject(TENANT, taskId, "schedule_to_close");
  const [timer] = await parts.log.reader.read(TIMERS_STREAM, { last_by_subj: subject });
  return timer === undefined ? undefined : msFromTimestamp(fromBinary(TimerSchema, timer.body).dueTime);
}

test.for([
  ["the same one", { seconds: 60n }],
  ["another one under its id", { seconds: 600n }],
] as const)("a deadline is not put off by %s", async ([what, scheduleToClose]) => {
  await using parts = await openParts();
  const { taskId, status } = await parts.submit({ taskId: "t", timeouts: { scheduleToClose: { seconds: 60n } } });
  const createMs = msFromTimestamp(status?.createTime) ?? 0;
  await expect.poll(() => Date.now()).toBeGreaterThan(createMs);

  const again = parts.submit({ taskId: "t", timeouts: { scheduleToClose } });

  if (what === "the same one") expect(await again).toMatchObject({ existing: true });
  else await expect(again).rejects.toMatchObject({ reason: "TASK_ALREADY_EXISTS" });
  expect(await deadlineMs(parts, taskId)).toBe(createMs + 60_000);
});
