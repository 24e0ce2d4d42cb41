// What the simulation says about an interleaving, for people.
import { InvariantBroken } from "./mesh/witness.ts";
import type { Scenario, TaskPlan } from "./mesh/scenario.ts";

/** What an interleaving is about. */
export function scenarioLines({ coordinators, tasks, faults, aftermath, choices }: Scenario): string[] {
  const kinds = Object.entries(faults).filter(([, level]) => level > 0);
  const what = kinds.map(([kind, level]) => (level > 1 ? `${kind} (often)` : kind)).join(", ");
  return [
    `coordinators: ${coordinators}`,
    ...tasks.map((plan, i) => `t${i + 1}: ${planLine(plan)}`),
    `faults: ${what || "none"}; then ${AFTERMATHS[aftermath]}`,
    `choices: ${choices.length}`,
  ];
}

const AFTERMATHS: Readonly<Record<Scenario["aftermath"], string>> = {
  work: "everybody works on",
  nobody: "all agents are gone",
  poison: "whoever starts a task dies of it",
};

function planLine(plan: TaskPlan): string {
  const parts = [
    `queue ${plan.queue}`,
    `priority ${plan.priority}`,
    `at most ${plan.maximumAttempts} attempts of ${plan.startToCloseMs} ms`,
  ];
  if (plan.delayMs !== undefined) parts.push(`delayed by ${plan.delayMs} ms`);
  if (plan.scheduleToStartMs !== undefined) parts.push(`to be started within ${plan.scheduleToStartMs} ms`);
  if (plan.scheduleToCloseMs !== undefined) parts.push(`to be ended within ${plan.scheduleToCloseMs} ms`);
  if (plan.resultTtlMs !== undefined) parts.push(`kept for ${plan.resultTtlMs} ms`);
  return parts.join(", ");
}

/** What was broken, in one line; with its stack if it is none of the promises. */
export function errorText(error: unknown): string {
  if (error instanceof InvariantBroken) return error.message;
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}

/** A number with its thousands apart. */
export function counted(value: number): string {
  return value.toLocaleString("en");
}

/** How much of a long run's end is shown: what goes round for ever is seen soon. */
const LONGEST = 400;
const LAST = 40;

/** The steps of a run, without the middle of one that goes round for ever. */
export function shortened(lines: readonly string[]): readonly string[] {
  if (lines.length <= LONGEST) return lines;
  const left = `      … ${counted(lines.length - LONGEST)} more …`;
  return [...lines.slice(0, LONGEST - LAST), left, ...lines.slice(-LAST)];
}
