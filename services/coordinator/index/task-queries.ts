// Answers lists and counts from the index's rows.

import { create } from "@bufbuild/protobuf";
import type { DatabaseSync, SQLOutputValue } from "node:sqlite";
import {
  type CountTasksRequest,
  type CountTasksResponse,
  CountTasksResponseSchema,
  type ListDeadLettersRequest,
  type ListDeadLettersResponse,
  ListDeadLettersResponseSchema,
  type ListTasksRequest,
  type ListTasksResponse,
  ListTasksResponseSchema,
  type TaskFilter,
} from "../../../gen/mycel/v1/agent_service_pb.ts";
import type { Task } from "../../../gen/mycel/v1/task_pb.ts";
import { TASK_STATES } from "../../../lib/core/task-state.ts";
import { stateToWire } from "../../../lib/wire/state-codec.ts";
import { decodeDispatch, decodeEvent, taskOf } from "../../../lib/wire/task-codec.ts";
import type { TaskScope } from "../../../lib/core/access/task-scope.ts";
import { timestampFromMs } from "../../../lib/wire/time-codec.ts";
import { deadLetterRange, type FilterRange, taskRanges } from "./filter-sql.ts";
import { checkCountTasks, checkListDeadLetters, checkListTasks, type PageQuery } from "./list-query.ts";
import { encodePageToken, type PagePlace } from "./page-token.ts";
import type { TaskRow } from "./projection.ts";
import { narrowed, type NarrowedFilter } from "./scope-sql.ts";
import { rowOf, SELECT_ROW } from "./task-columns.ts";

/** How large a page may get, in bytes: it must pass through NATS, whose messages end at 1 MiB. */
const MAX_PAGE_BYTES = 700 * 1024;

/** What a row's status adds at most to the bytes of its dispatch and event. */
const STATUS_BYTES = 256;

const REDRIVEN_BY = `SELECT redriven_by FROM redrives WHERE tenant = ? AND task_id = ?
  ORDER BY create_ms DESC, redriven_by DESC LIMIT 1`;

/** How a question is answered. */
export interface AnswerOptions {
  /** The time as of which the index shows the log, in milliseconds since 1970. */
  readonly asOfMs: number;
  /** The tasks that whoever asks may see; all if undefined. */
  readonly scope?: TaskScope | undefined;
}

/** Answers a list of tasks. Throws INVALID_REQUEST. */
export function listTasks(
  database: DatabaseSync,
  tenant: string,
  request: ListTasksRequest,
  { asOfMs, scope }: AnswerOptions,
): ListTasksResponse {
  const query = checkListTasks(tenant, request, scope);
  const part = narrowed(database, tenant, request.filter, scope);
  const ranges = part === undefined ? [] : taskRanges(tenant, part, query.after);
  const { rows, nextPageToken } = readPage(database, query, ranges, (row) => row.createMs);
  const asOfTime = timestampFromMs(asOfMs);
  return create(ListTasksResponseSchema, { tasks: rows.map(taskIn), nextPageToken, asOfTime });
}

/** Answers a list of dead letters. Throws INVALID_REQUEST. */
export function listDeadLetters(
  database: DatabaseSync,
  tenant: string,
  request: ListDeadLettersRequest,
  { asOfMs, scope }: AnswerOptions,
): ListDeadLettersResponse {
  const query = checkListDeadLetters(tenant, request, scope);
  const part = narrowed(database, tenant, request.filter, scope);
  const ranges = part === undefined ? [] : [deadLetterRange(tenant, part, request.includeRedriven, query.after)];
  const { rows, nextPageToken } = readPage(database, query, ranges, (row) => row.endMs ?? 0);
  const redrivenBy = database.prepare(REDRIVEN_BY);
  const deadLetters = rows.map((row) => ({
    task: taskIn(row),
    redrivenBy: String(redrivenBy.get(tenant, row.taskId)?.["redriven_by"] ?? ""),
  }));
  return create(ListDeadLettersResponseSchema, { deadLetters, nextPageToken, asOfTime: timestampFromMs(asOfMs) });
}

/** Answers counts. Throws INVALID_REQUEST. */
export function countTasks(
  database: DatabaseSync,
  tenant: string,
  request: CountTasksRequest,
  { asOfMs, scope }: AnswerOptions,
): CountTasksResponse {
  checkCountTasks(request);
  const part = narrowed(database, tenant, request.filter, scope);
  const counts = part === undefined ? new Map<number, number>() : countByState(database, tenant, part);
  const found = TASK_STATES.map((word) => {
    const state = stateToWire(word);
    return { state, tasks: counts.get(state) ?? 0 };
  }).filter(({ tasks }) => tasks > 0);
  return create(CountTasksResponseSchema, {
    counts: found.map(({ state, tasks }) => ({ state, taskCount: BigInt(tasks) })),
    totalCount: BigInt(found.reduce((sum, { tasks }) => sum + tasks, 0)),
    asOfTime: timestampFromMs(asOfMs),
  });
}

