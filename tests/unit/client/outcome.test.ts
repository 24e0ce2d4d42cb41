// A task's end and its result are two answers, which may come from two servers.
import { create } from "@bufbuild/protobuf";
import { ValueSchema } from "@bufbuild/protobuf/wkt";
import { expect, test } from "vitest";
import { GetTaskResponseSchema, GetTaskStatusResponseSchema } from "../../../gen/mycel/v1/agent_service_pb.ts";
import { TaskState } from "../../../gen/mycel/v1/task_pb.ts";
import { resolveOptions } from "../../../sdk/client/client-options.ts";
import { type OutcomeCalls, waitForOutcome } from "../../../sdk/client/outcome.ts";

const TASK_ID = "t1";
const result = {
  kind: { case: "json" as const, value: create(ValueSchema, { kind: { case: "boolValue", value: true } }) },
};

test("a result is asked for again from a server that still shows the task at work", async () => {
  const answers = [
    { status: { taskId: TASK_ID, state: TaskState.WORKING, attempt: 1 } },
    { status: { taskId: TASK_ID, state: TaskState.COMPLETED, attempt: 1 }, result },
  ];
  const calls: OutcomeCalls = {
    rpc: {
      getTaskStatus: () =>
        Promise.resolve(
          create(GetTaskStatusResponseSchema, { status: { taskId: TASK_ID, state: TaskState.COMPLETED } }),
        ),
      getTask: () => Promise.resolve(create(GetTaskResponseSchema, { task: answers.shift() ?? {} })),
    },
    blobs: { rpc: {} } as OutcomeCalls["blobs"],
    options: resolveOptions({ url: "http://127.0.0.1:1" }),
  };

  const outcome = await waitForOutcome(calls, TASK_ID, {}, { signal: undefined, remaining: () => ({}) });

  expect(outcome).toMatchObject({ state: "completed", result: true, status: { state: TaskState.COMPLETED } });
  expect(answers).toEqual([]);
});
