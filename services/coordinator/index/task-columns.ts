// The columns of a task's row: their names, the statements that read and write them, and their values to and from SQLite.

import type { SQLInputValue, SQLOutputValue } from "node:sqlite";
import type { EventColumns, KnownRow, TaskRow } from "./projection.ts";

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

const KNOWN = [
  "type",
  "queue",
  "state",
  "createMs",
  "lane",
  "startMs",
  "resultTtlMs",
  "dispatchSequence",
  "floorSequence",
  "eventSequence",
] as const satisfies readonly (keyof KnownRow)[];

const CHANGED = [
  "state",
  "agentId",
  "endMs",
  "expireMs",
  "openMs",
  "dueMs",
  "dead",
  "eventSequence",
  "eventState",
  "eventMs",
  "event",
] as const satisfies readonly (keyof EventColumns)[];

const NAMES: readonly string[] = Object.values(COLUMNS).map(([name]) => name);

const INTO = `INTO tasks (${NAMES.join(", ")}) VALUES (${NAMES.map(() => "?").join(", ")})`;

/** The columns of a row, for `rowOf`. */
export const SELECT_ROW: string = NAMES.map((name) => `t.${name}`).join(", ");

/** Puts a row, given by `valuesOf`, in place of what stands there of the task. */
export const UPSERT_ROW: string = `INSERT ${INTO}
  ON CONFLICT (tenant, task_id) DO UPDATE SET ${NAMES.slice(2)
    .map((name) => `${name} = excluded.${name}`)
    .join(", ")}`;

/** Puts a row, given by `valuesOf`, where nothing stands of the task yet. */
export const INSERT_ROW: string = `INSERT ${INTO} ON CONFLICT DO NOTHING`;

/** The columns of a known row, for `knownRowOf`. */
export const SELECT_KNOWN: string = KNOWN.map((key) => COLUMNS[key][0]).join(", ");

/** Writes what an event changes, given by `eventValuesOf`, into the row whose number comes last. */
export const UPDATE_EVENT: string = `UPDATE tasks SET ${CHANGED.map((key) => `${COLUMNS[key][0]} = ?`).join(", ")} WHERE row = ?`;

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

/** Reads what of a task's row was selected by SELECT_KNOWN. */
export function knownRowOf(
  { tenant, taskId }: Pick<TaskRow, "tenant" | "taskId">,
  values: Readonly<Record<string, SQLOutputValue>>,
): KnownRow {
  const read = <K extends (typeof KNOWN)[number]>(key: K): TaskRow[K] => COLUMNS[key][1](values[COLUMNS[key][0]]);
  return {
    tenant,
    taskId,
    type: read("type"),
    queue: read("queue"),
    state: read("state"),
    createMs: read("createMs"),
    lane: read("lane"),
    startMs: read("startMs"),
    resultTtlMs: read("resultTtlMs"),
    dispatchSequence: read("dispatchSequence"),
    floorSequence: read("floorSequence"),
    eventSequence: read("eventSequence"),
  };
}

/** What an event changes, for UPDATE_EVENT. */
export function eventValuesOf(columns: EventColumns): SQLInputValue[] {
  return CHANGED.map((key) => columns[key]);
}

/** A row, for INSERT_ROW and UPSERT_ROW. */
export function valuesOf(row: TaskRow): SQLInputValue[] {
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