function countByState(database: DatabaseSync, tenant: string, part: NarrowedFilter): Map<number, number> {
  const { filter } = part;
  const counts = new Map<number, number>();
  const add = (values: Record<string, SQLOutputValue>): void => {
    const state = Number(values["state"]);
    counts.set(state, (counts.get(state) ?? 0) + Number(values["tasks"]));
  };
  if (part.conditions.length === 0 && isKept(filter)) {
    const kept = "SELECT type, queue, state, tasks FROM counts WHERE tenant = ?";
    for (const values of database.prepare(kept).iterate(tenant)) {
      const wanted =
        among(filter?.types, values["type"]) &&
        among(filter?.states, values["state"]) &&
        (filter === undefined || filter.queue === "" || filter.queue === values["queue"]);
      if (wanted) add(values);
    }
    return counts;
  }
  for (const { from, where, parameters } of taskRanges(tenant, part, undefined)) {
    const sql = `SELECT t.state AS state, count(*) AS tasks FROM ${from} WHERE ${where} GROUP BY t.state`;
    for (const values of database.prepare(sql).iterate(...parameters)) add(values);
  }
  return counts;
}

/** Whether the answer is kept as a number for each type, queue and state, and no task need be looked at. */
function isKept(filter: TaskFilter | undefined): boolean {
  if (filter === undefined) return true;
  const { agentId, labels, createTimeFrom, createTimeUntil } = filter;
  return (
    agentId === "" && createTimeFrom === undefined && createTimeUntil === undefined && Object.keys(labels).length === 0
  );
}

function among(allowed: readonly (string | number)[] | undefined, value: SQLOutputValue | undefined): boolean {
  return allowed === undefined || allowed.length === 0 || allowed.some((one) => one === value);
}

interface Page {
  readonly rows: readonly TaskRow[];
  readonly nextPageToken: string;
}

function readPage(
  database: DatabaseSync,
  query: PageQuery,
  ranges: readonly FilterRange[],
  timeOf: (row: TaskRow) => number,
): Page {
  const rows: TaskRow[] = [];
  let bytes = 0;
  let more = false;
  for (const row of merged(
    ranges.map((range) => rowsIn(database, range, query.pageSize + 1)),
    timeOf,
  )) {
    bytes += (row.dispatch?.length ?? 0) + (row.event?.length ?? 0) + STATUS_BYTES;
    more = rows.length === query.pageSize || (bytes > MAX_PAGE_BYTES && rows.length > 0);
    if (more) break;
    rows.push(row);
  }
  const last = rows.at(-1);
  if (!more || last === undefined) return { rows, nextPageToken: "" };
  const place: PagePlace = { ms: timeOf(last), taskId: last.taskId };
  return { rows, nextPageToken: encodePageToken(query.question, place) };
}

function* rowsIn(database: DatabaseSync, range: FilterRange, limit: number): Generator<TaskRow, void, undefined> {
  const { from, where, orderBy, parameters } = range;
  const sql = `SELECT ${SELECT_ROW} FROM ${from} WHERE ${where} ORDER BY ${orderBy} LIMIT ${limit}`;
  for (const values of database.prepare(sql).iterate(...parameters)) yield rowOf(values);
}

/** Merges sources that are ordered by time and id, latest first, reading no further than asked. */
function* merged(
  sources: readonly Generator<TaskRow, void, undefined>[],
  timeOf: (row: TaskRow) => number,
): Generator<TaskRow, void, undefined> {
  const heads: { row: TaskRow; readonly source: Generator<TaskRow, void, undefined> }[] = [];
  try {
    for (const source of sources) {
      const { value } = source.next();
      if (value !== undefined) heads.push({ row: value, source });
    }
    while (heads.length > 0) {
      const latest = heads.reduce((a, b) => (comesBefore(a.row, b.row, timeOf) ? a : b));
      yield latest.row;
      const { value } = latest.source.next();
      if (value === undefined) heads.splice(heads.indexOf(latest), 1);
      else latest.row = value;
    }
  } finally {
    for (const source of sources) source.return();
  }
}

function comesBefore(a: TaskRow, b: TaskRow, timeOf: (row: TaskRow) => number): boolean {
  const difference = timeOf(a) - timeOf(b);
  return difference === 0 ? a.taskId > b.taskId : difference > 0;
}

function taskIn(row: TaskRow): Task {
  const { tenant, taskId, lane, priority, traceparent } = row;
  const dispatch = {
    message: decodeDispatch(row.dispatch ?? new Uint8Array()),
    sequence: row.dispatchSequence,
    queue: lane,
    priority,
  };
  const event = row.event === null ? undefined : { message: decodeEvent(row.event), sequence: row.eventSequence };
  return taskOf({ tenant, taskId, dispatch, event, trace: { traceparent, tracestate: "" } }, false);
}
