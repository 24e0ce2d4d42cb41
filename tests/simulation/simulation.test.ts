// Thousands of interleavings of agents, coordinators, timers and faults, through the code that ships: what the mesh promises holds in
// every one of them. A failure says how to see it again.
import { expect, test } from "vitest";
import { explore, run, scenarioAt } from "./explore.ts";
import { NO_BUG } from "./mesh/planted-bug.ts";
import { errorText } from "./report.ts";

const SEED = 20_260_101;
const RUNS = 2_000;

/** Seconds on a machine of its own; how long others keep it busy is not what is tested. */
const PATIENCE_MS = 600_000;

test(
  "whatever goes wrong, nothing is lost, one attempt moves a task at a time, and every task ends exactly once",
  async () => {
    const finding = await explore({ seed: SEED, runs: RUNS });

    const again = `npm run simulate -- --seed ${SEED}`;
    expect(finding === undefined ? "held" : `${errorText(finding.error)}; again: ${again}`).toBe("held");
  },
  PATIENCE_MS,
);

test("the same seed is the same interleaving, step by step", async () => {
  for (let at = 0; at < 20; at += 1) {
    const path = { run: at, kept: undefined };
    const [first, second]: [string[], string[]] = [[], []];

    await run(scenarioAt(SEED, path), NO_BUG, (line) => first.push(line));
    await run(scenarioAt(SEED, path), NO_BUG, (line) => second.push(line));

    expect(second).toEqual(first);
    expect(first.length).toBeGreaterThan(10);
  }
});
