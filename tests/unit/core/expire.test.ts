// What each timer does in each state: early, when it is due, and late.
import { describe, expect, test } from "vitest";
import {
  attemptLimitMs,
  decideAttemptLimit,
  decideDeadline,
  decideDispatch,
  START_TO_CLOSE_GRACE_MS,
  TIMER_SLACK_MS,
  timeOutTask,
} from "../../../lib/core/expire.ts";
import { beginRequiredFor, deadlinesOf, stateOf, type TaskView } from "../../../lib/core/task.ts";
import { isTerminal, TASK_STATES, type TaskState } from "../../../lib/core/task-state.ts";
import { CREATED_MS, EVENT, handedBack, OWNER, taskIn } from "./views.ts";

const NOTHING = { kind: "nothing" };
const OPEN = TASK_STATES.filter((state) => !isTerminal(state));
const LATE_MS = 1_000_000_000;

describe("a deadline's timer", () => {
  const close = { scheduleToCloseMs: 60_000 };
  const closeMs = CREATED_MS + 60_000;

  test.for([...TASK_STATES])("of schedule_to_close in %s", (state) => {
    const view = taskIn(state, { timeouts: close });
    const early = isTerminal(state) ? NOTHING : { kind: "rearm", atMs: closeMs };
    expect(decideDeadline(view, CREATED_MS)).toEqual(early);
    expect(decideDeadline(view, closeMs - 1)).toEqual(early);
    const due = { kind: "write", event: { state: "timed_out", failure: { reason: "SCHEDULE_TO_CLOSE_TIMEOUT" } } };
    for (const nowMs of [closeMs, closeMs + LATE_MS]) {
      expect(decideDeadline(view, nowMs)).toMatchObject(isTerminal(state) ? NOTHING : due);
    }
  });

  test.for<[string, TaskView, boolean]>([
    ["waits", taskIn("submitted", { timeouts: { scheduleToStartMs: 1_000 } }), true],
    ["is scheduled", taskIn("scheduled", { timeouts: { scheduleToStartMs: 1_000 } }), true],
    [
      "was handed back unstarted",
      handedBack(1, { timeouts: { scheduleToStartMs: 1_000 }, last: { attempt: 0 } }),
      true,
    ],
    ["was handed back", handedBack(1, { timeouts: { scheduleToStartMs: 1_000 } }), false],
    ["runs", taskIn("working", { timeouts: { scheduleToStartMs: 1_000 } }), false],
    ["backs off", taskIn("backing_off", { timeouts: { scheduleToStartMs: 1_000 } }), false],
  ])("of schedule_to_start if the task %s", ([, view, counts]) => {
    const atMs = CREATED_MS + 1_000;
    expect(decideDeadline(view, atMs - 1)).toEqual(counts ? { kind: "rearm", atMs } : NOTHING);
    expect(decideDeadline(view, atMs)).toMatchObject(
      counts ? { kind: "write", event: { failure: { reason: "SCHEDULE_TO_START_TIMEOUT" } } } : NOTHING,
    );
  });

  test("that comes early looks again at the next deadline that can still be missed", () => {
    const both = { scheduleToStartMs: 1_000, scheduleToCloseMs: 9_000 };
    expect(decideDeadline(taskIn("submitted", { timeouts: both }), CREATED_MS)).toMatchObject({
      atMs: CREATED_MS + 1_000,
    });
    expect(decideDeadline(taskIn("working", { timeouts: both }), CREATED_MS)).toMatchObject({
      atMs: CREATED_MS + 9_000,
    });
  });

  test("does nothing to a task without deadlines", () => {
    for (const state of OPEN) expect(decideDeadline(taskIn(state), CREATED_MS + LATE_MS)).toEqual(NOTHING);
  });

  test("counts from the start time of a delayed task", () => {
    const startMs = CREATED_MS + 3_600_000;
    const timeouts = { scheduleToStartMs: 2_000, scheduleToCloseMs: 5_000 };
    expect(deadlinesOf(taskIn("scheduled", { startMs, timeouts })).map(({ atMs }) => atMs - startMs)).toEqual([
      2_000, 5_000,
    ]);
    expect(deadlinesOf(taskIn("submitted", { startMs: 1, timeouts })).map(({ atMs }) => atMs - CREATED_MS)).toEqual([
      2_000, 5_000,
    ]);
  });

  test("ends the running attempt, and none where none runs", () => {
    expect(timeOutTask(taskIn("working"), "schedule_to_close").ended).toEqual({
      attempt: 1,
      agentId: OWNER,
      outputSequence: undefined,
    });
    expect(timeOutTask(taskIn("submitted"), "retention")).toMatchObject({
      state: "timed_out",
      ended: undefined,
      failure: { reason: "RETENTION_TIMEOUT", retryable: false, source: "timeout" },
    });
  });
});

