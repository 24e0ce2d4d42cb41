// A simulation that finds nothing may be blind. Each of these bugs is planted, and must be found.
import { expect, test } from "vitest";
import { explore } from "./explore.ts";
import { InvariantBroken } from "./mesh/witness.ts";
import { PLANTED_BUGS } from "./planted-bugs.ts";

const SEED = 18;

/** By far enough for each of them; most are found among the first hundred. */
const RUNS = 3_000;

/** Seconds on a machine of its own; how long others keep it busy is not what is tested. */
const PATIENCE_MS = 600_000;

test.for(Object.entries(PLANTED_BUGS))("%s: found", { timeout: PATIENCE_MS }, async ([, bug]) => {
  const finding = await explore({ seed: SEED, runs: RUNS, bug });

  expect(finding?.error).toBeInstanceOf(InvariantBroken);
});
