// Which tasks somebody must look at: those to be purged, those whose log is about to expire, those that may be
// gone already, and those whose timers should have fired.

import type { DatabaseSync, SQLOutputValue } from "node:sqlite";
import type { DueRow } from "./task-table.ts";

/** Where a search begins. */
export const FIRST_DUE: Pick<DueRow, "ms" | "row"> = { ms: Number.MIN_SAFE_INTEGER, row: 0 };

const EXPIRED = `SELECT tenant, task_id AS taskId, expire_ms AS ms, row FROM tasks INDEXED BY tasks_by_expiry
  WHERE (expire_ms, row) > (?, ?) AND expire_ms <= ? ORDER BY expire_ms, row LIMIT ?`;

const OPEN = `SELECT tenant, task_id AS taskId, open_ms AS ms, row FROM tasks INDEXED BY tasks_open
  WHERE (open_ms, row) > (?, ?) AND open_ms <= ? AND max(dispatch_sequence, event_sequence) <= ?
  ORDER BY open_ms, row LIMIT ?`;

const LATE = `SELECT tenant, task_id AS taskId, due_ms AS ms, row FROM tasks INDEXED BY tasks_due
  WHERE (due_ms, row) > (?, ?) AND due_ms <= ? ORDER BY due_ms, row LIMIT ?`;

/** Ended tasks that were to be kept until this time or an earlier one. */
export function expiredTasks(
  database: DatabaseSync,
  untilMs: number,
  after: Pick<DueRow, "ms" | "row">,
  limit: number,
): DueRow[] {
  return database.prepare(EXPIRED).all(after.ms, after.row, untilMs, limit).map(dueRow);
}

/** Open tasks whose log has aged since this time or an earlier one, and of which nothing was heard after a sequence. */
export function openTasks(
  database: DatabaseSync,
  query: { readonly untilMs: number; readonly heardUntil: number },
  after: Pick<DueRow, "ms" | "row">,
  limit: number,
): DueRow[] {
  return database.prepare(OPEN).all(after.ms, after.row, query.untilMs, query.heardUntil, limit).map(dueRow);
}

/** Open tasks whose next timer was due at this time or an earlier one. */
export function lateTasks(
  database: DatabaseSync,
  untilMs: number,
  after: Pick<DueRow, "ms" | "row">,
  limit: number,
): DueRow[] {
  return database.prepare(LATE).all(after.ms, after.row, untilMs, limit).map(dueRow);
}

function dueRow(values: Readonly<Record<string, SQLOutputValue>>): DueRow {
  const { tenant, taskId, ms, row } = values;
  return { tenant: String(tenant), taskId: String(taskId), ms: Number(ms), row: Number(row) };
}
