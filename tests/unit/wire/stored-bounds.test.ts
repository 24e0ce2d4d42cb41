import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { DispatchSchema, TaskEventSchema } from "../../../gen/mycel/v1/task_log_pb.ts";
import { TaskSchema, TaskState } from "../../../gen/mycel/v1/task_pb.ts";
import { isSoundDispatch, isSoundEvent } from "../../../lib/wire/stored-bounds.ts";

const FAR = 2n ** 63n - 1n;

function dispatchOf(task: MessageInitShape<typeof TaskSchema>, rest: MessageInitShape<typeof DispatchSchema> = {}) {
  const whole = { taskId: "t", type: "echo", ...task } as MessageInitShape<typeof TaskSchema>;
  return create(DispatchSchema, { ...rest, task: create(TaskSchema, whole) });
}

test("what a coordinator writes is sound, whatever was left out", () => {
  expect(isSoundDispatch(dispatchOf({}))).toBe(true);
  expect(isSoundDispatch(dispatchOf({ queue: "q", createTime: { seconds: 1n }, timeouts: { startToClose: {} } }))).toBe(
    true,
  );
  expect(isSoundDispatch(dispatchOf({ webhook: { endpointId: "billing" } }))).toBe(true);
  expect(isSoundEvent(create(TaskEventSchema, { state: TaskState.WORKING, attempt: 1 }))).toBe(true);
  expect(isSoundEvent(create(TaskEventSchema, { state: 99 as TaskState }))).toBe(true);
});

test.for([
  ["no task", create(DispatchSchema)],
  ["no id", dispatchOf({ taskId: "" })],
  ["a wildcard for an id", dispatchOf({ taskId: "*" })],
  ["no type", dispatchOf({ type: "" })],
  ["a queue of two tokens", dispatchOf({ queue: "a.b" })],
  ["a wildcard for a webhook's endpoint", dispatchOf({ webhook: { endpointId: ">" } })],
  ["a time after the last", dispatchOf({ createTime: { seconds: FAR } })],
  ["a start before the first", dispatchOf({ startTime: { seconds: -FAR } })],
  ["a ttl of two signs", dispatchOf({ resultTtl: { seconds: 1n, nanos: -1 } })],
  ["an endless timeout", dispatchOf({ timeouts: { scheduleToClose: { seconds: FAR } } })],
  ["a backoff that is no number", dispatchOf({ retryPolicy: { backoffCoefficient: Number.NaN } })],
  ["a negative attempt", dispatchOf({}, { attempt: -1 })],
  ["a token beyond all sequences", dispatchOf({}, { fence: 2n ** 64n - 1n })],
] as const)("a dispatch with %s is none", ([, dispatch]) => {
  expect(isSoundDispatch(dispatch)).toBe(false);
});

test.for([
  ["no state", {}],
  ["a time after the last", { state: TaskState.FAILED, eventTime: { seconds: FAR } }],
  ["a start with too many nanos", { state: TaskState.WORKING, attemptStartTime: { nanos: 2e9 } }],
  ["a negative attempt", { state: TaskState.WORKING, attempt: -1 }],
  ["a dispatch beyond all sequences", { state: TaskState.WORKING, dispatchSequence: 2n ** 63n }],
] as const)("an event with %s is none", ([, init]) => {
  expect(isSoundEvent(create(TaskEventSchema, init as MessageInitShape<typeof TaskEventSchema>))).toBe(false);
});
