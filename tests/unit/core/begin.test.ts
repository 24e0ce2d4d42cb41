// May a delivery start, and as which attempt: every state against every kind of delivery.
import { describe, expect, test } from "vitest";
import { type BeginCommand, decideBegin } from "../../../lib/core/begin.ts";
import { START_TO_CLOSE_GRACE_MS } from "../../../lib/core/expire.ts";
import type { TaskView } from "../../../lib/core/task.ts";
import { isTerminal, TASK_STATES } from "../../../lib/core/task-state.ts";
import { CREATED_MS, DISPATCH, EVENT, handedBack, OWNER, taskIn, type ViewChange } from "./views.ts";

const NOW = CREATED_MS + 10_000;

const FIRST: BeginCommand = {
  agentId: "me",
  dispatchSequence: DISPATCH,
  redelivery: false,
  deliveries: 1,
  fence: 0,
  attempt: 1,
  startMs: undefined,
  operationId: "mine",
};
const AGAIN: BeginCommand = { ...FIRST, redelivery: true, deliveries: 2 };

/** A decision in a word: the attempt, or why not. */
function inShort(view: TaskView, command: BeginCommand, nowMs = NOW): string {
  const decision = decideBegin(view, command, nowMs);
  if (decision.kind === "start") return `start ${decision.event.attempt}`;
  if (decision.kind === "started") return `started ${decision.attempt} @${decision.fence}`;
  if (decision.kind === "lease_lost") return "lease_lost";
  return `drop ${decision.reason}${decision.event === undefined ? "" : ` as ${decision.event.state}`}`;
}

// A retry: the second attempt was dispatched after the event of the first.
const RETRY: ViewChange = { dispatch: { sequence: 30, attempt: 2, fence: EVENT }, last: { state: "backing_off" } };
const retry = taskIn("backing_off", RETRY);

describe("a delivery", () => {
  test.for<[string, TaskView, string, string]>([
    ["waiting", taskIn("submitted"), "start 1", "start 2"],
    ["waiting, with begin required", taskIn("submitted", { dispatch: { beginRequired: true } }), "start 1", "start 1"],
    ["handed back", handedBack(1), "lease_lost", "start 1"],
    ["handed back after its second attempt", handedBack(2, { last: { attempt: 2 } }), "lease_lost", "start 2"],
    ["scheduled", taskIn("scheduled"), "drop STALE_DISPATCH", "drop STALE_DISPATCH"],
    ["working", taskIn("working"), "lease_lost", "start 2"],
    [
      "working on the last attempt",
      taskIn("working", { last: { attempt: 3 } }),
      "lease_lost",
      "drop ATTEMPTS_SPENT as failed",
    ],
    [
      "working on the only attempt",
      taskIn("working", { maximumAttempts: 1 }),
      "lease_lost",
      "drop ATTEMPTS_SPENT as failed",
    ],
    ["backing off", taskIn("backing_off"), "drop STALE_DISPATCH", "drop STALE_DISPATCH"],
    ["completed", taskIn("completed"), "drop TASK_ENDED", "drop TASK_ENDED"],
    ["failed", taskIn("failed"), "drop TASK_ENDED", "drop TASK_ENDED"],
    ["canceled", taskIn("canceled"), "drop TASK_ENDED", "drop TASK_ENDED"],
    ["timed out", taskIn("timed_out"), "drop TASK_ENDED", "drop TASK_ENDED"],
  ])("of a task that is %s", ([, view, first, again]) => {
    expect(inShort(view, FIRST)).toBe(first);
    expect(inShort(view, AGAIN)).toBe(again);
  });

  test.for([...TASK_STATES])("of another dispatch than the newest is stale in %s", (state) => {
    const expected = isTerminal(state) ? "drop TASK_ENDED" : "drop STALE_DISPATCH";
    for (const dispatchSequence of [DISPATCH - 1, DISPATCH + 1]) {
      expect(inShort(taskIn(state), { ...FIRST, dispatchSequence })).toBe(expected);
      expect(inShort(taskIn(state), { ...AGAIN, dispatchSequence })).toBe(expected);
    }
  });

  test.for(TASK_STATES.filter(isTerminal))(
    "of an ended task is dropped even if the dispatch is newer than %s",
    (state) => {
      const view = taskIn(state, { dispatch: { sequence: 30, attempt: 2, fence: EVENT } });
      expect(inShort(view, { ...FIRST, dispatchSequence: 30, fence: EVENT, attempt: 2 })).toBe("drop TASK_ENDED");
      expect(inShort(view, { ...AGAIN, dispatchSequence: 30 })).toBe("drop TASK_ENDED");
    },
  );

  test("of a retry starts its attempt with the token of the retry", () => {
    const command = { ...FIRST, dispatchSequence: 30, fence: EVENT, attempt: 2 };
    expect(inShort(retry, command)).toBe("start 2");
    expect(inShort(retry, { ...command, fence: 0 })).toBe("lease_lost");
    expect(inShort(retry, { ...command, attempt: 1 })).toBe("lease_lost");
    expect(inShort(retry, { ...command, redelivery: true })).toBe("start 3");
  });

  test("may not claim to be a first one with the token of somebody's running attempt", () => {
    expect(inShort(taskIn("working"), { ...FIRST, fence: EVENT })).toBe("lease_lost");
    expect(inShort(handedBack(1), { ...FIRST, fence: EVENT })).toBe("lease_lost");
  });
});

