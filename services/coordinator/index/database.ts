// The index's SQLite file: its schema, and how a file that will not do is thrown away. Everything in it can be rebuilt from the log.

import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { METRICS_SCHEMA } from "./metric-table.ts";

/** Grows with every change of the schema or of what its columns mean; a file of another version is rebuilt. */
export const SCHEMA_VERSION = 4;

/** The file's name in the data folder. */
const FILE_NAME = "task-index.sqlite";

/** Marks the file as ours: "Mycl". */
const APPLICATION_ID = 0x4d79636c;

// `state` is the contract's number; 0 marks a task of which only an event is known yet, which no query shows. Lists are ordered by
// (create_ms, task_id), which is the same on every coordinator and after every rebuild. Every index of a filter goes on with the state
// and that order, so that a page is read from a few ranges, whichever states are asked for.
//
// Most tasks wait in the queue that is called like their type: one index serves both filters for them, and two others serve the rest.
// Each index costs a task up to three changes of a tree, a tenth of all that the index does for it.
const SCHEMA = `
  CREATE TABLE log_position (
    only INTEGER PRIMARY KEY CHECK (only = 1), created TEXT NOT NULL, position INTEGER NOT NULL
  ) STRICT;
  INSERT INTO log_position VALUES (1, '', 0);
  CREATE TABLE tasks (
    row INTEGER PRIMARY KEY,
    tenant TEXT NOT NULL, task_id TEXT NOT NULL,
    type TEXT NOT NULL, queue TEXT NOT NULL, priority INTEGER NOT NULL,
    state INTEGER NOT NULL, agent_id TEXT NOT NULL,
    create_ms INTEGER NOT NULL, end_ms INTEGER, expire_ms INTEGER, open_ms INTEGER, due_ms INTEGER,
    dead INTEGER NOT NULL,
    lane TEXT NOT NULL, start_ms INTEGER, result_ttl_ms INTEGER NOT NULL,
    dispatch_sequence INTEGER NOT NULL, floor_sequence INTEGER NOT NULL,
    event_sequence INTEGER NOT NULL, event_state INTEGER NOT NULL, event_ms INTEGER NOT NULL,
    traceparent TEXT NOT NULL, dispatch BLOB, event BLOB,
    UNIQUE (tenant, task_id)
  ) STRICT;
  CREATE INDEX tasks_by_state ON tasks (tenant, state, create_ms, task_id);
  CREATE INDEX tasks_at_home ON tasks (tenant, type, state, create_ms, task_id) WHERE queue = type;
  CREATE INDEX tasks_by_type ON tasks (tenant, type, state, create_ms, task_id) WHERE queue <> type;
  CREATE INDEX tasks_by_queue ON tasks (tenant, queue, state, create_ms, task_id) WHERE queue <> type;
  CREATE INDEX tasks_by_agent ON tasks (tenant, agent_id, state, create_ms, task_id) WHERE agent_id <> '';
  CREATE INDEX tasks_by_failure ON tasks (tenant, end_ms, task_id) WHERE dead = 1;
  CREATE INDEX tasks_by_expiry ON tasks (expire_ms) WHERE expire_ms IS NOT NULL;
  CREATE INDEX tasks_open ON tasks (open_ms, row) WHERE open_ms IS NOT NULL;
  CREATE INDEX tasks_due ON tasks (due_ms, row) WHERE due_ms IS NOT NULL;
  CREATE TABLE labels (
    tenant TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL, create_ms INTEGER NOT NULL, task_id TEXT NOT NULL,
    PRIMARY KEY (tenant, key, value, create_ms, task_id)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE redrives (
    tenant TEXT NOT NULL, task_id TEXT NOT NULL, create_ms INTEGER NOT NULL, redriven_by TEXT NOT NULL,
    PRIMARY KEY (tenant, task_id, create_ms, redriven_by)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE counts (
    tenant TEXT NOT NULL, type TEXT NOT NULL, queue TEXT NOT NULL, state INTEGER NOT NULL, tasks INTEGER NOT NULL,
    PRIMARY KEY (tenant, type, queue, state)
  ) STRICT, WITHOUT ROWID;
  ${METRICS_SCHEMA}
`;

/** A place for the index. */
export interface IndexFile {
  /** The folder; in memory if empty. */
  readonly dataDir: string;
}

/** Opens the index's database as it is, or an empty one if there is none, it is damaged, or it has another schema. */
export function openDatabase(file: IndexFile): DatabaseSync {
  if (file.dataDir === "") return created(":memory:");
  // It holds what tasks were given.
  mkdirSync(file.dataDir, { recursive: true, mode: 0o700 });
  const path = join(file.dataDir, FILE_NAME);
  return usable(path) ?? recreateDatabase(file);
}

/** Opens an empty database in place of whatever is there, which nobody may have open. */
export function recreateDatabase(file: IndexFile): DatabaseSync {
  if (file.dataDir === "") return created(":memory:");
  const path = join(file.dataDir, FILE_NAME);
  for (const suffix of ["", "-wal", "-shm", "-journal"]) rmSync(path + suffix, { force: true });
  return created(path);
}

function usable(path: string): DatabaseSync | undefined {
  let database: DatabaseSync | undefined;
  try {
    database = connected(path);
    const fits =
      pragma(database, "application_id") === APPLICATION_ID && pragma(database, "user_version") === SCHEMA_VERSION;
    if (fits) return database;
  } catch (error) {
    // Another process has it: this one makes do without a file. Everything else is not a database, or a torn one.
    if (isBusy(error)) return created(":memory:");
  }
  database?.close();
  return undefined;
}

function created(path: string): DatabaseSync {
  const database = connected(path);
  database.exec(SCHEMA);
  // The version comes last: a file without it is one whose creation was cut off.
  database.exec(`PRAGMA application_id = ${APPLICATION_ID}; PRAGMA user_version = ${SCHEMA_VERSION}`);
  return database;
}

function connected(path: string): DatabaseSync {
  const database = new DatabaseSync(path);
  // What a power loss takes is read from the log again; OFF would risk a file that is torn without showing it. One process has the
  // file at a time: a second one on the same folder is told so instead of mixing in.
  database.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA locking_mode = EXCLUSIVE");
  database.exec("PRAGMA cache_size = -65536; PRAGMA temp_store = MEMORY; PRAGMA wal_autocheckpoint = 1000");
  return database;
}

/** SQLITE_BUSY. */
function isBusy(error: unknown): boolean {
  return error instanceof Error && "errcode" in error && error.errcode === 5;
}

function pragma(database: DatabaseSync, name: string): unknown {
  const row = database.prepare(`PRAGMA ${name}`).get();
  return row === undefined ? undefined : Object.values(row)[0];
}
