// The log of tasks: reading what it says of one task, and writing to it by compare-and-set.
//
// An answer that got lost is resolved by reading what stands in the log and comparing operation ids or digests, never by guessing.

import { JetStreamApiError, type JetStreamManager } from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/nats-core";
import type { Dispatch, TaskEvent } from "../../gen/mycel/v1/task_log_pb.ts";
import type { EventDraft } from "../core/event.ts";
import { WITHDRAWN_QUEUE } from "../core/names.ts";
import { stateOf } from "../core/task.ts";
import { isTerminal } from "../core/task-state.ts";
import { stateToWire } from "../wire/state-codec.ts";
import {
  decodeDispatch,
  decodeEvent,
  encodeDispatch,
  encodeEvent,
  type EventContext,
  type TaskRecord,
  viewOf,
} from "../wire/task-codec.ts";
import {
  dispatchFilter,
  dispatchSubject,
  eventSubject,
  outputFilter,
  OUTPUT_STREAM,
  parseTaskSubject,
  taskFilter,
  TASKS_STREAM,
  timerFilters,
  TIMERS_STREAM,
} from "../wire/subjects.ts";
import { brokerUnavailable, notServed, storageFull } from "./broker-errors.ts";
import type { DirectReader, StoredMessage } from "./direct-reader.ts";
import { type LeaderMessage, type LeaderQuery, readFromLeader } from "./stream-leader.ts";
import type { StreamMessage, StreamPublisher } from "./stream-publisher.ts";

/** W3C trace context, as it stands in headers. Empty texts mean none. */
export interface TraceHeaders {
  readonly traceparent: string;
  readonly tracestate: string;
}

/** A dispatch to be written. */
export interface DispatchDraft {
  readonly tenant: string;
  readonly taskId: string;
  readonly queue: string;
  readonly priority: number;
  /** The message, encoded. */
  readonly body: Uint8Array;
  readonly trace: TraceHeaders;
}

/** What became of a write. */
export type WriteOutcome =
  | { readonly kind: "stored"; readonly sequence: number }
  /** Somebody else moved the task first, or it exists already. */
  | { readonly kind: "conflict" };

/** Reads and writes tasks. Every method throws MeshError BROKER_UNAVAILABLE when the broker does not answer. */
export class TaskLog {
  readonly #connection: NatsConnection;
  readonly #manager: JetStreamManager;
  readonly #publisher: StreamPublisher;
  readonly #reader: Pick<DirectReader, "read">;

  constructor(parts: {
    readonly connection: NatsConnection;
    readonly manager: JetStreamManager;
    readonly publisher: StreamPublisher;
    readonly reader: Pick<DirectReader, "read">;
  }) {
    this.#connection = parts.connection;
    this.#manager = parts.manager;
    this.#publisher = parts.publisher;
    this.#reader = parts.reader;
  }

