// The order in which the test files run: what takes minutes begins first, so that no worker is left with it at the end. Vitest itself goes by
// the times of the last run, which a fresh checkout does not have.
import { BaseSequencer, type TestSpecification } from "vitest/node";

/** Folders of tests/, the slowest first. */
const FOLDERS = ["faults", "e2e", "fuzz", "simulation", "integration", "unit"];

/** Sorts by the folders of tests/. */
export class SlowFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files);
    return sorted.toSorted((a, b) => rank(a) - rank(b));
  }
}

function rank({ moduleId }: TestSpecification): number {
  const folder = /\/tests\/(\w+)\//.exec(moduleId)?.[1] ?? "";
  const at = FOLDERS.indexOf(folder);
  return at === -1 ? FOLDERS.length : at;
}
