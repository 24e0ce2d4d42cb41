// Rows of open tasks that were written lately, so that the event that ends a task need not read its row again. Bounded; forgets the
// oldest first. Knows only what is in the table: whoever changes a row there tells it, or makes it forget.

import type { KnownRow } from "./projection.ts";

/** A row that stands in the table. */
export interface StandingRow {
  readonly number: number;
  readonly known: KnownRow;
}

/** How many rows are remembered: about 500 bytes each, and more than tasks are under way in a mesh that keeps up. */
const MAX_ROWS = 8_192;

/** Rows by the task's key. */
export class RecentRows {
  readonly #rows = new Map<string, StandingRow>();

  /** The row of a task, if it is remembered. */
  get(key: string): StandingRow | undefined {
    return this.#rows.get(key);
  }

  /** Remembers a row. */
  set(key: string, row: StandingRow): void {
    this.#rows.set(key, row);
    if (this.#rows.size <= MAX_ROWS) return;
    const [oldest] = this.#rows.keys();
    if (oldest !== undefined) this.#rows.delete(oldest);
  }

  /** Forgets a row. */
  delete(key: string): void {
    this.#rows.delete(key);
  }

  /** Forgets all rows. */
  clear(): void {
    this.#rows.clear();
  }
}
