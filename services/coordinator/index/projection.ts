// What a message of the log makes of a task's row. Pure: the same messages give the same row, in whatever order and however often they
// come, because only what is newer than what the row was made of counts.

import { DEFAULT_RESULT_TTL_MS } from "../../../lib/core/limits.ts";
import { WITHDRAWN_QUEUE } from "../../../lib/core/names.ts";
import { type LastDispatch, type LastEvent, stateOf } from "../../../lib/core/task.ts";
import { nextDueMs } from "../../../lib/core/task-timers.ts";
import { isDeadLetter, isTerminal } from "../../../lib/core/task-state.ts";
import type { StoredMessage } from "../../../lib/nats/direct-reader.ts";
import { stateFromWire, stateToWire } from "../../../lib/wire/state-codec.ts";
import type { TaskSubject } from "../../../lib/wire/subjects.ts";
import { type DispatchFacts, type EventFacts, readDispatch, readEvent } from "./stored-facts.ts";

/** What of a row follows from its newest dispatch and its last event together. */
interface Standing {
  /** The contract's number; 0 while no dispatch is known. */
  readonly state: number;
  readonly endMs: number | null;
  readonly expireMs: number | null;
  /** Since when an open task's log ages; null once it has ended. */
  readonly openMs: number | null;
  /** When the first timer of an open task is due, or its timers are to be looked after again; null if it needs none. */
  readonly dueMs: number | null;
  readonly dead: number;
}

/** What of a row an event changes. */
export interface EventColumns extends Standing {
  readonly agentId: string;
  readonly eventSequence: number;
  /** The contract's number of the last event's state; 0 for no event. */
  readonly eventState: number;
  readonly eventMs: number;
  /** The last event without the result. */
  readonly event: Uint8Array | null;
}

/** A task as the index keeps it. */
export interface TaskRow extends EventColumns {
  readonly tenant: string;
  readonly taskId: string;
  readonly type: string;
  readonly queue: string;
  readonly priority: number;
  readonly createMs: number;
  /** The queue in the newest dispatch's subject, which may be a system queue. */
  readonly lane: string;
  readonly startMs: number | null;
  readonly resultTtlMs: number;
  readonly dispatchSequence: number;
  /** Events before this belong to an earlier task of the same id. */
  readonly floorSequence: number;
  readonly traceparent: string;
  /** The newest dispatch without the task's input. */
  readonly dispatch: Uint8Array | null;
}

/** What of a row must be known to apply an event to it. */
export type KnownRow = Pick<
  TaskRow,
  | "tenant"
  | "taskId"
  | "type"
  | "queue"
  | "state"
  | "createMs"
  | "lane"
  | "startMs"
  | "resultTtlMs"
  | "dispatchSequence"
  | "floorSequence"
  | "eventSequence"
>;

/** What a dispatch tells beside the row. */
export interface Definition {
  readonly labels: Readonly<Record<string, string>>;
  readonly redriveOf: string;
}

/** A row, and the definition if a new one was read. */
export interface Projected {
  readonly row: TaskRow;
  readonly definition: Definition | undefined;
}

/** The definition in a row; undefined while no dispatch is known. */
export function definitionOf(row: TaskRow): Definition | undefined {
  return row.dispatch === null ? undefined : readDispatch(row.dispatch);
}

/** The row of a task of which nothing is known. */
export function emptyRow(tenant: string, taskId: string): TaskRow {
  return {
    tenant,
    taskId,
    type: "",
    queue: "",
    priority: 0,
    state: 0,
    agentId: "",
    createMs: 0,
    endMs: null,
    expireMs: null,
    openMs: null,
    dueMs: null,
    dead: 0,
    lane: "",
    startMs: null,
    resultTtlMs: DEFAULT_RESULT_TTL_MS,
    dispatchSequence: 0,
    floorSequence: 0,
    eventSequence: 0,
    eventState: 0,
    eventMs: 0,
    traceparent: "",
    dispatch: null,
    event: null,
  };
}

/** The row after a message; undefined if the message says nothing new. Throws if the message can't be read. */
export function project(row: TaskRow, subject: TaskSubject, message: StoredMessage): Projected | undefined {
  if (subject.kind === "dispatch") return afterDispatch(row, subject, message);
  const facts = newsIn(row, message);
  if (facts === undefined) return undefined;
  return { row: { ...row, ...afterEvent(row, message, facts, () => row.dispatch) }, definition: undefined };
}

/** What of a row must be known to apply an event to it. */
export function knownOf(row: TaskRow): KnownRow {
  const { tenant, taskId, type, queue, state, createMs, lane, startMs, resultTtlMs } = row;
  const { dispatchSequence, floorSequence, eventSequence } = row;
  return {
    tenant,
    taskId,
    type,
    queue,
    state,
    createMs,
    lane,
    startMs,
    resultTtlMs,
    dispatchSequence,
    floorSequence,
    eventSequence,
  };
}

/** What an event tells of a row; undefined if it is nothing new. Throws if it can't be read. */
export function newsIn(row: KnownRow, { sequence, body }: StoredMessage): EventFacts | undefined {
  return sequence <= row.eventSequence || sequence < row.floorSequence ? undefined : readEvent(body);
}