describe("the timer of a wait", () => {
  const atMs = CREATED_MS + 5_000;
  const waiting: Partial<Record<TaskState, object>> = {
    scheduled: { kind: "dispatch", attempt: 1, fence: 0 },
    backing_off: { kind: "dispatch", attempt: 2, fence: EVENT },
  };

  test.for([...TASK_STATES])("in %s", (state) => {
    const view = taskIn(state, { startMs: atMs });
    const due = waiting[state] ?? NOTHING;
    const early = waiting[state] === undefined ? NOTHING : { kind: "rearm", atMs };
    expect(decideDispatch(view, CREATED_MS)).toEqual(early);
    expect(decideDispatch(view, atMs - TIMER_SLACK_MS - 1)).toEqual(early);
    for (const nowMs of [atMs - TIMER_SLACK_MS, atMs, atMs + LATE_MS]) expect(decideDispatch(view, nowMs)).toEqual(due);
  });

  test("does nothing once the retry was dispatched", () => {
    const dispatched = taskIn("backing_off", { dispatch: { sequence: EVENT + 1, attempt: 2, fence: EVENT } });
    expect(stateOf(dispatched)).toBe("submitted");
    expect(decideDispatch(dispatched, atMs)).toEqual(NOTHING);
  });
});

describe("the timer of a running attempt", () => {
  const limitMs = CREATED_MS + 30_000 + START_TO_CLOSE_GRACE_MS;

  test("does in backing_off what the timer of the next attempt may have died before doing", () => {
    const view = taskIn("backing_off");
    expect(decideAttemptLimit(view, limitMs, 0.5)).toEqual(decideDispatch(view, limitMs));
    expect(decideAttemptLimit(view, limitMs, 0.5).kind).toBe("dispatch");
    expect(decideAttemptLimit(view, CREATED_MS, 0.5).kind).toBe("rearm");
  });

  test.for(TASK_STATES.filter((state) => state !== "backing_off"))("in %s", (state) => {
    const view = taskIn(state);
    const working = state === "working";
    expect(attemptLimitMs(view, CREATED_MS)).toBe(limitMs);
    expect(decideAttemptLimit(view, limitMs - 1, 0.5)).toEqual(working ? { kind: "rearm", atMs: limitMs } : NOTHING);
    for (const nowMs of [limitMs, limitMs + LATE_MS]) {
      const written = {
        kind: "write",
        event: {
          state: "backing_off",
          attempt: 1,
          nextAttempt: 2,
          nextAttemptMs: nowMs + 5_000,
          failure: { reason: "START_TO_CLOSE_TIMEOUT", source: "timeout", retryable: true },
          ended: { attempt: 1, agentId: OWNER, outputSequence: undefined },
        },
      };
      expect(decideAttemptLimit(view, nowMs, 0.5)).toMatchObject(working ? written : NOTHING);
    }
  });

  test("fails the task if it was the last attempt", () => {
    const last = taskIn("working", { maximumAttempts: 1 });
    expect(decideAttemptLimit(last, limitMs, 0.5)).toMatchObject({ event: { state: "failed", nextAttempt: 0 } });
  });
});

describe("the state", () => {
  test.for(TASK_STATES.filter(isTerminal))("%s wins over a later dispatch, a delayed one included", (state) => {
    for (const queue of ["echo", "_delayed", "_withdrawn"]) {
      expect(stateOf(taskIn(state, { dispatch: { sequence: EVENT + 1, queue } }))).toBe(state);
    }
  });
});

test("only the last attempt of a policy must be recorded before it starts", () => {
  const policy = taskIn("submitted", { maximumAttempts: 3 }).policy;
  expect([1, 2, 3, 4].map((attempt) => beginRequiredFor(policy, attempt))).toEqual([false, false, true, true]);
});
