// The rows of the index: applying batches of the log in one transaction each, and taking rows out again.

import type { DatabaseSync, SQLOutputValue, StatementSync } from "node:sqlite";
import type { LogBatch } from "../../../lib/nats/log-tail.ts";
import { parseTaskSubject } from "../../../lib/wire/subjects.ts";
import { type Definition, definitionOf, emptyRow, project, type TaskRow } from "./projection.ts";

/** Where in which log the index stands. */
export interface LogPosition {
  readonly created: string;
  readonly position: number;
}

/** Names a task. */
export interface TaskName {
  readonly tenant: string;
  readonly taskId: string;
}

const COLUMNS: Readonly<Record<keyof TaskRow, string>> = {
  tenant: "tenant",
  taskId: "task_id",
  type: "type",
  queue: "queue",
  priority: "priority",
  state: "state",
  agentId: "agent_id",
  createMs: "create_ms",
  endMs: "end_ms",
  expireMs: "expire_ms",
  openMs: "open_ms",
  dead: "dead",
  lane: "lane",
  startMs: "start_ms",
  resultTtlMs: "result_ttl_ms",
  dispatchSequence: "dispatch_sequence",
  floorSequence: "floor_sequence",
  eventSequence: "event_sequence",
  eventState: "event_state",
  eventMs: "event_ms",
  traceparent: "traceparent",
  dispatch: "dispatch",
  event: "event",
};

const KEYS = Object.keys(COLUMNS) as readonly (keyof TaskRow)[];

/** The columns of a row, as `TaskRow` names them. */
export const SELECT_ROW: string = KEYS.map((key) => `t.${COLUMNS[key]} AS ${key}`).join(", ");

const UPSERT = `INSERT INTO tasks (${KEYS.map((key) => COLUMNS[key]).join(", ")}) VALUES (${KEYS.map(() => "?").join(", ")})
  ON CONFLICT (tenant, task_id) DO UPDATE SET ${KEYS.slice(2)
    .map((key) => `${COLUMNS[key]} = excluded.${COLUMNS[key]}`)
    .join(", ")}`;

/** Reads a row that was selected by SELECT_ROW. */
export function rowOf(values: Record<string, SQLOutputValue>): TaskRow {
  // The table is STRICT and the names are SELECT_ROW's own.
  return values as unknown as TaskRow;
}

interface Touched {
  readonly before: TaskRow | undefined;
  row: TaskRow;
  definition: Definition | undefined;
}

/** The rows of the index. */
export class TaskTable {
  readonly #database: DatabaseSync;
  readonly #get: StatementSync;
  readonly #put: StatementSync;
  readonly #remove: StatementSync;
  readonly #dropLabels: StatementSync;
  readonly #addLabel: StatementSync;
  readonly #addRedrive: StatementSync;
  readonly #dropRedrive: StatementSync;
  readonly #count: StatementSync;
  readonly #move: StatementSync;
  readonly #position: StatementSync;