/** What news make of a row. Asks for the row's dispatch only if the task has not ended. */
export function afterEvent(
  row: KnownRow,
  { sequence, storeMs }: StoredMessage,
  facts: EventFacts,
  dispatchOf: () => Uint8Array | null,
): EventColumns {
  const last = { sequence, state: facts.state, ms: facts.eventMs ?? storeMs };
  const { state, endMs, expireMs, openMs, dueMs, dead } = standingOf(row, last, () => {
    const dispatch = dispatchOf();
    return dispatch === null ? undefined : [readDispatch(dispatch), facts];
  });
  return {
    state,
    agentId: facts.agentId,
    endMs,
    expireMs,
    openMs,
    dueMs,
    dead,
    eventSequence: sequence,
    eventState: facts.state,
    eventMs: last.ms,
    event: facts.kept,
  };
}

function afterDispatch(
  row: TaskRow,
  subject: Extract<TaskSubject, { kind: "dispatch" }>,
  message: StoredMessage,
): Projected | undefined {
  if (message.sequence <= row.dispatchSequence) return undefined;
  const facts = readDispatch(message.body);
  const createMs = facts.createMs ?? message.storeMs;
  const known = row.dispatchSequence > 0 && row.createMs === createMs;
  const before = row.dispatchSequence > 0 && !known ? anew(row, subject.queue, message.sequence) : row;
  const next: TaskRow = {
    ...before,
    type: facts.type,
    queue: facts.queue,
    priority: subject.priority,
    createMs,
    lane: subject.queue,
    startMs: facts.startMs ?? null,
    // The table holds whole numbers only.
    resultTtlMs: Math.ceil(facts.resultTtlMs ?? DEFAULT_RESULT_TTL_MS),
    dispatchSequence: message.sequence,
    traceparent: message.traceparent,
    dispatch: facts.kept,
  };
  const last = { sequence: next.eventSequence, state: next.eventState, ms: next.eventMs };
  const event = (): EventFacts | undefined => (next.event === null ? undefined : readEvent(next.event));
  return {
    row: Object.assign(
      next,
      standingOf(next, last, () => [facts, event()]),
    ),
    definition: known ? undefined : facts,
  };
}

/** The id was purged from the log and submitted again, which this index has not seen: the old task's event must not count. */
function anew(row: TaskRow, lane: string, sequence: number): TaskRow {
  // Only an ended task is withdrawn, so the event that stands before such a dispatch is the new task's own.
  if (lane === WITHDRAWN_QUEUE && row.eventSequence > row.dispatchSequence) return row;
  const fresh = emptyRow(row.tenant, row.taskId);
  if (row.eventSequence < sequence) return { ...fresh, floorSequence: sequence };
  const { eventSequence, eventState, eventMs, agentId, event } = row;
  return { ...fresh, floorSequence: sequence, eventSequence, eventState, eventMs, agentId, event };
}

/** A last event, as far as columns tell of it. */
interface Last {
  /** 0 for no event. */
  readonly sequence: number;
  readonly state: number;
  readonly ms: number;
}

/** A dispatch and a last event in full. */
type Told = readonly [dispatch: DispatchFacts, event: EventFacts | undefined];

/** What follows from the newest dispatch and the last event, by the same rule as everywhere. Only an open task's timers need more than columns. */
function standingOf(row: KnownRow, last: Last, tellMore: () => Told | undefined): Standing {
  const state = stateOf({ dispatch: dispatchIn(row), last: eventIn(row, last) });
  const ended = isTerminal(state);
  const endMs = ended ? last.ms : null;
  const known = row.dispatchSequence > 0;
  const openMs = known ? (state === "scheduled" ? row.createMs : Math.max(row.createMs, row.startMs ?? 0)) : last.ms;
  return {
    state: known ? stateToWire(state) : 0,
    endMs,
    expireMs: endMs === null ? null : Math.trunc(endMs + row.resultTtlMs),
    openMs: ended ? null : openMs,
    dueMs: known && !ended ? dueMsIn(row, last, tellMore()) : null,
    dead: known && isDeadLetter(state) ? 1 : 0,
  };
}

function dueMsIn(row: KnownRow, last: Last, told: Told | undefined): number | null {
  if (told === undefined) return null;
  const [{ createMs = 0, startMs, timeouts }, event] = told;
  const view = { createMs, startMs, timeouts, dispatch: dispatchIn(row), last: eventIn(row, last, event) };
  const dueMs = nextDueMs(view);
  return dueMs === undefined ? null : Math.ceil(dueMs);
}

function dispatchIn(row: KnownRow): LastDispatch {
  return { sequence: row.dispatchSequence, queue: row.lane, attempt: 0, fence: 0, beginRequired: false };
}

function eventIn(row: KnownRow, last: Last, told?: EventFacts): LastEvent | undefined {
  if (last.sequence === 0) return undefined;
  return {
    sequence: last.sequence,
    // As in viewOf: a state that this version doesn't know.
    state: stateFromWire(last.state) ?? "failed",
    attempt: told?.attempt ?? 0,
    nextAttempt: 0,
    agentId: told?.agentId ?? "",
    attemptStartMs: told?.attemptStartMs,
    nextAttemptMs: told?.nextAttemptMs,
    operationId: "",
    dispatchSequence: row.dispatchSequence,
    deliveries: 0,
  };
}
