import { describe, expect, test } from "vitest";
import { START_TO_CLOSE_GRACE_MS } from "../../../lib/core/expire.ts";
import type { TaskView } from "../../../lib/core/task.ts";
import { TASK_STATES, isTerminal } from "../../../lib/core/task-state.ts";
import { lostTimers, nextDueMs, TIMER_GRACE_MS, timersOf, type TaskTimer } from "../../../lib/core/task-timers.ts";
import { CREATED_MS, handedBack, taskIn } from "./views.ts";

const DEADLINES = { scheduleToStartMs: 60_000, scheduleToCloseMs: 90_000 };
const START = { name: "schedule_to_start", atMs: CREATED_MS + 60_000 } as const;
const CLOSE = { name: "schedule_to_close", atMs: CREATED_MS + 90_000 } as const;
const LIMIT = { name: "start_to_close", atMs: CREATED_MS + 30_000 + START_TO_CLOSE_GRACE_MS } as const;
const BACKOFF = { name: "dispatch", atMs: CREATED_MS + 5_000 } as const;

describe("which timers must stand", () => {
  test.for<[string, TaskView, readonly TaskTimer[]]>([
    ["none for a task that waits for an agent without any deadline", taskIn("submitted"), []],
    ["both deadlines of one that waits", taskIn("submitted", { timeouts: DEADLINES }), [START, CLOSE]],
    [
      "deadlines of a delayed task count from its start, at which it is dispatched",
      taskIn("scheduled", { timeouts: DEADLINES, startMs: CREATED_MS + 1_000 }),
      [
        { ...START, atMs: START.atMs + 1_000 },
        { ...CLOSE, atMs: CLOSE.atMs + 1_000 },
        { name: "dispatch", atMs: CREATED_MS + 1_000 },
      ],
    ],
    ["a delayed task that says no start is to start at once", taskIn("scheduled"), [{ ...BACKOFF, atMs: CREATED_MS }]],
    ["the limit of a running attempt", taskIn("working"), [LIMIT]],
    ["whoever has started has met the first deadline", taskIn("working", { timeouts: DEADLINES }), [CLOSE, LIMIT]],
    [
      "an attempt whose start is not known has no limit",
      taskIn("working", { last: { attemptStartMs: undefined } }),
      [],
    ],
    ["the next attempt of a task that backs off", taskIn("backing_off"), [BACKOFF]],
    ["with its deadline", taskIn("backing_off", { timeouts: DEADLINES }), [CLOSE, BACKOFF]],
    [
      "a backoff that says no time is over at once",
      taskIn("backing_off", { last: { nextAttemptMs: undefined } }),
      [{ ...BACKOFF, atMs: CREATED_MS }],
    ],
    ["none of a backoff that was dispatched", taskIn("backing_off", { dispatch: { sequence: 30 } }), []],
    ["none of what was handed back", handedBack(1), []],
  ])("%s", ([, view, timers]) => {
    expect(timersOf(view)).toEqual(timers);
    expect(nextDueMs(view)).toBe(timers.length === 0 ? undefined : Math.min(...timers.map(({ atMs }) => atMs)));
  });

  test.for(TASK_STATES.filter(isTerminal))("none once a task is %s", (state) => {
    expect(timersOf(taskIn(state, { timeouts: DEADLINES, startMs: CREATED_MS }))).toEqual([]);
  });
});

test("a timer is lost when it is late by the grace, whatever else is still to come", () => {
  const view = taskIn("backing_off", { timeouts: DEADLINES });
  const lateMs = BACKOFF.atMs + TIMER_GRACE_MS;
  expect(lostTimers(view, lateMs - 1)).toEqual([]);
  expect(lostTimers(view, lateMs)).toEqual([BACKOFF]);
  expect(lostTimers(view, CLOSE.atMs + TIMER_GRACE_MS)).toEqual([CLOSE, BACKOFF]);
});
