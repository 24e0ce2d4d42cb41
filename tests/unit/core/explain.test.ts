import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  explain,
  type ExplainAgent,
  type ExplainFacts,
  type Reason,
  type RunningDeadline,
} from "../../../lib/core/explain.ts";
import { sentenceOf } from "../../../lib/wire/explanation-text.ts";
import type { TaskView } from "../../../lib/core/task.ts";
import { isTerminal, TASK_STATES } from "../../../lib/core/task-state.ts";
import { CREATED_MS, handedBack, OWNER, taskIn } from "./views.ts";

const NOW_MS = CREATED_MS + 2_000;
const PAUSE = { sinceMs: CREATED_MS, untilMs: undefined, reason: "deploy" };

function agent(agentId: string, change: Partial<ExplainAgent> = {}): ExplainAgent {
  const capabilities = [{ type: "resize", queue: "images" }];
  return { agentId, concurrency: 2, running: 0, draining: false, capabilities, ...change };
}

function facts(view: TaskView, change: Partial<ExplainFacts> = {}): ExplainFacts {
  return {
    view,
    type: "resize",
    queue: "images",
    agents: [agent("a")],
    pause: undefined,
    lane: { deliveredSequence: view.dispatch.sequence - 1, before: 0, higher: 0 },
    eventMs: CREATED_MS + 1_000,
    failure: undefined,
    cancelReason: "",
    redrivenBy: "",
    leaseMs: 30_000,
    nowMs: NOW_MS,
    ...change,
  };
}

const said = (given: ExplainFacts): string[] => explain(given).reasons.map(sentenceOf);
const codes = (given: ExplainFacts): string[] => explain(given).reasons.map(({ code }) => code);
const iso = (ms: number): string => new Date(ms).toISOString();

const waits = taskIn("submitted");
const delivered = { deliveredSequence: waits.dispatch.sequence, before: 0, higher: 0 };
const FAILURE = { reason: "HANDLER_ERROR", message: "no such file" };

describe("why a task is where it is", () => {
  test.for<[what: string, given: ExplainFacts, sentences: readonly string[]]>([
    [
      "an agent with a free slot gets it next",
      facts(waits, { agents: [agent("a", { running: 1 }), agent("b")] }),
      ["nothing stands in its way: 3 slots of 2 agents free"],
    ],
    [
      "nobody is registered",
      facts(waits, { agents: [] }),
      ["no registered agent takes tasks of type resize from queue images"],
    ],
    [
      "those who could are draining, and the others of the queue lack the type",
      facts(waits, {
        agents: [
          agent("a", { draining: true }),
          agent("b", { capabilities: [{ type: "crop", queue: "images" }] }),
          agent("c", { capabilities: [{ type: "crop", queue: "images" }] }),
          agent("d", { capabilities: [{ type: "resize", queue: "resize" }] }),
        ],
      }),
      [
        "no registered agent takes tasks of type resize from queue images" +
          " (1 agent that could is draining; 2 agents of that queue lack the type)",
      ],
    ],
    [
      "the only agent is busy",
      facts(waits, { agents: [agent("a", { running: 2 })] }),
      ["the only agent that can run it is busy: 2 of 2 slots taken"],
    ],
    [
      "all agents are busy, and others come first",
      facts(waits, {
        agents: [agent("a", { running: 2 }), agent("b", { running: 2 })],
        lane: { deliveredSequence: 0, before: 3, higher: 4 },
      }),
      ["all 2 agents that can run it are busy: 4 of 4 slots taken", "7 tasks come first"],
    ],
    [
      "its queue is paused until somebody resumes it",
      facts(waits, { pause: PAUSE, lane: { deliveredSequence: 0, before: 1, higher: 0 } }),
      [`queue images is paused since ${iso(CREATED_MS)}, until it is resumed (deploy)`, "1 task comes first"],
    ],
    [
      "its queue is paused for a while",
      facts(waits, { pause: { ...PAUSE, untilMs: NOW_MS + 1, reason: "" } }),
      [`queue images is paused since ${iso(CREATED_MS)}, until ${iso(NOW_MS + 1)}`],
    ],
    [
      "a pause that is over is none",
      facts(waits, { pause: { ...PAUSE, untilMs: NOW_MS } }),
      ["nothing stands in its way: 2 slots of 1 agent free"],
    ],
    [
      "an agent has it and says nothing yet",
      facts(waits, { agents: [agent("a", { running: 2 })], lane: delivered }),
      [
        "an agent was given it and has not reported its start;" +
          " if the agent is lost, another gets it when the lease ends",
      ],
    ],
    [
      "what was handed back waits as any other",
      facts(handedBack(1), {
        agents: [agent("a", { running: 2 })],
        lane: { ...delivered, deliveredSequence: handedBack(1).dispatch.sequence },
      }),
      [
        "an agent handed it back; the next one with a free slot gets it",
        "the only agent that can run it is busy: 2 of 2 slots taken",
      ],
    ],
    [
      "a lane that is not there holds nobody up",
      facts(waits, { lane: undefined }),
      ["nothing stands in its way: 2 slots of 1 agent free"],
    ],
    [
      "it waits for its start, and its queue is paused, and nobody will be there",
      facts(taskIn("scheduled", { startMs: NOW_MS + 5 }), { pause: PAUSE, agents: [] }),
      [
        `it waits for its start time, ${iso(NOW_MS + 5)}`,
        `queue images is paused since ${iso(CREATED_MS)}, until it is resumed (deploy)`,
        "no registered agent takes tasks of type resize from queue images",
      ],
    ],
    [
      "it waits for its next attempt",
      facts(taskIn("backing_off"), { failure: FAILURE }),
      [`attempt 1 failed (HANDLER_ERROR: no such file); attempt 2 comes at ${iso(CREATED_MS + 5_000)}`],
    ],
    [
      "it was put off by its own handler",
      facts(taskIn("backing_off", { last: { nextAttempt: 1 } })),
      [`attempt 1 put it off; attempt 1 comes at ${iso(CREATED_MS + 5_000)}`],
    ],
    [
      "an agent is at work, busy or draining",
      facts(taskIn("working"), { agents: [agent(OWNER, { draining: true })], pause: PAUSE }),
      [`agent owner runs attempt 1 since ${iso(CREATED_MS)}; the attempt may last until ${iso(CREATED_MS + 30_000)}`],
    ],
    [
      "the agent at work was lost, and nobody else is there",
      facts(taskIn("working"), { agents: [] }),
      [
        "agent owner, which ran attempt 1, is no longer registered; the task goes to another one when the lease ends," +
          ` by ${iso(NOW_MS + 30_000)} at the latest`,
        "no registered agent takes tasks of type resize from queue images",
      ],
    ],
    ["it was completed", facts(taskIn("completed")), [`it was completed at ${iso(CREATED_MS + 1_000)}`]],
    [
      "it failed, and was redriven",
      facts(taskIn("failed"), { failure: FAILURE, redrivenBy: "again" }),
      [`it failed for good at ${iso(CREATED_MS + 1_000)} (HANDLER_ERROR: no such file); redriven as again`],
    ],
    [
      "it was canceled",
      facts(taskIn("canceled"), { cancelReason: "not needed", eventMs: undefined, pause: PAUSE }),
      ["it was canceled (not needed)"],
    ],
    [
      "it timed out",
      facts(taskIn("timed_out"), { failure: { reason: "SCHEDULE_TO_START_TIMEOUT", message: "no attempt started" } }),
      [`it timed out at ${iso(CREATED_MS + 1_000)} (SCHEDULE_TO_START_TIMEOUT: no attempt started)`],
    ],
  ])("%s", ([, given, sentences]) => {
    expect(said(given)).toEqual(sentences);
  });
});

