// How many tasks there are of each type, queue and state: the changes that a transaction makes, added up and written once.

import type { StatementSync } from "node:sqlite";
import type { TaskRow } from "./projection.ts";

/** Adds to what is counted for a tenant, type, queue and state. */
export const ADD_COUNT: string = `INSERT INTO counts VALUES (?, ?, ?, ?, ?)
  ON CONFLICT (tenant, type, queue, state) DO UPDATE SET tasks = tasks + excluded.tasks`;

/** What tells where a task is counted. */
type CountedRow = Pick<TaskRow, "tenant" | "type" | "queue" | "state">;

interface Change {
  readonly row: CountedRow;
  by: number;
}

/** Changes of counts. */
export class StateCounts {
  readonly #changes = new Map<string, Change>();

  /** Counts a row in or, with -1, out. Rows without a state are not counted. */
  add(row: CountedRow, by: 1 | -1): void {
    if (row.state === 0) return;
    const key = `${row.tenant}.${row.type}.${row.queue}.${row.state}`;
    const change = this.#changes.get(key);
    if (change === undefined) this.#changes.set(key, { row, by });
    else change.by += by;
  }

  /** Writes all changes by ADD_COUNT. */
  write(statement: StatementSync): void {
    for (const { row, by } of this.#changes.values()) {
      if (by !== 0) statement.run(row.tenant, row.type, row.queue, row.state, by);
    }
  }
}
