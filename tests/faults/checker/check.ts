// Judges a run: from what was seen from outside and what stands in the log, whether each promise was kept. Pure, and linear in both.
import type { HistoryEntry } from "../history.ts";
import type { FinalLog } from "../final-log.ts";
import { checkAcceptance } from "./accepted-tasks.ts";
import { checkAttemptChain } from "./attempt-chain.ts";
import { type Counts, count } from "./counts.ts";
import { counterexample } from "./counterexample.ts";
import { type Evidence, gather } from "./evidence.ts";
import { checkExecutions } from "./executions.ts";
import { checkLiveness } from "./liveness.ts";
import { checkReaders } from "./readers.ts";
import { checkRetryPolicy } from "./retry-policy.ts";
import { checkTerminalState } from "./terminal-states.ts";
import { type Finding, type Invariant, INVARIANTS, type Violation } from "./violation.ts";

/** What the checker found. */
export interface Verdict {
  readonly violations: readonly Violation[];
  readonly counts: Counts;
}

/** Counterexamples are made for this many violations of a rule; of a thousand alike, the rest say nothing new. */
const EXAMPLES_PER_RULE = 5;

/** Judges a run that is over: nothing was at work any more when the log was read. The history must be in the order of time. */
export function check(history: readonly HistoryEntry[], log: FinalLog): Verdict {
  const tasks = gather(history, log);
  const examples = new Map<string, number>();
  const violations: Violation[] = [];
  for (const evidence of tasks.values()) {
    for (const { exhibits, ...finding } of judge(evidence)) {
      const shown = examples.get(finding.rule) ?? 0;
      examples.set(finding.rule, shown + 1);
      const lines = shown < EXAMPLES_PER_RULE ? counterexample(evidence, exhibits) : [];
      violations.push({ ...finding, taskId: evidence.taskId, counterexample: lines });
    }
  }
  return { violations, counts: count(history, tasks.values()) };
}

function judge(evidence: Evidence): Finding[] {
  return [
    ...checkAcceptance(evidence),
    ...checkTerminalState(evidence),
    ...(evidence.logged === undefined ? [] : checkAttemptChain(evidence.logged)),
    ...checkExecutions(evidence),
    ...checkReaders(evidence),
    ...checkRetryPolicy(evidence),
    ...checkLiveness(evidence),
  ];
}

/** A verdict for people: what was checked, how often each rule was broken, and the first counterexamples. */
export function formatVerdict({ violations, counts }: Verdict, maxExamples = 10): string {
  const checked = Object.entries(counts).filter(([, n]) => n > 0);
  const lines = [`checked: ${checked.map(([what, n]) => `${n} ${spaced(what)}`).join(", ")}`];
  if (violations.length === 0) return [...lines, "no violations"].join("\n");
  for (const [rule, broken] of Map.groupBy(violations, (violation) => violation.rule)) {
    lines.push(`${broken.length} x ${rule} (${headingOf(broken[0]?.invariant)})`);
  }
  const examples = violations.filter((violation) => violation.counterexample.length > 0).slice(0, maxExamples);
  for (const violation of examples) lines.push("", formatViolation(violation));
  return lines.join("\n");
}

/** A violation for people: the rule, what was promised and found, and the lines that show it. */
export function formatViolation({ invariant, rule, message, counterexample: shown }: Violation): string {
  return [`${rule} (${headingOf(invariant)}): ${message}`, ...shown].join("\n");
}

function headingOf(invariant: Invariant | undefined): string {
  if (invariant === undefined) return "";
  const heading = INVARIANTS[invariant];
  return invariant === "liveness" ? `liveness: ${heading}` : `invariant ${invariant}: ${heading}`;
}

function spaced(name: string): string {
  return name.replaceAll(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);
}
