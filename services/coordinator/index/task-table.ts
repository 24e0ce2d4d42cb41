// The rows of the index: applying batches of the log in one transaction each, and taking rows out again.

import type { DatabaseSync, SQLInputValue, SQLOutputValue, StatementSync } from "node:sqlite";
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

/** A task that somebody must look at: since when, in milliseconds since 1970, and its row. */
export interface DueRow extends TaskName {
  readonly ms: number;
  readonly row: number;
}

/** How a column is called, and how its value is read. */
type Column<T> = readonly [name: string, read: (value: SQLOutputValue | undefined) => T];

const text = (name: string): Column<string> => [name, (value) => (typeof value === "string" ? value : "")];
const number = (name: string): Column<number> => [name, (value) => (typeof value === "number" ? value : 0)];
const time = (name: string): Column<number | null> => [name, (value) => (typeof value === "number" ? value : null)];
const bytes = (name: string): Column<Uint8Array | null> => [
  name,
  (value) => (value instanceof Uint8Array ? value : null),
];

const COLUMNS: { readonly [K in keyof TaskRow]: Column<TaskRow[K]> } = {
  tenant: text("tenant"),
  taskId: text("task_id"),
  type: text("type"),
  queue: text("queue"),
  priority: number("priority"),
  state: number("state"),
  agentId: text("agent_id"),
  createMs: number("create_ms"),
  endMs: time("end_ms"),
  expireMs: time("expire_ms"),
  openMs: time("open_ms"),
  dueMs: time("due_ms"),
  dead: number("dead"),
  lane: text("lane"),
  startMs: time("start_ms"),
  resultTtlMs: number("result_ttl_ms"),
  dispatchSequence: number("dispatch_sequence"),
  floorSequence: number("floor_sequence"),
  eventSequence: number("event_sequence"),
  eventState: number("event_state"),
  eventMs: number("event_ms"),
  traceparent: text("traceparent"),
  dispatch: bytes("dispatch"),
  event: bytes("event"),
};

const NAMES: readonly string[] = Object.values(COLUMNS).map(([name]) => name);

/** The columns of a row, for `rowOf`. */
export const SELECT_ROW: string = NAMES.map((name) => `t.${name}`).join(", ");

const UPSERT = `INSERT INTO tasks (${NAMES.join(", ")}) VALUES (${NAMES.map(() => "?").join(", ")})
  ON CONFLICT (tenant, task_id) DO UPDATE SET ${NAMES.slice(2)
    .map((name) => `${name} = excluded.${name}`)
    .join(", ")}`;

/** Reads a row that was selected by SELECT_ROW. */
export function rowOf(values: Readonly<Record<string, SQLOutputValue>>): TaskRow {
  const read = <K extends keyof TaskRow>(key: K): TaskRow[K] => COLUMNS[key][1](values[COLUMNS[key][0]]);
  return {
    tenant: read("tenant"),
    taskId: read("taskId"),
    type: read("type"),
    queue: read("queue"),
    priority: read("priority"),
    state: read("state"),
    agentId: read("agentId"),
    createMs: read("createMs"),
    endMs: read("endMs"),
    expireMs: read("expireMs"),
    openMs: read("openMs"),
    dueMs: read("dueMs"),
    dead: read("dead"),
    lane: read("lane"),
    startMs: read("startMs"),
    resultTtlMs: read("resultTtlMs"),
    dispatchSequence: read("dispatchSequence"),
    floorSequence: read("floorSequence"),
    eventSequence: read("eventSequence"),
    eventState: read("eventState"),
    eventMs: read("eventMs"),
    traceparent: read("traceparent"),
    dispatch: read("dispatch"),
    event: read("event"),
  };
}

function valuesOf(row: TaskRow): SQLInputValue[] {
  return [
    row.tenant,
    row.taskId,
    row.type,
    row.queue,
    row.priority,
    row.state,
    row.agentId,
    row.createMs,
    row.endMs,
    row.expireMs,
    row.openMs,
    row.dueMs,
    row.dead,
    row.lane,
    row.startMs,
    row.resultTtlMs,
    row.dispatchSequence,
    row.floorSequence,
    row.eventSequence,
    row.eventState,
    row.eventMs,
    row.traceparent,
    row.dispatch,
    row.event,
  ];
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
  readonly #postpone: StatementSync;

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
    this.#postpone = database.prepare("UPDATE tasks SET due_ms = ? WHERE row = ? AND due_ms = ?");
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

  /** Has tasks whose timers were looked after not be looked at again before a time, unless the log has said something new of them. */
  postpone(looked: readonly Pick<DueRow, "row" | "ms">[], untilMs: number): void {
    this.#transaction(() => {
      for (const { row, ms } of looked) this.#postpone.run(Math.ceil(untilMs), row, ms);
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
    this.#put.run(...valuesOf(row));
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
