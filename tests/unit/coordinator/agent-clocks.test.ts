import { describe, expect, test } from "vitest";
import { reportedStartMs } from "../../../lib/core/attempt-start.ts";
import { AgentClocks } from "../../../services/coordinator/reports/agent-clocks.ts";

const NOW = 1_000_000_000;
const agent = { tenant: "default", agentId: "a" };

function setup(): { readonly clocks: AgentClocks; readonly time: { monotonicMs: number } } {
  const time = { monotonicMs: 0 };
  return { clocks: new AgentClocks({ now: () => NOW, monotonicMs: () => time.monotonicMs }), time };
}

test.for<[string, startMs: number | undefined, young: boolean]>([
  ["one that has just started", NOW, true],
  ["one of a clock that is a little ahead", NOW + 499, true],
  ["one of a clock that is far ahead", NOW + 500, false],
  ["one that is almost too old", NOW - 499, true],
  ["one that may be too old", NOW - 500, false],
  ["one of which nothing is said", undefined, false],
])("whether an attempt is young: %s", ([, startMs, young]) => {
  expect(setup().clocks.isYoung(agent, startMs)).toBe(young);
});

test("an agent that was seen to be ahead is not believed for ten minutes, and others are", () => {
  const { clocks, time } = setup();
  clocks.isYoung(agent, NOW + 60_000);
  expect(clocks.isYoung(agent, NOW)).toBe(false);
  expect(clocks.isYoung({ ...agent, tenant: "other" }, NOW)).toBe(true);
  time.monotonicMs = 599_999;
  expect(clocks.isYoung(agent, NOW)).toBe(false);
  time.monotonicMs = 600_000;
  expect(clocks.isYoung(agent, NOW)).toBe(true);
});

describe("the start of an attempt that is over", () => {
  test.for<[string, number | undefined, number | undefined]>([
    ["is what its agent says", 1_500, 1_500],
    ["is not after its report", 2_001, 2_000],
    ["is not before its dispatch", 999, 1_000],
    ["is unknown if nothing is said", undefined, undefined],
  ])("%s", ([, saidMs, startMs]) => {
    expect(reportedStartMs(saidMs, { storedMs: 1_000, nowMs: 2_000 })).toBe(startMs);
    expect(reportedStartMs(saidMs, { storedMs: 3_000, nowMs: 2_000 })).toBe(saidMs === undefined ? undefined : 2_000);
  });
});
