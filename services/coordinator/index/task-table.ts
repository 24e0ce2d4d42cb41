// The rows of the index: applying batches of the log in one transaction each, and taking rows out again.

import type { DatabaseSync, StatementSync } from "node:sqlite";
import type { StoredMessage } from "../../../lib/nats/direct-reader.ts";
import type { LogBatch } from "../../../lib/nats/log-tail.ts";
import { parseTaskSubject, type TaskSubject } from "../../../lib/wire/subjects.ts";
import { MetricTable } from "./metric-table.ts";
import {
  afterEvent,
  type Definition,
  definitionOf,
  emptyRow,
  type EventColumns,
  type KnownRow,
  knownOf,
  newsIn,
  project,
  type TaskRow,
} from "./projection.ts";
import { RecentRows, type StandingRow } from "./recent-rows.ts";
import { type EventFacts, readEvent } from "./stored-facts.ts";
import { ADD_COUNT, StateCounts } from "./state-counts.ts";
import {
  eventValuesOf,
  INSERT_ROW,
  knownRowOf,
  rowOf,
  SELECT_KNOWN,
  SELECT_ROW,
  UPDATE_EVENT,
  UPSERT_ROW,
  valuesOf,
} from "./task-columns.ts";

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

/** What a batch says of one task, in order. */
interface Story {
  readonly key: string;
  readonly name: TaskName;
  readonly parts: { readonly subject: TaskSubject; readonly message: StoredMessage }[];
}

/** What became of a story. */
interface Outcome {
  /** The row; undefined if nothing was said. */
  readonly row: TaskRow | undefined;
  readonly definition: Definition | undefined;
  readonly unreadable: number;
}

