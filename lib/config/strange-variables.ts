// Owns which variables of an environment look like settings and are none: a mistyped name would otherwise be a default that nobody wanted.
import type { Key } from "./key.ts";
import { OTHER_VARIABLES } from "./keys/other-variables.ts";
import { nearestName } from "./nearest-name.ts";
import type { Environment } from "./settings.ts";

/** A variable that nothing reads. */
export interface StrangeVariable {
  readonly name: string;
  /** What it was probably meant to be. */
  readonly near: string;
}

/** The variables that begin with `MYCEL_`, are read by nothing, and are near to one that is. */
export function strangeVariables(env: Environment, keys: readonly Key[]): readonly StrangeVariable[] {
  const known = new Set(OTHER_VARIABLES.map(({ name }) => name));
  for (const { variable, kind } of keys) {
    known.add(variable);
    if (kind === "secret") known.add(`${variable}_FILE`);
  }
  return Object.keys(env).flatMap((name) => {
    if (!name.startsWith("MYCEL_") || known.has(name)) return [];
    const near = nearestName(name, known);
    return near === undefined ? [] : [{ name, near }];
  });
}
