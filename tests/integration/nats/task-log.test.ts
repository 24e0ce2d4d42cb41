// What the task log makes of a broker whose answer got lost.
import { create } from "@bufbuild/protobuf";
import { JetStreamApiError } from "@nats-io/jetstream";
import { expect, test } from "vitest";
import { TaskSchema } from "../../../gen/mycel/v1/task_pb.ts";
import { WITHDRAWN_QUEUE } from "../../../lib/core/names.ts";
import { type DispatchDraft, TaskLog } from "../../../lib/nats/task-log.ts";
import type { StreamPublisher } from "../../../lib/nats/stream-publisher.ts";
import { encodeDispatch } from "../../../lib/wire/task-codec.ts";
import { timestampFromMs } from "../../../lib/wire/time-codec.ts";
import { openMeshLog, TaskWriter, TENANT } from "../../support/mesh-log.ts";

function submission(createMs: number): DispatchDraft {
  const taskId = "twice";
  const task = create(TaskSchema, { taskId, type: "echo", createTime: timestampFromMs(createMs) });
  const body = encodeDispatch({ task, attempt: 1, fence: 0n });
  return { tenant: TENANT, taskId, queue: "echo", priority: 5, body, trace: { traceparent: "", tracestate: "" } };
}

test("a submission whose answer got lost is not taken for an equal one of the same second", async () => {
  await using log = await openMeshLog();
  const { connection, manager, reader } = log;
  expect((await log.taskLog.dispatch(submission(1_000), 0)).kind).toBe("stored");
  const silent = { publish: async () => await Promise.resolve({ kind: "unknown", cause: new Error("no answer") }) };
  const deaf = new TaskLog({ connection, manager, reader, publisher: silent as unknown as StreamPublisher });

  expect((await deaf.dispatch(submission(1_000), 0)).kind).toBe("stored");
  expect((await deaf.dispatch(submission(1_001), 0)).kind).toBe("conflict");
});

test("a withdrawn task keeps its definition when the removal of its work item is refused, though it was done", async () => {
  await using log = await openMeshLog();
  const writer = new TaskWriter(log, "withdrawn");
  await writer.submit();
  await writer.event({ state: "canceled", attempt: 0 });
  const record = await log.taskLog.readLatest(TENANT, "withdrawn");
  const { streams } = log.manager;
  const remove = streams.deleteMessage.bind(streams);
  streams.deleteMessage = async (...args) => {
    await remove(...args);
    // What a cluster says that loses its leader between the deed and the answer.
    const error = { code: 503, err_code: 10_008, description: "JetStream system temporarily unavailable" };
    throw new JetStreamApiError(error);
  };

  await log.taskLog.withdraw(record!);

  expect((await log.taskLog.readLatest(TENANT, "withdrawn"))?.dispatch.queue).toBe(WITHDRAWN_QUEUE);
});
