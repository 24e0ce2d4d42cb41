// Thousands of interleavings of agents, coordinators, timers and faults: what the rules promise holds in every one of them. A failure
// prints the seed and the shortest sequence of choices that leads to it.
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { isTerminal } from "../../../lib/core/task-state.ts";
import { SimulatedMesh } from "./simulated-mesh.ts";
import type { Submission } from "./simulated-log.ts";
import { CREATED_MS } from "./views.ts";

const SEED = 20_260_101;
const MAX_SETTLE_STEPS = 2_000;

const limits = fc.option(fc.integer({ min: 1_000, max: 90_000 }), { nil: undefined });
const submissions = fc
  .record({
    maximumAttempts: fc.integer({ min: 1, max: 3 }),
    scheduleToStartMs: limits,
    scheduleToCloseMs: limits,
    startToCloseMs: fc.integer({ min: 10, max: 60_000 }),
    delayMs: fc.option(fc.integer({ min: 1, max: 20_000 }), { nil: undefined, freq: 3 }),
  })
  .map(({ maximumAttempts, delayMs, ...timeouts }): Submission => ({
    policy: {
      maximumAttempts,
      initialIntervalMs: 1_000,
      backoffCoefficient: 2,
      maximumIntervalMs: 8_000,
      nonRetryableReasons: [],
    },
    timeouts,
    createMs: CREATED_MS,
    startMs: delayMs === undefined ? undefined : CREATED_MS + delayMs,
  }));
const choices = fc.array(fc.nat({ max: 2 ** 30 }), { minLength: 10, maxLength: 150, size: "max" });

test("whatever goes wrong, attempts stay within the policy, one holder moves the task, and it ends exactly once", () => {
  fc.assert(
    fc.property(submissions, choices, (submission, faults) => {
      const mesh = new SimulatedMesh(submission);
      for (const choice of faults) mesh.step(choice);
      mesh.settle(true, MAX_SETTLE_STEPS);
      expect(isTerminal(mesh.state)).toBe(true);
      // Nothing goes round for ever: what was delivered is acknowledged.
      expect(mesh.log.items.size).toBe(0);
    }),
    { seed: SEED, numRuns: 2_500 },
  );
});

test("a task with a deadline ends even if all agents are gone for good", () => {
  fc.assert(
    fc.property(
      submissions,
      choices,
      fc.integer({ min: 1_000, max: 90_000 }),
      (submission, faults, scheduleToCloseMs) => {
        const mesh = new SimulatedMesh({ ...submission, timeouts: { ...submission.timeouts, scheduleToCloseMs } });
        for (const choice of faults) mesh.step(choice);
        mesh.settle(false, MAX_SETTLE_STEPS);
        expect(isTerminal(mesh.state)).toBe(true);
      },
    ),
    { seed: SEED, numRuns: 1_000 },
  );
});
