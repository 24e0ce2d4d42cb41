// Whoever cancels a task is told of the one that has the name now, whatever a replica still shows.
import { create } from "@bufbuild/protobuf";
import type { NatsConnection } from "@nats-io/nats-core";
import { expect, test } from "vitest";
import { DispatchSchema, TaskEventSchema } from "../../../gen/mycel/v1/task_log_pb.ts";
import { TaskSchema } from "../../../gen/mycel/v1/task_pb.ts";
import { silentLogger } from "../../../lib/core/logger.ts";
import type { Lanes } from "../../../lib/nats/lanes.ts";
import type { OutputLog } from "../../../lib/nats/output-log.ts";
import type { TaskLog } from "../../../lib/nats/task-log.ts";
import type { Timers } from "../../../lib/nats/timers.ts";
import { stateToWire } from "../../../lib/wire/state-codec.ts";
import type { TaskRecord } from "../../../lib/wire/task-codec.ts";
import { durationFromMs, timestampFromMs } from "../../../lib/wire/time-codec.ts";
import { Lifecycle } from "../../../services/coordinator/tasks/lifecycle.ts";

const ENDED_MS = 1_000_000;
const TTL_MS = 5_000;

function record(sequence: number, ended: boolean): TaskRecord {
  const task = create(TaskSchema, { taskId: "t", queue: "work", resultTtl: durationFromMs(TTL_MS) });
  const event = create(TaskEventSchema, { state: stateToWire("canceled"), eventTime: timestampFromMs(ENDED_MS) });
  return {
    tenant: "default",
    taskId: "t",
    dispatch: { message: create(DispatchSchema, { task, attempt: 1 }), sequence, queue: "_withdrawn", priority: 5 },
    event: ended ? { message: event, sequence: sequence + 1 } : undefined,
    trace: { traceparent: "", tracestate: "" },
  };
}

test.for([
  ["the task that has its name now, once it may be purged", ENDED_MS + TTL_MS, 1],
  ["nothing, as long as the canceled one must be there", ENDED_MS + TTL_MS - 1, 0],
] as const)("canceling a task that a replica shows as canceled cancels %s", async ([, nowMs, writes]) => {
  let written = 0;
  const log: Pick<TaskLog, "read" | "readLatest" | "append" | "withdraw"> = {
    read: async (_tenant, _taskId, reached) => record(reached === 10 ? 9 : 1, true),
    readLatest: async () => record(9, false),
    append: async () => {
      written += 1;
      return { kind: "stored", sequence: 10 };
    },
    withdraw: async () => undefined,
  };
  const lifecycle = new Lifecycle({
    connection: {} as NatsConnection,
    log: log as TaskLog,
    outputs: {} as OutputLog,
    timers: {} as Timers,
    lanes: {} as Lanes,
    clock: { now: () => nowMs, monotonicMs: () => nowMs },
    logger: silentLogger,
  });

  await lifecycle.cancel("default", "t", "enough");

  expect(written).toBe(writes);
});
