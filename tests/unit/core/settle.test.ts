// How an attempt's end moves the task: every outcome against every token, seen or unseen; and cancellation in every state.
import { describe, expect, test } from "vitest";
import {
  completion,
  decideCancel,
  decideSettle,
  type SettleCommand,
  type SettleOutcome,
} from "../../../lib/core/settle.ts";
import type { TaskView } from "../../../lib/core/task.ts";
import { canFollow, isTerminal, TASK_STATES } from "../../../lib/core/task-state.ts";
import { aFailure, CREATED_MS, DISPATCH, EVENT, handedBack, OWNER, taskIn } from "./views.ts";

const NOW = CREATED_MS + 10_000;
const MIDDLE = 0.5;

const OUTCOMES: Readonly<Record<string, SettleOutcome>> = {
  fail: { kind: "fail", failure: aFailure() },
  fail_for_good: { kind: "fail", failure: aFailure({ retryable: false }) },
  retry_after: { kind: "retry_after", delayMs: 700, failure: aFailure() },
  snooze: { kind: "snooze", delayMs: 900 },
  hand_back_started: { kind: "hand_back", started: true },
  hand_back_unstarted: { kind: "hand_back", started: false },
};
const NAMES = Object.keys(OUTCOMES);

function command(outcome: SettleOutcome, change: Partial<SettleCommand> = {}): SettleCommand {
  return {
    agentId: OWNER,
    dispatchSequence: DISPATCH,
    attempt: 1,
    fence: 0,
    deliveries: 1,
    startMs: NOW - 100,
    outputSequence: 7,
    operationId: "mine",
    outcome,
    ...change,
  };
}

function decide(view: TaskView, settle: SettleCommand) {
  return decideSettle(view, settle, NOW, MIDDLE);
}

function written(view: TaskView, settle: SettleCommand) {
  const decision = decide(view, settle);
  if (decision.kind !== "write") throw new Error(decision.kind);
  return decision.event;
}

test("a report without a start keeps the start that was recorded, but not an earlier attempt's", () => {
  const outcomes = NAMES.filter((name) => name !== "hand_back_unstarted").map((name) => OUTCOMES[name]!);
  const later = taskIn("backing_off", { dispatch: { sequence: EVENT + 1, attempt: 2, fence: EVENT } });
  for (const outcome of outcomes) {
    const begun = command(outcome, { fence: EVENT, startMs: undefined });
    expect(written(taskIn("working"), begun).attemptStartMs).toBe(CREATED_MS);
    const unseen = command(outcome, { fence: EVENT, startMs: undefined, attempt: 2, dispatchSequence: EVENT + 1 });
    expect(written(later, unseen).attemptStartMs).toBeUndefined();
  }
});

describe.for<[string, TaskView, number]>([
  ["that nobody recorded", taskIn("submitted"), 0],
  ["that was begun", taskIn("working"), EVENT],
])("an attempt %s", ([, view, fence]) => {
  const ended = { attempt: 1, agentId: OWNER, outputSequence: 7 };
  const ran = { attempt: 1, agentId: OWNER, attemptStartMs: NOW - 100, ended, dispatchSequence: DISPATCH };

  test.for<[string, object]>([
    ["fail", { state: "backing_off", nextAttempt: 2, nextAttemptMs: NOW + 5_000, failure: aFailure(), ...ran }],
    ["fail_for_good", { state: "failed", nextAttempt: 0, failure: aFailure({ retryable: false }), ...ran }],
    ["retry_after", { state: "backing_off", nextAttempt: 2, nextAttemptMs: NOW + 700, failure: aFailure(), ...ran }],
    ["snooze", { state: "backing_off", nextAttempt: 1, nextAttemptMs: NOW + 900, failure: undefined, ...ran }],
    ["hand_back_started", { state: "submitted", nextAttempt: 1, nextAttemptMs: undefined, ...ran }],
    ["hand_back_unstarted", { state: "submitted", nextAttempt: 1, ended: fence === 0 ? undefined : ended }],
  ])("settles: %s", ([name, expected]) => {
    expect(written(view, command(OUTCOMES[name]!, { fence }))).toMatchObject(expected);
  });

  test.for(NAMES)("is refused with another token, or as another attempt: %s", (name) => {
    for (const stale of [fence - 1, fence + 1]) {
      expect(decide(view, command(OUTCOMES[name]!, { fence: stale })).kind).toBe("lease_lost");
    }
    expect(decide(view, command(OUTCOMES[name]!, { fence, attempt: 2 })).kind).toBe("lease_lost");
  });

  test.for(NAMES)("answers a repeated report with what stands, whatever its token: %s", (name) => {
    const stands = taskIn("backing_off", { last: { operationId: "mine" } });
    expect(decide(stands, command(OUTCOMES[name]!, { fence: 0 }))).toEqual({ kind: "written", fence: EVENT });
  });
});

