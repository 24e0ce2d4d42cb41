// A submission that comes again finds its task, and changes nothing about it.
import { create, fromBinary } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { SubmitTaskRequestSchema } from "../../../gen/mycel/v1/agent_service_pb.ts";
import { TimerSchema } from "../../../gen/mycel/v1/task_log_pb.ts";
import { TIMERS_STREAM, timerSubject } from "../../../lib/wire/subjects.ts";
import { msFromTimestamp } from "../../../lib/wire/time-codec.ts";
import { TENANT } from "../../support/mesh-log.ts";
import type { TaskScope } from "../../../lib/core/access/task-scope.ts";
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

test("a deadline is not even touched by who may not know of the task whose id it gives", async () => {
  await using parts = await openParts();
  const { taskId } = await parts.submit({ taskId: "t", timeouts: { scheduleToClose: { seconds: 60n } } });
  const stream = async () => (await parts.log.manager.streams.info(TIMERS_STREAM)).state.last_seq;
  const before = await stream();
  const scope: TaskScope = { rules: [{ types: ["work"], labels: { team: "b" } }] };
  const theirs = { taskId, type: "work", labels: { team: "b" }, timeouts: { scheduleToClose: { seconds: 600n } } };
  const caller = { tenant: TENANT, scope, trace: {} };
  const refused = parts.submitter.submit(caller, create(SubmitTaskRequestSchema, theirs));
  await expect(refused).rejects.toMatchObject({ reason: "ACTION_NOT_ALLOWED", resource: undefined });
  expect(await stream()).toBe(before);
  const own = await parts.submitter.submit(caller, create(SubmitTaskRequestSchema, { ...theirs, taskId: "own" }));
  expect(own.existing).toBe(false);
});