  constructor(database: DatabaseSync) {
    this.#database = database;
    this.#get = database.prepare(`SELECT ${SELECT_ROW} FROM tasks t WHERE t.tenant = ? AND t.task_id = ?`);
    this.#put = database.prepare(UPSERT);
    this.#remove = database.prepare("DELETE FROM tasks WHERE tenant = ? AND task_id = ?");
    this.#dropLabels = database.prepare(
      "DELETE FROM labels WHERE tenant = ? AND key = ? AND value = ? AND create_ms = ? AND task_id = ?",
    );
    this.#addLabel = database.prepare("INSERT OR IGNORE INTO labels VALUES (?, ?, ?, ?, ?)");
    this.#addRedrive = database.prepare("INSERT OR IGNORE INTO redrives VALUES (?, ?, ?, ?)");
    this.#dropRedrive = database.prepare(
      "DELETE FROM redrives WHERE tenant = ? AND task_id = ? AND create_ms = ? AND redriven_by = ?",
    );
    this.#count = database.prepare(
      `INSERT INTO counts VALUES (?, ?, ?, ?, ?)
       ON CONFLICT (tenant, type, queue, state) DO UPDATE SET tasks = tasks + excluded.tasks`,
    );
    this.#move = database.prepare("UPDATE log_position SET created = ?, position = ?");
    this.#position = database.prepare("SELECT created, position FROM log_position");
  }

  /** Where the index stands. */
  position(): LogPosition {
    const values = this.#position.get();
    return { created: String(values?.["created"] ?? ""), position: Number(values?.["position"] ?? 0) };
  }

  /** The row of a task. */
  get({ tenant, taskId }: TaskName): TaskRow | undefined {
    const values = this.#get.get(tenant, taskId);
    return values === undefined ? undefined : rowOf(values);
  }

  /** Applies a batch and moves the position, both or neither. Returns how many messages could not be read. */
  apply(batch: Pick<LogBatch, "messages" | "position" | "created">): number {
    const touched = new Map<string, Touched>();
    let unreadable = 0;
    for (const message of batch.messages) {
      const subject = parseTaskSubject(message.subject);
      if (subject === undefined) {
        unreadable += 1;
        continue;
      }
      const entry = this.#touch(touched, subject);
      try {
        const projected = project(entry.row, subject, message);
        if (projected === undefined) continue;
        entry.row = projected.row;
        entry.definition = projected.definition ?? entry.definition;
      } catch {
        // Written by a newer version or not by the mesh at all: one bad message must not stop the index.
        unreadable += 1;
      }
    }
    this.#transaction(() => {
      const counts = new Map<string, CountChange>();
      for (const entry of touched.values()) {
        if (entry.row !== entry.before) this.#write(entry, counts);
      }
      this.#writeCounts(counts);
      this.#move.run(batch.created, batch.position);
    });
    return unreadable;
  }

  /** Takes out rows of tasks that the log no longer has. */
  remove(names: readonly TaskName[]): void {
    this.#transaction(() => {
      const counts = new Map<string, CountChange>();
      for (const name of names) {
        const row = this.get(name);
        if (row === undefined) continue;
        count(counts, row, -1);
        this.#undefine(row);
        this.#remove.run(name.tenant, name.taskId);
      }
      this.#writeCounts(counts);
    });
  }

  #touch(touched: Map<string, Touched>, name: TaskName): Touched {
    const key = `${name.tenant}.${name.taskId}`;
    let entry = touched.get(key);
    if (entry === undefined) {
      const before = this.get(name);
      entry = { before, row: before ?? emptyRow(name.tenant, name.taskId), definition: undefined };
      touched.set(key, entry);
    }
    return entry;
  }

  #write({ before, row, definition }: Touched, counts: Map<string, CountChange>): void {
    this.#put.run(...KEYS.map((key) => row[key]));
    if (before !== undefined) count(counts, before, -1);
    count(counts, row, 1);
    if (definition === undefined) return;
    if (before !== undefined) this.#undefine(before);
    for (const [key, value] of Object.entries(definition.labels)) {
      this.#addLabel.run(row.tenant, key, value, row.createMs, row.taskId);
    }
    if (definition.redriveOf !== "") this.#addRedrive.run(row.tenant, definition.redriveOf, row.createMs, row.taskId);
  }

  /** Takes out what the definition of a row has put into other tables. */
  #undefine(row: TaskRow): void {
    const definition = definitionOf(row);
    if (definition === undefined) return;
    for (const [key, value] of Object.entries(definition.labels)) {
      this.#dropLabels.run(row.tenant, key, value, row.createMs, row.taskId);
    }
    if (definition.redriveOf !== "") this.#dropRedrive.run(row.tenant, definition.redriveOf, row.createMs, row.taskId);
  }

  #writeCounts(counts: ReadonlyMap<string, CountChange>): void {
    for (const { row, by } of counts.values()) {
      if (by !== 0) this.#count.run(row.tenant, row.type, row.queue, row.state, by);
    }
  }

  #transaction(work: () => void): void {
    this.#database.exec("BEGIN IMMEDIATE");
    try {
      work();
      this.#database.exec("COMMIT");
    } catch (error) {
      this.#database.exec("ROLLBACK");
      throw error;
    }
  }
}

interface CountChange {
  readonly row: TaskRow;
  by: number;
}

function count(counts: Map<string, CountChange>, row: TaskRow, by: number): void {
  if (row.state === 0) return;
  const key = `${row.tenant}.${row.type}.${row.queue}.${row.state}`;
  const change = counts.get(key);
  if (change === undefined) counts.set(key, { row, by });
  else change.by += by;
}
