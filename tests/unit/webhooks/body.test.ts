// What a webhook says of a task: the event that it is about, whatever became of the task since.
import { create, type JsonValue } from "@bufbuild/protobuf";
import { ValueSchema } from "@bufbuild/protobuf/wkt";
import { describe, expect, test } from "vitest";
import { type Payload, PayloadSchema } from "../../../gen/mycel/v1/payload_pb.ts";
import { DispatchSchema, TaskEventSchema } from "../../../gen/mycel/v1/task_log_pb.ts";
import type { TaskState } from "../../../lib/core/task-state.ts";
import { stateToWire } from "../../../lib/wire/state-codec.ts";
import type { TaskRecord } from "../../../lib/wire/task-codec.ts";
import { timestampFromMs } from "../../../lib/wire/time-codec.ts";
import { testBody, webhookBody } from "../../../lib/wire/webhook-body.ts";

const TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736";

function bodyOf(state: TaskState, result?: Payload): Record<string, JsonValue> & { data: Record<string, JsonValue> } {
  const task = {
    taskId: "t",
    type: "echo",
    labels: { team: "search" },
    createTime: timestampFromMs(1_000),
    retryPolicy: { maximumAttempts: 4 },
  };
  const record: TaskRecord = {
    tenant: "default",
    taskId: "t",
    // Written after the event: the task waits again, or was withdrawn.
    dispatch: { message: create(DispatchSchema, { task }), sequence: 99, queue: "_withdrawn", priority: 5 },
    event: undefined,
    trace: { traceparent: `00-${TRACE_ID}-00f067aa0ba902b7-01`, tracestate: "" },
  };
  const init = { state: stateToWire(state), attempt: 2, agentId: "a", eventTime: timestampFromMs(5_000) };
  const message = create(TaskEventSchema, { ...init, ...(result === undefined ? {} : { result }) });
  const body = webhookBody(record, { message, sequence: 7 }, state);
  expect(webhookBody(record, { message, sequence: 7 }, state)).toBe(body);
  return JSON.parse(body) as ReturnType<typeof bodyOf>;
}

function json(kind: object): Payload {
  return create(PayloadSchema, { kind: { case: "json", value: create(ValueSchema, { kind } as never) } });
}

describe("the body", () => {
  test.for(["working", "backing_off", "submitted", "completed", "failed", "canceled", "timed_out"] as const)(
    "tells of %s as the event has it",
    (state) => {
      expect(bodyOf(state)).toMatchObject({
        type: `task.${state}`,
        timestamp: "1970-01-01T00:00:05Z",
        data: {
          taskId: "t",
          type: "echo",
          labels: { team: "search" },
          status: {
            taskId: "t",
            state: `TASK_STATE_${state.toUpperCase()}`,
            attempt: 2,
            maximumAttempts: 4,
            agentId: "a",
            updateTime: "1970-01-01T00:00:05Z",
            traceId: TRACE_ID,
          },
        },
      });
    },
  );

  test("has a JSON result, null included, and no mark of one that is left out", () => {
    const list = { case: "listValue", value: { values: [{ kind: { case: "boolValue", value: true } }] } };
    expect(bodyOf("completed", json(list)).data).toMatchObject({ result: [true] });
    expect(bodyOf("completed", json({ case: "nullValue", value: 0 })).data).toHaveProperty("result", null);
    expect(bodyOf("completed", json(list)).data).not.toHaveProperty("resultOmitted");
    expect(bodyOf("completed").data).not.toHaveProperty("resultOmitted");
  });

  test.for<[string, Payload]>([
    ["is bytes", create(PayloadSchema, { kind: { case: "bytes", value: { data: new Uint8Array(1) } } })],
    ["is a blob", create(PayloadSchema, { kind: { case: "blob", value: { blobId: "b" } } })],
    ["is a message", create(PayloadSchema, { kind: { case: "message", value: { typeUrl: "x/y" } } })],
    ["is larger than 64 KiB", json({ case: "stringValue", value: "x".repeat(64 * 1024) })],
    ["has no JSON form", json({ case: "numberValue", value: Number.NaN })],
  ])("leaves out a result that %s, and says so", ([, result]) => {
    const { data } = bodyOf("completed", result);
    expect(data).toHaveProperty("resultOmitted", true);
    expect(data).not.toHaveProperty("result");
  });

  test("of a test has nothing but its type and time", () => {
    expect(JSON.parse(testBody(5_000))).toEqual({ type: "webhook.test", timestamp: "1970-01-01T00:00:05Z", data: {} });
  });
});