describe("a repeated begin", () => {
  const begun = taskIn("working", { last: { operationId: "mine", agentId: "me" } });

  test("is answered with what stands", () => {
    expect(inShort(begun, FIRST)).toBe(`started 1 @${EVENT}`);
    expect(inShort(begun, AGAIN)).toBe(`started 1 @${EVENT}`);
    expect(inShort(begun, { ...FIRST, dispatchSequence: 99 })).toBe(`started 1 @${EVENT}`);
  });

  test("is refused once another agent took the attempt over", () => {
    expect(inShort(taskIn("working"), FIRST)).toBe("lease_lost");
  });

  test("of a task that ended meanwhile is dropped", () => {
    expect(inShort(taskIn("timed_out", { last: { operationId: "mine" } }), FIRST)).toBe("drop TASK_ENDED");
  });
});

describe("the event of a start", () => {
  function started(view: TaskView, command: BeginCommand) {
    const decision = decideBegin(view, command, NOW);
    if (decision.kind !== "start") throw new Error(decision.kind);
    return decision.event;
  }

  test("names the agent, the attempt, the next one and the dispatch", () => {
    expect(started(taskIn("submitted"), FIRST)).toMatchObject({
      state: "working",
      attempt: 1,
      nextAttempt: 2,
      agentId: "me",
      ended: undefined,
      failure: undefined,
      dispatchSequence: DISPATCH,
    });
  });

  test("ends the attempt of the agent that was lost, so that its outputs are fenced", () => {
    expect(started(taskIn("working"), AGAIN)).toMatchObject({
      attempt: 2,
      ended: { attempt: 1, agentId: OWNER, outputSequence: undefined },
      failure: { reason: "AGENT_LOST", source: "mesh", retryable: true },
    });
  });

  test("ends nothing if it follows a hand-back", () => {
    expect(started(handedBack(2), AGAIN)).toMatchObject({ attempt: 2, nextAttempt: 3, ended: undefined });
  });

  test.for<[string, number | undefined, number]>([
    ["unset", undefined, NOW],
    ["just now", NOW - 5, NOW - 5],
    ["as early as the grace reaches", NOW - START_TO_CLOSE_GRACE_MS, NOW - START_TO_CLOSE_GRACE_MS],
    ["an hour ago, by a clock that is behind", NOW - 3_600_000, NOW - START_TO_CLOSE_GRACE_MS],
    ["in an hour, by a clock that is ahead", NOW + 3_600_000, NOW],
  ])("takes the start time from the agent within bounds: %s", ([, startMs, expected]) => {
    expect(started(taskIn("submitted"), { ...FIRST, startMs }).attemptStartMs).toBe(expected);
  });
});

describe("a redelivery after a deadline", () => {
  const toClose = { scheduleToCloseMs: 10_000 };

  test.for<[string, TaskView]>([
    ["waits", taskIn("submitted", { timeouts: toClose })],
    ["runs", taskIn("working", { timeouts: toClose })],
    ["was handed back", handedBack(1, { timeouts: toClose })],
    ["never started in time", taskIn("submitted", { timeouts: { scheduleToStartMs: 10_000 } })],
  ])("ends a task that %s", ([, view]) => {
    expect(inShort(view, AGAIN, NOW)).toBe("drop TASK_ENDED as timed_out");
    expect(inShort(view, AGAIN, NOW - 1)).toMatch(/^start /);
  });

  test("starts a task that has met schedule_to_start", () => {
    expect(inShort(taskIn("working", { timeouts: { scheduleToStartMs: 1 } }), AGAIN)).toBe("start 2");
  });
});

test("a delivery that is over takes no lease away from a later one", () => {
  const later = { last: { deliveries: 3, agentId: "other" } };
  for (const view of [taskIn("working", later), taskIn("submitted", { last: { ...later.last, state: "submitted" } })]) {
    expect(inShort(view, AGAIN)).toBe("lease_lost");
    expect(inShort(view, { ...AGAIN, deliveries: 3 })).toBe("lease_lost");
    expect(inShort(view, { ...AGAIN, deliveries: 4 })).toMatch(/^start /);
  }
  // What is known of an earlier dispatch says nothing of this one.
  const retried = taskIn("backing_off", {
    dispatch: { sequence: 30, attempt: 2, fence: EVENT },
    last: { deliveries: 9 },
  });
  expect(inShort(retried, { ...AGAIN, dispatchSequence: 30 })).toMatch(/^start /);
});