describe("the time limit that passes next", () => {
  const timeouts = { scheduleToStartMs: 60_000, scheduleToCloseMs: 90_000 };
  test.for<[what: string, view: TaskView, deadline: RunningDeadline | undefined]>([
    ["none without any", waits, undefined],
    [
      "the first of those of a task that waits, which ends it",
      taskIn("submitted", { timeouts }),
      { kind: "schedule_to_start", atMs: CREATED_MS + 60_000, endsTask: true },
    ],
    [
      "the attempt's, after which another one follows",
      taskIn("working", { timeouts, maximumAttempts: 2 }),
      { kind: "start_to_close", atMs: CREATED_MS + 30_000, endsTask: false },
    ],
    [
      "the last attempt's, which ends the task",
      taskIn("working", { timeouts, maximumAttempts: 1 }),
      { kind: "start_to_close", atMs: CREATED_MS + 30_000, endsTask: true },
    ],
    [
      "the whole task's, if it passes before the attempt's",
      taskIn("working", { timeouts: { ...timeouts, scheduleToCloseMs: 20_000 } }),
      { kind: "schedule_to_close", atMs: CREATED_MS + 20_000, endsTask: true },
    ],
    ["none once it has ended", taskIn("completed", { timeouts }), undefined],
  ])("is %s", ([, view, deadline]) => {
    expect(explain(facts(view)).deadline).toEqual(deadline);
  });
});

test("whatever the facts are, there is a reason, each says something, and none is said twice", () => {
  const anyAgent = fc.record({
    agentId: fc.constantFrom("a", "b", OWNER),
    concurrency: fc.integer({ min: 1, max: 5 }),
    running: fc.integer({ min: 0, max: 9 }),
    draining: fc.boolean(),
    capabilities: fc.array(
      fc.record({ type: fc.constantFrom("resize", "crop"), queue: fc.constantFrom("images", "other") }),
      { minLength: 1, maxLength: 3 },
    ),
  });
  const anyPause = fc.option(
    fc.record({
      sinceMs: fc.constant(CREATED_MS),
      untilMs: fc.option(fc.integer({ min: NOW_MS - 5, max: NOW_MS + 5 }), { nil: undefined }),
      reason: fc.string(),
    }),
    { nil: undefined },
  );
  const anyLane = fc.option(fc.record({ deliveredSequence: fc.nat(30), before: fc.nat(3), higher: fc.nat(3) }), {
    nil: undefined,
  });
  fc.assert(
    fc.property(
      fc.constantFrom(...TASK_STATES),
      fc.array(anyAgent, { maxLength: 4 }),
      anyPause,
      anyLane,
      (state, agents, pause, lane) => {
        const given = facts(taskIn(state), { agents, pause, lane });
        const { reasons, deadline } = explain(given);
        expect(new Set(codes(given)).size).toBe(reasons.length);
        for (const reason of reasons) expect(sentenceOf(reason)).not.toMatch(/undefined|NaN|\.$/);
        const found = (code: Reason["code"]): boolean => reasons.some((reason) => reason.code === code);
        expect(found("ended")).toBe(isTerminal(state));
        if (isTerminal(state)) expect([reasons.length, deadline]).toEqual([1, undefined]);
        // Who could run it is busy, or nobody could: never both. What stands in nobody's way waits for nothing.
        expect(found("agents_busy") && found("no_capable_agent")).toBe(false);
        if (found("next")) expect(reasons).toHaveLength(1);
        const isPausedNow = pause !== undefined && (pause.untilMs === undefined || pause.untilMs > NOW_MS);
        const couldGo =
          state === "submitted" || state === "scheduled" || state === "backing_off" || found("agent_lost");
        expect(found("queue_paused")).toBe(isPausedNow && couldGo);
      },
    ),
  );
});
