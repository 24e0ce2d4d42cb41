// A timer is told by a replica what its task is. What it throws away does not come back.
import { create } from "@bufbuild/protobuf";
import type { JetStreamManager } from "@nats-io/jetstream";
import { expect, test } from "vitest";
import { DispatchSchema, TaskEventSchema, TimerKind } from "../../../gen/mycel/v1/task_log_pb.ts";
import { TimerSchema } from "../../../gen/mycel/v1/task_log_pb.ts";
import { TaskSchema } from "../../../gen/mycel/v1/task_pb.ts";
import { toBinary } from "@bufbuild/protobuf";
import { silentLogger } from "../../../lib/core/logger.ts";
import type { TaskLog } from "../../../lib/nats/task-log.ts";
import type { Timers } from "../../../lib/nats/timers.ts";
import { stateToWire } from "../../../lib/wire/state-codec.ts";
import type { TaskRecord } from "../../../lib/wire/task-codec.ts";
import { durationFromMs, timestampFromMs } from "../../../lib/wire/time-codec.ts";
import { handleDueTimer } from "../../../services/coordinator/reactors/due-timers.ts";
import type { Lifecycle } from "../../../services/coordinator/tasks/lifecycle.ts";

const ENDED_MS = 1_000_000;
const TTL_MS = 5_000;

function record(queue: string, ended: boolean): TaskRecord {
  const task = create(TaskSchema, { taskId: "t", queue: "work", resultTtl: durationFromMs(TTL_MS) });
  const event = create(TaskEventSchema, { state: stateToWire("completed"), eventTime: timestampFromMs(ENDED_MS) });
  return {
    tenant: "default",
    taskId: "t",
    dispatch: { message: create(DispatchSchema, { task, attempt: 1 }), sequence: ended ? 1 : 9, queue, priority: 5 },
    event: ended ? { message: event, sequence: 2 } : undefined,
    trace: { traceparent: "", tracestate: "" },
  };
}

/** What a timer does to a delayed task that uses the name of one that a replica still shows as ended. */
async function dispatched(nowMs: number): Promise<readonly number[]> {
  const found: number[] = [];
  const log: Pick<TaskLog, "read" | "readLatest"> = {
    read: async () => record("work", true),
    readLatest: async () => record("_delayed", false),
  };
  const lifecycle: Pick<Lifecycle, "dispatch"> = {
    dispatch: async ({ dispatch }) => {
      found.push(dispatch.sequence);
      return { kind: "stored", sequence: 10 };
    },
  };
  const manager = { streams: { deleteMessage: async () => true } } as unknown as JetStreamManager;
  const data = toBinary(TimerSchema, create(TimerSchema, { taskId: "t", kind: TimerKind.DISPATCH }));
  await handleDueTimer(
    {
      manager,
      log: log as TaskLog,
      timers: {} as Timers,
      lifecycle: lifecycle as Lifecycle,
      clock: { now: () => nowMs, monotonicMs: () => nowMs },
      random: () => 0.5,
      logger: silentLogger,
    },
    { subject: "timer.fired.default.t.dispatch", data, seq: 1 },
  );
  return found;
}

test("a task whose name was used before is not forgotten because a replica still shows the one before", async () => {
  expect(await dispatched(ENDED_MS + TTL_MS)).toEqual([9]);
});

test("a replica is believed that a task has ended for as long as none of its name can follow", async () => {
  expect(await dispatched(ENDED_MS + TTL_MS - 1)).toEqual([]);
});