  /**
   * What the log says of a task; undefined if there is none. It may be answered by a replica that lags behind, so whatever is decided
   * from it has to be confirmed by a write. `reached` is a sequence that is known to stand about the task: a replica that has not come
   * that far is not believed.
   */
  async read(tenant: string, taskId: string, reached = 0): Promise<TaskRecord | undefined> {
    const query = { multi_last: [taskFilter(tenant, taskId)] };
    const record = recordOf(tenant, taskId, await this.#reader.read(TASKS_STREAM, query));
    const seen = Math.max(record?.dispatch.sequence ?? 0, record?.event?.sequence ?? 0);
    // Nor has a replica the last word on what does not exist.
    return record === undefined || seen < reached ? await this.readLatest(tenant, taskId) : record;
  }

  /**
   * What is told of a task to whoever may have heard of its end elsewhere; undefined if there is none. An end is one whoever tells it;
   * that a task has not ended is believed of the leader alone.
   */
  async readCurrent(tenant: string, taskId: string): Promise<TaskRecord | undefined> {
    const record = await this.read(tenant, taskId);
    if (record === undefined || isTerminal(stateOf(viewOf(record)))) return record;
    return await this.readLatest(tenant, taskId);
  }

  /** What the leader says of a task: for decisions that no write confirms. */
  async readLatest(tenant: string, taskId: string): Promise<TaskRecord | undefined> {
    const readEvent = (): Promise<LeaderMessage | undefined> =>
      this.#readLeader({ last_by_subj: eventSubject(tenant, taskId) });
    // The event first: a dispatch that is newer than it is one that followed, never the other way round.
    for (let event = await readEvent(); ;) {
      const dispatch = await this.#readLeader({ last_by_subj: dispatchFilter(tenant, taskId) });
      const messages = [event, dispatch].filter((message) => message !== undefined);
      const follows = event !== undefined && dispatch !== undefined && dispatch.sequence > event.sequence;
      const again = follows ? await readEvent() : event;
      if (again?.sequence === event?.sequence) return recordOf(tenant, taskId, messages);
      // The task went on; or it was purged in between, and the dispatch is of another one of its name.
      event = again;
    }
  }

  /** Writes a dispatch if the task's last dispatch has this sequence; 0 for a submission. */
  async dispatch(dispatch: DispatchDraft, expected: number): Promise<WriteOutcome> {
    const outcome = await this.#publisher.publish(dispatchMessage(dispatch, expected));
    if (outcome.kind === "unknown") return this.#resolveDispatch(dispatch, expected, outcome.cause);
    return settled(outcome);
  }

  /** Writes up to 1,000 submissions, all or none. A conflict means that at least one of them exists. */
  async dispatchBatch(dispatches: readonly DispatchDraft[]): Promise<WriteOutcome> {
    const outcome = await this.#publisher.publishBatch(dispatches.map((dispatch) => dispatchMessage(dispatch, 0)));
    // Whether a batch whose answer got lost stands is seen by any of its submissions: the caller reads them as after a conflict.
    if (outcome.kind === "unknown") {
      await this.#connection.flush().catch(() => undefined);
      return { kind: "conflict" };
    }
    return settled(outcome);
  }

  /** Writes an event if the task's last event has this sequence; 0 for none. Writing the same operation again is recognised. */
  async append(
    task: { readonly tenant: string; readonly taskId: string },
    draft: EventDraft,
    context: EventContext,
    expected: number,
    trace?: TraceHeaders,
  ): Promise<WriteOutcome> {
    const subject = eventSubject(task.tenant, task.taskId);
    const outcome = await this.#publisher.publish({
      subject,
      body: encodeEvent(draft, context),
      expected,
      ...(trace === undefined ? {} : { headers: { ...trace } }),
    });
    if (outcome.kind === "stored") return outcome;
    if (outcome.kind === "full") throw storageFull();
    if (outcome.kind === "unserved") throw notServed();
    const last = await this.#readLeader({ last_by_subj: subject });
    if (last !== undefined && isOwn(decodeEvent(last.body), draft, context.operationId)) {
      return { kind: "stored", sequence: last.sequence };
    }
    if (outcome.kind === "conflict") return outcome;
    throw brokerUnavailable(outcome.cause);
  }

  /**
   * Takes the work item of an ended task out of its queue, so that no handler starts for it. The definition is kept under a system
   * queue. Best effort: if it fails half-way, an agent that gets the item is told that the task has ended.
   */
  async withdraw(record: TaskRecord): Promise<void> {
    const { tenant, taskId, dispatch, trace } = record;
    if (dispatch.queue === WITHDRAWN_QUEUE) return;
    const body = encodeDispatch(dispatch.message);
    const copy = { tenant, taskId, queue: WITHDRAWN_QUEUE, priority: dispatch.priority, body, trace };
    const outcome = await this.#publisher.publish(dispatchMessage(copy, dispatch.sequence));
    if (outcome.kind !== "stored") return;
    try {
      await this.#manager.streams.deleteMessage(TASKS_STREAM, dispatch.sequence, false);
    } catch (error) {
      if (!(error instanceof JetStreamApiError)) throw error;
      // Refused, it may have been done all the same. Only if the end of the task is gone, too, was it purged meanwhile: then the copy
      // alone would be a task that waits for ever.
      if ((await this.#readLeader({ last_by_subj: eventSubject(tenant, taskId) })) !== undefined) return;
      await this.#manager.streams.deleteMessage(TASKS_STREAM, outcome.sequence, false);
    }
  }

  /**
   * Removes everything about a task, if the event that ended it has this sequence, or whatever its state if none is given. A task that was
   * submitted anew under the id is left alone, however late the broker gets to it.
   */
  async purge(tenant: string, taskId: string, ended?: number): Promise<void> {
    const end = await this.#readLeader({ last_by_subj: eventSubject(tenant, taskId) });
    const outputs = { stream: OUTPUT_STREAM, filter: outputFilter(tenant, taskId) };
    const timers = timerFilters(tenant, taskId).map((filter) => ({ stream: TIMERS_STREAM, filter }));
    const beside = [outputs, ...timers];
    const lasts = await Promise.all(
      beside.map(({ stream, filter }) => this.#readLeader({ last_by_subj: filter }, stream)),
    );
    // Read after them: as long as the task stands, no output can belong to a later one.
    const record = await this.readLatest(tenant, taskId);
    if (record === undefined || (ended !== undefined && record.event?.sequence !== ended)) return;
    // The task goes last: while it stands, a purge that was cut off is done again.
    for (const [i, { stream, filter }] of beside.entries()) {
      const last = lasts[i];
      // Deadlines are armed before a submission is written: what was set since the task ended is the next one's, or finds nothing to do.
      if (stream === TIMERS_STREAM && end !== undefined && (last?.storeMs ?? 0) > end.storeMs) continue;
      await this.#purgeUpTo(stream, filter, last?.sequence);
    }
    const last = Math.max(record.dispatch.sequence, record.event?.sequence ?? 0);
    await this.#purgeUpTo(TASKS_STREAM, taskFilter(tenant, taskId), last);
    await this.#purgeCopy(tenant, taskId, record.dispatch.sequence);
  }

  /** Whoever withdrew the work item of a purged task meanwhile has left a copy of it, which nothing would ever end. */
  async #purgeCopy(tenant: string, taskId: string, dispatch: number): Promise<void> {
    const filter = dispatchFilter(tenant, taskId);
    const left = await this.#readLeader({ last_by_subj: filter });
    const subject = left === undefined ? undefined : parseTaskSubject(left.subject);
    const copied = subject?.kind === "dispatch" && subject.queue === WITHDRAWN_QUEUE && left?.expected === dispatch;
    if (copied) await this.#purgeUpTo(TASKS_STREAM, filter, left.sequence);
  }

  async #purgeUpTo(stream: string, filter: string, last: number | undefined): Promise<void> {
    if (last !== undefined) await this.#manager.streams.purge(stream, { filter, seq: last + 1 });
  }

  async #resolveDispatch(dispatch: DispatchDraft, expected: number, cause: unknown): Promise<WriteOutcome> {
    const record = await this.readLatest(dispatch.tenant, dispatch.taskId);
    if (record === undefined || record.dispatch.sequence <= expected) throw brokerUnavailable(cause);
    const same = sameDispatch(record.dispatch.message, decodeDispatch(dispatch.body));
    // Whoever wanted to end a wait from an old view finds the dispatch that ended it; meanwhile the task may wait again, for another one.
    const moved = expected > 0 && (record.event?.sequence ?? 0) > record.dispatch.sequence;
    return same && !moved ? { kind: "stored", sequence: record.dispatch.sequence } : { kind: "conflict" };
  }

  async #readLeader(query: LeaderQuery, stream: string = TASKS_STREAM): Promise<LeaderMessage | undefined> {
    return await readFromLeader(this.#connection, stream, query);
  }
}

