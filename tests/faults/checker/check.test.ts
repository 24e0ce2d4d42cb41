// The checker is itself on trial: runs that break no promise are acquitted, and every promise that is broken on purpose is found.
import { describe, expect, test } from "vitest";
import { randomFrom } from "../random.ts";
import { check, formatVerdict } from "./check.ts";
import { ACCEPTANCE_PLANTS } from "./trial/acceptance-plants.ts";
import { ATTEMPT_PLANTS } from "./trial/attempt-plants.ts";
import { groundOf } from "./trial/plant.ts";
import { POLICY_PLANTS } from "./trial/policy-plants.ts";
import { READER_PLANTS } from "./trial/reader-plants.ts";
import type { SampleRun } from "./trial/sample-run.ts";
import { longRun, sampleRun } from "./trial/sample-stories.ts";
import { TERMINAL_STATE_PLANTS } from "./trial/terminal-state-plants.ts";

const PLANTS = [...ACCEPTANCE_PLANTS, ...TERMINAL_STATE_PLANTS, ...ATTEMPT_PLANTS, ...READER_PLANTS, ...POLICY_PLANTS];

function judged({ history, log }: SampleRun): ReturnType<typeof check> {
  return check(
    history.toSorted((a, b) => a.at - b.at),
    log,
  );
}

const SEEDS = Array.from({ length: 20 }, (_, i) => i + 1);

describe("a run that breaks no promise", () => {
  test.for(SEEDS)("is acquitted, seed %i", (seed) => {
    const verdict = judged(sampleRun(randomFrom(seed)));

    expect(verdict.violations).toEqual([]);
  });

  test("is counted, so that it shows that there was something to judge", () => {
    const { counts } = judged(sampleRun(randomFrom(1)));

    expect(counts).toMatchObject({
      tasks: 12,
      accepted: 10,
      ambiguousFound: 1,
      ambiguousNotFound: 1,
      refused: 1,
      redriven: 1,
      completed: 8,
      failed: 2,
      canceled: 2,
      executions: 17,
      executionsLost: 3,
      executionsFenced: 2,
      attemptsGivenBack: 1,
      readers: 5,
      outputsDropped: 2,
      faultsInjected: 1,
    });
    expect(counts.resumptions).toBeGreaterThan(0);
  });
});

describe("a broken promise is found:", () => {
  test.for(PLANTS.map((plant) => [plant.name, plant] as const))("%s", ([, { story, breaks, tamper }]) => {
    const [invariant, rule, ...besides] = breaks;
    for (const seed of SEEDS) {
      const run = sampleRun(randomFrom(seed));
      tamper(groundOf(run, story));

      const { violations } = judged(run);

      const rules = new Set(violations.map((violation) => violation.rule));
      expect(rules, `seed ${seed}`).toEqual(new Set([rule, ...besides]));
      expect(violations.every(({ taskId }) => taskId === story)).toBe(true);
      const found = violations.find((violation) => violation.rule === rule)!;
      expect(found.invariant).toBe(invariant);
      expect(found.message).toContain(story);
      expect(found.counterexample.some((line) => line.startsWith(">"))).toBe(true);
    }
  });
});

test("one broken promise among thousands of tasks is found, and told with the lines around it", () => {
  const run = longRun(randomFrom(3), 3_000);
  const ended = [...run.log.tasks.values()].find(({ events }) => events.at(-1)?.state === "completed")!;
  ended.events.at(-1)!.expected = 12_345_678;

  const verdict = judged(run);
  const report = formatVerdict(verdict);

  expect(verdict.violations.map(({ taskId, rule }) => [taskId, rule])).toEqual([[ended.taskId, "chain_broken"]]);
  expect(report).toContain("1 x chain_broken (invariant 3: one attempt at a time moves a task)");
  expect(report).toContain("expected 12345678 before it");
  expect(report).toMatch(/^>.*event completed/m);
});

test("a thousand violations of a rule are counted, and a few of them told", () => {
  const run = longRun(randomFrom(4), 2_000);
  for (const { events } of run.log.tasks.values()) for (const event of events) event.expected = 1;

  const { violations } = judged(run);
  const report = formatVerdict({ ...judged(run), violations }, 3);

  expect(violations.length).toBeGreaterThan(1_000);
  expect(violations.filter(({ counterexample }) => counterexample.length > 0)).toHaveLength(5);
  expect(report.match(/^chain_broken/gm)).toHaveLength(3);
});
