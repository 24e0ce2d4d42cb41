// What a check is, and in which order checks are made: one that needs another is left out when that one is broken.

/** What a check found. `skipped` is nothing broken, but something to know. */
export interface Found {
  readonly state: "ok" | "broken" | "skipped";
  /** What is there, or what is wrong. */
  readonly text: string;
  /** What to do about it. */
  readonly advice?: string;
}

/** What a check found, with its name. */
export interface Finding extends Found {
  readonly name: string;
}

/** One check. What it throws means broken. */
export interface Check {
  readonly name: string;
  /** The beginning of the names of checks of which one must have been ok. */
  readonly needs?: string;
  readonly run: () => Found | Promise<Found>;
}

/** Makes the checks in order. */
export async function* runChecks(checks: readonly Check[]): AsyncGenerator<Finding, void, undefined> {
  const fine: string[] = [];
  for (const { name, needs, run } of checks) {
    if (needs !== undefined && !fine.some((one) => one.startsWith(needs))) {
      yield { name, state: "skipped", text: `not checked: it needs the ${needs}` };
      continue;
    }
    const found = await Promise.resolve()
      .then(run)
      .catch((error: unknown): Found => ({
        state: "broken",
        text: error instanceof Error ? error.message : String(error),
      }));
    if (found.state === "ok") fine.push(name);
    yield { name, ...found };
  }
}
