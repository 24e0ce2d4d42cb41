// What the handlers of tests/support/test-agent.ts wrote down: every start and end, from all agents, in order.

import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";

/** One line of the record. */
export interface Execution {
  readonly what: "start" | "end";
  readonly taskId: string;
  readonly attempt: number;
  readonly agentId: string;
  readonly pid: number;
}

/** Everything written down so far in a mesh's folder, of one task or of all. */
export function executions(dir: string, taskId?: string): Execution[] {
  const file = join(dir, "executions.jsonl");
  if (!existsSync(file)) return [];
  return readFileSync(file, "utf8")
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as Execution)
    .filter((entry) => taskId === undefined || entry.taskId === taskId);
}
