// A cancellation is an event and what follows from it. Its coordinator may die in between, and a signal may be lost.
import { fromBinary } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { AgentSignalSchema } from "../../../gen/mycel/v1/agent_protocol_pb.ts";
import { WITHDRAWN_QUEUE } from "../../../lib/core/names.ts";
import { decideCancel } from "../../../lib/core/settle.ts";
import { fenceOf } from "../../../lib/core/task.ts";
import { signalSubject } from "../../../lib/wire/subjects.ts";
import { viewOf } from "../../../lib/wire/task-codec.ts";
import { TENANT } from "../../support/mesh-log.ts";
import { openParts } from "./open-parts.ts";

test("whoever cancels a running task again has its agent told again", async () => {
  await using parts = await openParts();
  const { connection } = parts.log;
  const signals: unknown[] = [];
  connection.subscribe(signalSubject(TENANT, "agent"), {
    callback: (_error, msg) => {
      signals.push(fromBinary(AgentSignalSchema, msg.data).kind.value);
    },
  });
  const { taskId } = await parts.submit({ taskId: "running" });
  await parts.report(await parts.pull(), { kind: { case: "begin", value: { redelivery: false } } });

  for (const reason of ["enough", "really"]) await parts.lifecycle.cancel(TENANT, taskId, reason);

  await connection.flush();
  const told = { taskId, attempt: 1, reason: "CANCELED" };
  expect(signals).toMatchObject([told, told]);
});

test.for([
  ["takes it out of its queue if that was left undone", 0, WITHDRAWN_QUEUE],
  ["leaves it alone if it may be purged by now", 60_000, "work"],
] as const)("whoever cancels a waiting task again %s", async ([, agoMs, queue]) => {
  await using parts = await openParts();
  const { taskId } = await parts.submit({ taskId: "waiting", resultTtl: { seconds: 30n } });
  const record = await parts.lifecycle.read(TENANT, taskId);
  const decision = decideCancel(viewOf(record), "enough");
  if (decision.kind !== "write") throw new Error("the task cannot be canceled");
  // The coordinator dies right after its event.
  const context = { eventMs: Date.now() - agoMs, operationId: "dead", outputSequence: 0, result: undefined };
  await parts.taskLog.append(record, decision.event, context, fenceOf(viewOf(record)));

  await parts.lifecycle.cancel(TENANT, taskId, "enough");

  expect((await parts.lifecycle.read(TENANT, taskId)).dispatch.queue).toBe(queue);
});
