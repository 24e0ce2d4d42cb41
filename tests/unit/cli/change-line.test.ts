import { PassThrough } from "node:stream";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { Priority, TaskSchema } from "../../../gen/mycel/v1/task_pb.ts";
import type { TaskState } from "../../../lib/core/task-state.ts";
import { timestampFromMs } from "../../../lib/wire/time-codec.ts";
import { createChangeLines } from "../../../cli/output/change-line.ts";
import { createTerminal } from "../../../cli/output/terminal.ts";

const AT = "1970-01-01T00:00:10.000Z";
const END = { updateTime: timestampFromMs(10_000), endTime: timestampFromMs(10_000) };
const RAN = { ...END, attempt: 1, maximumAttempts: 3, agentId: "a1", attemptStartTime: timestampFromMs(9_880) };
const FAILURE = { reason: "BAD", message: "no\u001b[2J good" };

const lines = (columns?: number) =>
  createChangeLines(
    createTerminal(Object.assign(new PassThrough(), columns === undefined ? {} : { isTTY: true, columns }), true),
  );
const task = (
  status: MessageInitShape<typeof TaskSchema>["status"],
  change: Omit<MessageInitShape<typeof TaskSchema>, "$typeName"> = {},
) => create(TaskSchema, { taskId: "t-1", type: "echo", queue: "echo", priority: Priority.NORMAL, status, ...change });

test.for<[TaskState, ReturnType<typeof task>, string]>([
  ["submitted", task(END), "submitted    echo  t-1"],
  ["submitted", task(END, { queue: "q", priority: Priority.HIGH }), "submitted    echo  t-1  queue q, high"],
  [
    "scheduled",
    task({ ...END, nextAttemptTime: timestampFromMs(20_000) }),
    "scheduled    echo  t-1  starts 1970-01-01T00:00:20.000Z",
  ],
  ["working", task(RAN), "working      echo  t-1  on a1"],
  ["working", task({ ...RAN, attempt: 2 }), "working      echo  t-1  attempt 2 of 3, on a1"],
  [
    "backing_off",
    task({ ...RAN, failure: FAILURE, nextAttemptTime: timestampFromMs(12_000) }),
    "backing_off  echo  t-1  BAD: no good, attempt 1 of 3, next 1970-01-01T00:00:12.000Z",
  ],
  ["completed", task(RAN), "completed    echo  t-1  120ms on a1"],
  [
    "failed",
    task({ ...RAN, attempt: 3, failure: FAILURE }),
    "failed       echo  t-1  BAD: no good, 120ms on a1, attempt 3 of 3",
  ],
  ["timed_out", task({ ...END, failure: FAILURE }), "timed_out    echo  t-1  BAD: no good"],
  ["canceled", task({ ...END, cancelReason: "wrong" }), "canceled     echo  t-1  wrong"],
])("a change to %s says what there is to say", ([state, changed, line]) => {
  expect(lines()(state, changed)).toBe(`${AT}  ${line}`);
});

test("a line fits its terminal, whatever is in it", () => {
  const line = lines(80);
  const long = task({ ...RAN, agentId: "a".repeat(64) }, { type: "t".repeat(64), taskId: "i".repeat(100) });
  expect(line("completed", long)).toHaveLength(80);
});

test("types stand below one another once the longest was seen", () => {
  const line = lines(80);
  const at = (type: string): number => line("submitted", task(END, { type, queue: type })).indexOf("t-1");
  expect([at("echo"), at("code-analysis"), at("echo")]).toEqual([37, 42, 42]);
});