describe("a token that matches", () => {
  test.for(NAMES)("is not enough for another agent than the one at work: %s", (name) => {
    const other = command(OUTCOMES[name]!, { fence: EVENT, agentId: "other" });
    expect(decide(taskIn("working"), other).kind).toBe("lease_lost");
  });

  test.for(TASK_STATES.filter((state) => state !== "working" && state !== "submitted"))(
    "moves nothing in %s",
    (state) => {
      for (const name of NAMES) {
        const fence = state === "scheduled" ? 0 : EVENT;
        expect(decide(taskIn(state), command(OUTCOMES[name]!, { fence })).kind).toBe("lease_lost");
      }
    },
  );

  test.for(NAMES)("moves nothing after a hand-back: %s", (name) => {
    const kind = name === "hand_back_unstarted" ? "let_go" : "lease_lost";
    expect(decide(handedBack(1), command(OUTCOMES[name]!, { fence: EVENT })).kind).toBe(kind);
  });

  test("lets go of what was handed back before, whatever token the agent holds, but not of an older dispatch", () => {
    const unstarted = OUTCOMES["hand_back_unstarted"]!;
    expect(decide(handedBack(1), command(unstarted, { fence: 0 }))).toEqual({ kind: "let_go", fence: EVENT });
    expect(decide(handedBack(1), command(unstarted, { dispatchSequence: 9 })).kind).toBe("lease_lost");
  });

  test("of a retry settles the retry's attempt", () => {
    const retry = taskIn("backing_off", { dispatch: { sequence: 30, attempt: 2, fence: EVENT } });
    const settle = command(OUTCOMES["fail"]!, { fence: EVENT, attempt: 2, agentId: "other", dispatchSequence: 30 });
    expect(decide(retry, { ...settle, dispatchSequence: DISPATCH }).kind).toBe("lease_lost");
    expect(written(retry, settle)).toMatchObject({ state: "backing_off", attempt: 2, nextAttempt: 3 });
  });
});

describe("a hand-back of what is said never to have started", () => {
  const unstarted = OUTCOMES["hand_back_unstarted"]!;

  test("leaves the task as unstarted as it was", () => {
    const event = written(taskIn("submitted"), command(unstarted));
    expect(event).toMatchObject({ attempt: 0, agentId: "", attemptStartMs: undefined });
  });

  test("counts the earlier delivery as spent, which may have run unseen", () => {
    expect(written(taskIn("submitted"), command(unstarted, { deliveries: 2 })).nextAttempt).toBe(2);
  });

  test("counts no earlier delivery where nobody could run unseen", () => {
    const view = taskIn("submitted", { dispatch: { beginRequired: true } });
    expect(written(view, command(unstarted, { deliveries: 2 })).nextAttempt).toBe(1);
  });

  test("ends an attempt that was begun: its outputs count up to the one that is named", () => {
    const event = written(taskIn("working"), command(unstarted, { fence: EVENT }));
    expect(event.ended).toEqual({ attempt: 1, agentId: OWNER, outputSequence: 7 });
  });

  test("gives back the number that begin gave out, not the dispatch's", () => {
    const view = taskIn("working", { last: { attempt: 2, nextAttempt: 3 } });
    const settle = command(unstarted, { fence: EVENT, attempt: 2, deliveries: 2 });
    expect(written(view, settle).nextAttempt).toBe(2);
  });
});

describe("a failed attempt", () => {
  test.for<[string, TaskView, SettleOutcome, string]>([
    ["the last attempt", taskIn("submitted", { maximumAttempts: 1 }), OUTCOMES["fail"]!, "failed"],
    [
      "the last attempt, by its own wish",
      taskIn("submitted", { maximumAttempts: 1 }),
      OUTCOMES["retry_after"]!,
      "failed",
    ],
    [
      "a reason of the policy",
      taskIn("submitted", { nonRetryableReasons: ["HANDLER_ERROR"] }),
      OUTCOMES["fail"]!,
      "failed",
    ],
    ["another reason", taskIn("submitted", { nonRetryableReasons: ["OTHER"] }), OUTCOMES["fail"]!, "backing_off"],
    ["the last attempt, snoozed", taskIn("submitted", { maximumAttempts: 1 }), OUTCOMES["snooze"]!, "backing_off"],
  ])("after %s", ([, view, outcome, state]) => {
    expect(written(view, command(outcome)).state).toBe(state);
  });

  test("that asks for another attempt gets it, whatever its failure says of itself", () => {
    const outcome = { kind: "retry_after", delayMs: 0, failure: aFailure({ retryable: false }) } as const;
    expect(written(taskIn("submitted"), command(outcome))).toMatchObject({ state: "backing_off", nextAttemptMs: NOW });
  });
});

test("a completion carries the attempt and its last output, and leaves the token to the broker", () => {
  expect(
    completion({ agentId: "me", dispatchSequence: DISPATCH, deliveries: 1, attempt: 2, startMs: 5, outputSequence: 9 }),
  ).toMatchObject({
    state: "completed",
    attempt: 2,
    nextAttempt: 0,
    agentId: "me",
    attemptStartMs: 5,
    ended: { attempt: 2, agentId: "me", outputSequence: 9 },
  });
});

describe("a cancellation", () => {
  test.for([...TASK_STATES])("in %s", (state) => {
    const decision = decideCancel(taskIn(state), "enough");
    if (state === "canceled") expect(decision.kind).toBe("canceled");
    else if (isTerminal(state)) expect(decision.kind).toBe("not_cancelable");
    else {
      expect(decision).toMatchObject({
        kind: "write",
        event: { state: "canceled", cancelReason: "enough", nextAttempt: 0 },
      });
      expect(canFollow(state, "canceled")).toBe(true);
    }
  });

  test("ends the running attempt, if one runs", () => {
    const running = decideCancel(taskIn("working"), "");
    expect(running).toMatchObject({ event: { ended: { attempt: 1, agentId: OWNER, outputSequence: undefined } } });
    expect(decideCancel(taskIn("backing_off"), "")).toMatchObject({ event: { ended: undefined } });
  });
});
