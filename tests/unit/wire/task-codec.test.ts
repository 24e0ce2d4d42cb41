// What stands in the log is read back as the rules wrote it.
import { create } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { FailureSource, TaskFailureSchema, TaskSchema, TaskState as WireState } from "../../../gen/mycel/v1/task_pb.ts";
import type { EventDraft } from "../../../lib/core/event.ts";
import { TASK_STATES } from "../../../lib/core/task-state.ts";
import { sourceFromWire, sourceToWire, stateFromWire, stateToWire } from "../../../lib/wire/state-codec.ts";
import {
  decodeDispatch,
  decodeEvent,
  encodeDispatch,
  encodeEvent,
  failureFromWire,
  statusOf,
  type TaskRecord,
  taskOf,
  viewOf,
} from "../../../lib/wire/task-codec.ts";
import { durationFromMs, msFromTimestamp, timestampFromMs } from "../../../lib/wire/time-codec.ts";

const NOW = 1_700_000_000_000;

const draft: EventDraft = {
  state: "backing_off",
  attempt: 1,
  nextAttempt: 2,
  agentId: "a",
  attemptStartMs: NOW - 1_000,
  nextAttemptMs: NOW + 5_000.7,
  failure: { message: "no", reason: "R", retryable: true, source: "timeout", details: "d" },
  cancelReason: "",
  ended: { attempt: 1, agentId: "a", outputSequence: 7 },
  dispatchSequence: 10,
  deliveries: 1,
};

function record(change: Partial<EventDraft> | undefined, queue = "echo"): TaskRecord {
  const task = create(TaskSchema, {
    taskId: "t",
    type: "echo",
    createTime: timestampFromMs(NOW - 60_000),
    resultTtl: durationFromMs(90_000),
    startTime: timestampFromMs(NOW + 60_000),
    retryPolicy: { maximumAttempts: 5, initialInterval: durationFromMs(0) },
    timeouts: { scheduleToClose: durationFromMs(70_000) },
  });
  const context = { eventMs: NOW, operationId: "op", outputSequence: 7, result: undefined };
  return {
    tenant: "acme",
    taskId: "t",
    dispatch: {
      message: decodeDispatch(encodeDispatch({ task, attempt: 1, fence: 3n, beginRequired: true })),
      sequence: 10,
      queue,
      priority: 5,
    },
    event:
      change === undefined
        ? undefined
        : { message: decodeEvent(encodeEvent({ ...draft, ...change }, context)), sequence: 20 },
    trace: { traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", tracestate: "" },
  };
}

describe("the view of a task", () => {
  test("is what was written, with defaults for what was left out", () => {
    expect(viewOf(record({}))).toEqual({
      policy: {
        maximumAttempts: 5,
        initialIntervalMs: 0,
        backoffCoefficient: 2,
        maximumIntervalMs: 300_000,
        nonRetryableReasons: [],
      },
      timeouts: { scheduleToStartMs: undefined, startToCloseMs: 30_000, scheduleToCloseMs: 70_000 },
      createMs: NOW - 60_000,
      startMs: NOW + 60_000,
      dispatch: { sequence: 10, queue: "echo", attempt: 1, fence: 3, beginRequired: true },
      last: {
        sequence: 20,
        state: "backing_off",
        attempt: 1,
        nextAttempt: 2,
        agentId: "a",
        attemptStartMs: NOW - 1_000,
        nextAttemptMs: NOW + 5_001,
        operationId: "op",
        dispatchSequence: 10,
        deliveries: 1,
      },
    });
    expect(viewOf(record(undefined)).last).toBeUndefined();
  });

  test("of a state that a newer version wrote is one that nobody here moves", () => {
    const known = record({});
    known.event!.message.state = 8 as WireState;
    expect(viewOf(known).last?.state).toBe("failed");
  });
});

describe("the status of a task", () => {
  test("says when the next attempt comes, while it waits for it", () => {
    const backingOff = record({});
    expect(msFromTimestamp(statusOf(backingOff, backingOff.event).nextAttemptTime)).toBe(NOW + 5_001);
    const scheduled = record(undefined, "_delayed");
    const status = statusOf(scheduled, undefined);
    expect([status.state, msFromTimestamp(status.nextAttemptTime)]).toEqual([WireState.SCHEDULED, NOW + 60_000]);
    const working = record({ state: "working" });
    expect(statusOf(working, working.event).nextAttemptTime).toBeUndefined();
  });

  test.for([...TASK_STATES])("in %s has an end exactly if it has ended", (state) => {
    const found = record(
      state === "scheduled" || state === "submitted" ? undefined : { state },
      state === "scheduled" ? "_delayed" : "echo",
    );
    const status = statusOf(found, found.event);
    const ended = ["completed", "failed", "canceled", "timed_out"].includes(state);
    expect(status).toMatchObject({
      state: stateToWire(state),
      maximumAttempts: 5,
      deadLetter: state === "failed" || state === "timed_out",
      traceId: "0af7651916cd43dd8448eb211c80319c",
      revision: found.event === undefined ? 10n : 20n,
    });
    expect(msFromTimestamp(status.endTime)).toBe(ended ? NOW : undefined);
    expect(msFromTimestamp(status.expireTime)).toBe(ended ? NOW + 90_000 : undefined);
  });

  test("does not change when the work item of an ended task is withdrawn", () => {
    const ended = record({ state: "canceled" });
    const withdrawn = { ...ended, dispatch: { ...ended.dispatch, sequence: 30, queue: "_withdrawn" } };
    expect(statusOf(withdrawn, withdrawn.event)).toEqual(statusOf(ended, ended.event));
  });

  test("stands in a copy of the task, not in the log's own", () => {
    const found = record({});
    expect(taskOf(found, true).status?.state).toBe(WireState.BACKING_OFF);
    expect(found.dispatch.message.task?.status).toBeUndefined();
  });
});

describe("a failure", () => {
  test("is cut to its bounds, and has a reason", () => {
    const long = create(TaskFailureSchema, {
      message: "m".repeat(5_000),
      reason: "R".repeat(64),
      details: "d".repeat(20_000),
      source: FailureSource.MESH,
    });
    const failure = failureFromWire(long);
    expect([failure.message.length, failure.reason.length, failure.details.length]).toEqual([4_096, 63, 16_384]);
    // The bound of the details counts bytes: 5,461 characters of three, and no part of one more.
    const wide = failureFromWire(create(TaskFailureSchema, { details: "€".repeat(20_000) }));
    expect(wide.details).toBe("€".repeat(5_461));
    expect(failureFromWire(create(TaskFailureSchema))).toMatchObject({ reason: "HANDLER_ERROR", source: "agent" });
    expect(failureFromWire(undefined)).toMatchObject({ reason: "HANDLER_ERROR", retryable: true });
  });

  test("keeps its source", () => {
    for (const source of ["agent", "mesh", "timeout"] as const)
      expect(sourceFromWire(sourceToWire(source))).toBe(source);
    expect(sourceFromWire(99)).toBe("agent");
  });
});

test.for([...TASK_STATES])("the state %s keeps its meaning over the wire", (state) => {
  expect(stateFromWire(stateToWire(state))).toBe(state);
  expect(Object.entries(WireState)).toContainEqual([state.toUpperCase(), stateToWire(state)]);
});

test("a number that is no state of this version is none", () => {
  for (const number of [0, 6, 7, 8, 10, 99, -1]) expect(stateFromWire(number)).toBeUndefined();
});