/** A message about a task, however it was read. */
type TaskMessage = Pick<StoredMessage, "subject" | "sequence" | "body" | "traceparent" | "tracestate">;

/** Puts together what stands in the log about a task, from the last message of each of its subjects. */
export function recordOf(tenant: string, taskId: string, messages: readonly TaskMessage[]): TaskRecord | undefined {
  let newest: { readonly stored: TaskMessage; readonly queue: string; readonly priority: number } | undefined;
  let event: TaskRecord["event"];
  for (const stored of messages) {
    const subject = parseTaskSubject(stored.subject);
    if (subject?.kind === "event") event = { message: decodeEvent(stored.body), sequence: stored.sequence };
    else if (subject?.kind === "dispatch" && stored.sequence > (newest?.stored.sequence ?? 0)) {
      newest = { stored, queue: subject.queue, priority: subject.priority };
    }
  }
  if (newest === undefined) return undefined;
  const { stored, queue, priority } = newest;
  return {
    tenant,
    taskId,
    dispatch: { message: decodeDispatch(stored.body), sequence: stored.sequence, queue, priority },
    event,
    trace: { traceparent: stored.traceparent, tracestate: stored.tracestate },
  };
}

function dispatchMessage(dispatch: DispatchDraft, expected: number): StreamMessage {
  const { tenant, taskId, queue, priority, trace } = dispatch;
  return {
    subject: dispatchSubject(tenant, taskId, queue, priority),
    body: dispatch.body,
    expected,
    filter: dispatchFilter(tenant, taskId),
    headers: { ...trace },
  };
}

/**
 * Whether what stands is what was to be written. The operation alone does not say it: two copies of one report can be decided
 * differently, and a start must not be taken for a time-out.
 */
function isOwn(standing: TaskEvent, draft: EventDraft, operationId: string): boolean {
  const same = standing.state === stateToWire(draft.state) && standing.attempt === draft.attempt;
  return same && standing.operationId === operationId;
}

/** Whether what stands is what was to be written: the same submission, or the same attempt of the same chain. */
function sameDispatch(standing: Dispatch, written: Dispatch): boolean {
  const digests = Buffer.compare(standing.requestDigest, written.requestDigest) === 0;
  const [stood, wrote] = [standing.task?.createTime, written.task?.createTime];
  const times = stood?.seconds === wrote?.seconds && stood?.nanos === wrote?.nanos;
  return digests && times && standing.attempt === written.attempt && standing.fence === written.fence;
}

function settled(
  outcome: { readonly kind: "stored"; readonly sequence: number } | { readonly kind: "conflict" | "full" | "unserved" },
): WriteOutcome {
  if (outcome.kind === "full") throw storageFull();
  if (outcome.kind === "unserved") throw notServed();
  return outcome.kind === "stored" ? outcome : { kind: "conflict" };
}
