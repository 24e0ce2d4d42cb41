// The table as people read it.
import { expect, test } from "vitest";
import { noCounts } from "./checker/counts.ts";
import type { RowResult } from "./run-row.ts";
import { markdownTable } from "./table.ts";

const result = (row: string, recoveriesMs: readonly number[], more: Partial<RowResult> = {}): RowResult => ({
  row,
  seed: 1,
  tasks: 1_000,
  executions: 1_200,
  faults: recoveriesMs.length,
  violations: [],
  recoveriesMs,
  errors: [],
  outageMs: undefined,
  verdict: { violations: [], counts: noCounts() },
  ...more,
});

test("each row is one line over all its runs, and the last line is their sum", () => {
  const text = markdownTable([
    result("a", [100, 300]),
    result("a", [200], { violations: ["x", "y"], outageMs: 1_500 }),
    result("b", [Infinity]),
  ]);
  expect(text.split("\n").slice(2)).toEqual([
    "| a | 2 | 2,000 | 2,400 | 3 | 2 | 0.20 s | 0.30 s | 0 | 1.50 s |",
    "| b | 1 | 1,000 | 1,200 | 1 | 0 | never | never | 0 |  |",
    "| all | 3 | 3,000 | 3,600 | 4 | 2 | 0.20 s | never | 0 | 1.50 s |",
  ]);
});
