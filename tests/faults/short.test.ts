// The short form of the fault matrix: what `npm run test:faults` does for half an hour, for a minute or two, without its bounds on times.
import { expect, test } from "vitest";
import { runRow } from "./run-row.ts";
import { ROWS } from "./rows/all.ts";

const TASKS_BETWEEN = 60;
const LIMIT_MS = 240_000;

const SEED = 3;

test.for(ROWS.filter((row) => row.short > 0).map((row) => [row.name, row] as const))(
  "%s: no accepted task is lost, ends twice, or is moved by a fenced attempt",
  { timeout: LIMIT_MS },
  async ([, row]) => {
    const lines: string[] = [];
    const result = await runRow(row, {
      seed: SEED,
      faults: row.short,
      tasksBetween: TASKS_BETWEEN,
      timed: false,
      say: (line) => lines.push(line),
    });
    expect(result.violations, `seed ${SEED}: ${lines.join("; ")}`).toEqual([]);
    expect(result.faults).toBe(row.short);
    expect(result.tasks).toBeGreaterThanOrEqual(TASKS_BETWEEN * (row.short + 1));
  },
);
