// Checks rules, which may come from a file: everything that is wrong is told at once.
import { MycelError } from "../client/index.ts";
import { OTHERWISE, type Rule, type RuleCondition } from "./rule.ts";

const CONDITIONS: Readonly<Record<keyof RuleCondition, (value: unknown) => string | undefined>> = {
  types: (value) =>
    Array.isArray(value) && value.every((each) => typeof each === "string")
      ? undefined
      : "must be a list of task types",
  handler: flag,
  inputOverBytes: (value) => (Number.isSafeInteger(value) ? amount(value) : "must be a whole number of bytes"),
  meshOnly: flag,
  circuitOpen: flag,
  healthy: flag,
  loadOver: amount,
};

/** Checks rules, which may come from a file. Throws a MycelError (INVALID_OPTION) that tells everything that is wrong. */
export function checkRules(rules: readonly Rule[]): readonly Rule[] {
  const violations = rules.flatMap((rule, index) =>
    faultsOf(rule, rules.slice(0, index)).map(([field, description]) => ({
      field: `rules[${index}]${field}`,
      description,
    })),
  );
  if (violations.length === 0) return rules;
  const text = violations.map(({ field, description }) => `${field} ${description}`).join("; ");
  throw new MycelError("invalid_argument", text, { reason: "INVALID_OPTION", violations });
}

function faultsOf(rule: Rule, before: readonly Rule[]): (readonly [field: string, description: string])[] {
  const faults: (readonly [string, string])[] = [];
  const name: unknown = rule.name;
  if (typeof name !== "string" || name.length < 1 || name.length > 64) {
    faults.push([".name", `must be 1 to 64 characters, got ${JSON.stringify(name)}`]);
  } else if (name === OTHERWISE) faults.push([".name", `must not be ${JSON.stringify(OTHERWISE)}`]);
  else if (before.some((other) => other.name === name)) {
    faults.push([".name", `must be another than the rules' before, got ${JSON.stringify(name)}`]);
  }
  const run: unknown = rule.run;
  if (run !== "local" && run !== "mesh") {
    faults.push([".run", `must be "local" or "mesh", got ${JSON.stringify(run)}`]);
  }
  const fallback: unknown = rule.fallback;
  if (fallback !== undefined && typeof fallback !== "boolean") faults.push([".fallback", "must be true or false"]);
  const given = Object.entries(rule.when ?? {}).filter(([, value]) => value !== undefined);
  if (given.length === 0) faults.push([".when", "must say something"]);
  for (const [key, value] of given) {
    const fault = isCondition(key) ? CONDITIONS[key](value) : `is unknown, must be one of ${KNOWN.join(", ")}`;
    if (fault !== undefined) faults.push([`.when.${key}`, fault]);
  }
  return faults;
}

const KNOWN: readonly string[] = Object.keys(CONDITIONS);

function isCondition(key: string): key is keyof RuleCondition {
  return KNOWN.includes(key);
}

function flag(value: unknown): string | undefined {
  return typeof value === "boolean" ? undefined : `must be true or false, got ${JSON.stringify(value)}`;
}

function amount(value: unknown): string | undefined {
  return typeof value === "number" && value >= 0
    ? undefined
    : `must be a number of at least 0, got ${JSON.stringify(value)}`;
}