/** The rows of the index. */
export class TaskTable {
  readonly #database: DatabaseSync;
  /** What happened to tasks, by time. */
  readonly metrics: MetricTable;
  readonly #recent = new RecentRows();
  readonly #get: StatementSync;
  readonly #getKnown: StatementSync;
  readonly #getDispatch: StatementSync;
  readonly #insert: StatementSync;
  readonly #update: StatementSync;
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
    this.metrics = new MetricTable(database);
    this.#get = database.prepare(`SELECT ${SELECT_ROW} FROM tasks t WHERE t.tenant = ? AND t.task_id = ?`);
    this.#getKnown = database.prepare(`SELECT row, ${SELECT_KNOWN} FROM tasks WHERE tenant = ? AND task_id = ?`);
    this.#getDispatch = database.prepare("SELECT dispatch FROM tasks WHERE row = ?");
    this.#insert = database.prepare(INSERT_ROW);
    this.#update = database.prepare(UPDATE_EVENT);
    this.#put = database.prepare(UPSERT_ROW);
    this.#remove = database.prepare("DELETE FROM tasks WHERE tenant = ? AND task_id = ?");
    this.#dropLabels = database.prepare(
      "DELETE FROM labels WHERE tenant = ? AND key = ? AND value = ? AND create_ms = ? AND task_id = ?",
    );
    this.#addLabel = database.prepare("INSERT OR IGNORE INTO labels VALUES (?, ?, ?, ?, ?)");
    this.#addRedrive = database.prepare("INSERT OR IGNORE INTO redrives VALUES (?, ?, ?, ?)");
    this.#dropRedrive = database.prepare(
      "DELETE FROM redrives WHERE tenant = ? AND task_id = ? AND create_ms = ? AND redriven_by = ?",
    );
    this.#count = database.prepare(ADD_COUNT);
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
    const stories = new Map<string, Story>();
    let unreadable = 0;
    for (const message of batch.messages) {
      const subject = parseTaskSubject(message.subject);
      if (subject === undefined) {
        unreadable += 1;
        continue;
      }
      const key = keyOf(subject);
      const story = stories.get(key);
      if (story === undefined) stories.set(key, { key, name: subject, parts: [{ subject, message }] });
      else story.parts.push({ subject, message });
    }
    this.#transaction(() => {
      const counts = new StateCounts();
      for (const story of stories.values()) unreadable += this.#tell(story, counts);
      counts.write(this.#count);
      const last = batch.messages.at(-1);
      if (last !== undefined) this.metrics.write(last.storeMs);
      this.#move.run(batch.created, batch.position);
    });
    return unreadable;
  }

  /** Writes what was counted and is not written yet. To be called when the log has no more to say, and before the file is closed. */
  settle(): void {
    if (this.metrics.isGathering) this.#transaction(() => this.metrics.settle());
  }

  /** Takes out rows of tasks that the log no longer has. */
  remove(names: readonly TaskName[]): void {
    this.#transaction(() => {
      const counts = new StateCounts();
      for (const name of names) {
        this.#recent.delete(keyOf(name));
        const row = this.get(name);
        if (row === undefined) continue;
        counts.add(row, -1);
        this.#undefine(row);
        this.#remove.run(name.tenant, name.taskId);
      }
      counts.write(this.#count);
    });
  }

  /** Has tasks whose timers were looked after not be looked at again before a time, unless the log has said something new of them. */
  postpone(looked: readonly Pick<DueRow, "row" | "ms">[], untilMs: number): void {
    this.#transaction(() => {
      for (const { row, ms } of looked) this.#postpone.run(Math.ceil(untilMs), row, ms);
    });
  }

  /** Brings the row of a task up to date. Nearly all stories are those of a task that is new, or of one that goes on. */
  #tell(story: Story, counts: StateCounts): number {
    const recent = this.#recent.get(story.key);
    const events = story.parts.every(({ subject }) => subject.kind === "event");
    if (events) {
      const standing = recent ?? this.#find(story.name);
      if (standing !== undefined) return this.#goOn(story, standing, counts);
    }
    if (recent === undefined) {
      const told = outcomeOf(emptyRow(story.name.tenant, story.name.taskId), story);
      if (told.row === undefined) return told.unreadable;
      const { changes, lastInsertRowid } = this.#insert.run(...valuesOf(told.row));
      if (changes === 1) {
        counts.add(told.row, 1);
        this.#measure(0, told.row);
        if (told.definition !== undefined) this.#define(told.row, told.definition);
        this.#remember(story.key, Number(lastInsertRowid), told.row);
        return told.unreadable;
      }
    }
    return this.#rewrite(story, counts);
  }

  /** Applies events only: writes what they change, and reads no more of the row than that takes. */
  #goOn({ key, parts }: Story, { number, known }: StandingRow, counts: StateCounts): number {
    let row: KnownRow = known;
    let columns: EventColumns | undefined;
    let news: EventFacts | undefined;
    let unreadable = 0;
    for (const { message } of parts) {
      let facts: EventFacts | undefined;
      try {
        facts = newsIn(row, message);
      } catch {
        unreadable += 1;
      }
      if (facts === undefined) continue;
      news = facts;
      columns = afterEvent(row, message, facts, () => this.#dispatchOf(number));
      row = { ...row, state: columns.state, eventSequence: columns.eventSequence };
    }
    if (columns === undefined) return unreadable;
    this.#update.run(...eventValuesOf(columns), number);
    counts.add(known, -1);
    counts.add(row, 1);
    this.metrics.count(known.state, row, columns.endMs, () => news);
    if (columns.endMs === null) this.#recent.set(key, { number, known: row });
    else this.#recent.delete(key);
    return unreadable;
  }

  /** Applies whatever it may be to the whole row. */
  #rewrite(story: Story, counts: StateCounts): number {
    this.#recent.delete(story.key);
    const before = this.get(story.name);
    const told = outcomeOf(before ?? emptyRow(story.name.tenant, story.name.taskId), story);
    if (told.row === undefined) return told.unreadable;
    this.#put.run(...valuesOf(told.row));
    if (before !== undefined) counts.add(before, -1);
    counts.add(told.row, 1);
    this.#measure(sameTask(before, told.row) ? before.state : 0, told.row);
    if (told.definition === undefined) return told.unreadable;
    if (before !== undefined) this.#undefine(before);
    this.#define(told.row, told.definition);
    return told.unreadable;
  }

  #measure(before: number, row: TaskRow): void {
    this.metrics.count(before, row, row.endMs, () => (row.event === null ? undefined : readEvent(row.event)));
  }

  #remember(key: string, number: number, row: TaskRow): void {
    // An ended task is hardly heard of again.
    if (row.endMs !== null) return;
    this.#recent.set(key, { number, known: knownOf(row) });
  }

  #find(name: TaskName): StandingRow | undefined {
    const values = this.#getKnown.get(name.tenant, name.taskId);
    return values === undefined ? undefined : { number: Number(values["row"]), known: knownRowOf(name, values) };
  }

  #dispatchOf(number: number): Uint8Array | null {
    const dispatch = this.#getDispatch.get(number)?.["dispatch"];
    return dispatch instanceof Uint8Array ? dispatch : null;
  }

  #define(row: TaskRow, { labels, redriveOf }: Definition): void {
    for (const [key, value] of Object.entries(labels)) {
      this.#addLabel.run(row.tenant, key, value, row.createMs, row.taskId);
    }
    if (redriveOf !== "") this.#addRedrive.run(row.tenant, redriveOf, row.createMs, row.taskId);
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

  #transaction(work: () => void): void {
    this.#database.exec("BEGIN IMMEDIATE");
    try {
      work();
      this.#database.exec("COMMIT");
    } catch (error) {
      // What it remembers may be what was just undone.
      this.#recent.clear();
      this.metrics.forget();
      this.#database.exec("ROLLBACK");
      throw error;
    }
  }
}

/** Whether a row goes on with the task of the row before: its id may have been purged and used again. */
function sameTask(before: TaskRow | undefined, after: TaskRow): before is TaskRow {
  return before !== undefined && (before.dispatchSequence === 0 || before.createMs === after.createMs);
}

/** What the parts of a story make of a row. */
function outcomeOf(before: TaskRow, { parts }: Story): Outcome {
  let row = before;
  let definition: Definition | undefined;
  let unreadable = 0;
  for (const { subject, message } of parts) {
    try {
      const projected = project(row, subject, message);
      if (projected === undefined) continue;
      row = projected.row;
      definition = projected.definition ?? definition;
    } catch {
      // Written by a newer version or not by the mesh at all: one bad message must not stop the index.
      unreadable += 1;
    }
  }
  return { row: row === before ? undefined : row, definition, unreadable };
}

function keyOf({ tenant, taskId }: TaskName): string {
  return `${tenant}.${taskId}`;
}
