// What stands in a mesh's streams when a run is over, as plain data for the checker. Reads and decodes; judges nothing.
import type { Value } from "@bufbuild/protobuf/wkt";
import { jetstreamManager } from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/nats-core";
import type { Output } from "../../gen/mycel/v1/output_pb.ts";
import type { Payload } from "../../gen/mycel/v1/payload_pb.ts";
import { DirectReader, type StoredMessage } from "../../lib/nats/direct-reader.ts";
import { readFromLeader } from "../../lib/nats/stream-leader.ts";
import { pause } from "../../lib/time/pause.ts";
import { decodeOutputBatch } from "../../lib/wire/output-codec.ts";
import { stateFromWire } from "../../lib/wire/state-codec.ts";
import {
  OUTPUT_STREAM,
  OUTPUT_SUBJECTS,
  parseOutputSubject,
  parseTaskSubject,
  TASKS_STREAM,
  TASKS_SUBJECTS,
} from "../../lib/wire/subjects.ts";
import { decodeDispatch, decodeEvent, policyOf } from "../../lib/wire/task-codec.ts";
import { monotonicMs } from "./history.ts";

/** A message as it was stored. */
export interface Logged {
  /** Its stream sequence. */
  readonly sequence: number;
  /**
   * When it was stored, on the clock of the history, as far as the broker's wall clock can say. For people who read a counterexample;
   * nothing may be concluded from it.
   */
  readonly at: number;
}

/** A work item. */
export interface LoggedDispatch extends Logged {
  readonly queue: string;
  readonly priority: number;
  readonly attempt: number;
  /** The fencing token that it carries: the sequence of the task's last event when it was written, 0 for none. */
  readonly fence: number;
  readonly beginRequired: boolean;
  /** The sequence that its writer expected of the task's last dispatch, 0 for none; undefined if it was written without expectation. */
  readonly expected: number | undefined;
}

/** A link of a task's state chain. */
export interface LoggedEvent extends Logged {
  /** The sequence that its writer expected of the task's last event, 0 for none; undefined if it was written without expectation. */
  readonly expected: number | undefined;
  /** Core's word for the state; `state <number>` for an unknown one. */
  readonly state: string;
  readonly attempt: number;
  readonly nextAttempt: number;
  readonly agentId: string;
  readonly operationId: string;
  /** The attempt that it ends, 0 for none. */
  readonly endedAttempt: number;
  readonly endedAgentId: string;
  /** The sequence of the last output of the ended attempt that counts, 0 for none. */
  readonly outputSequence: number;
  readonly dispatchSequence: number;
  readonly deliveries: number;
  readonly failure: { readonly reason: string; readonly retryable: boolean } | undefined;
  /** The execution that the result names; undefined if there is no result, or if it names none. */
  readonly execution: string | undefined;
}

/** One output of a message of outputs. */
export interface LoggedItem {
  /** Counts the outputs of an attempt, from 1. */
  readonly index: number;
  readonly kind: "chunk" | "progress" | "log" | "none";
  /** Of a chunk: the number that the handler gave it, from 1; 0 if it gave none. */
  readonly chunk: number;
  /** Of a chunk: the execution that it names; undefined if it names none. */
  readonly execution: string | undefined;
}

/** A message on the output subject of an attempt. */
export interface LoggedOutput extends Logged {
  readonly agentId: string;
  readonly attempt: number;
  /** Whether it is the marker of a coordinator that takes the lease away. */
  readonly fence: boolean;
  readonly items: readonly LoggedItem[];
}

/** Everything that stands about one task, each list in the order of its stream. */
export interface LoggedTask {
  readonly taskId: string;
  readonly type: string;
  readonly maximumAttempts: number;
  readonly nonRetryableReasons: readonly string[];
  /** The task of which this one is a redrive; empty for an ordinary submission. */
  readonly redriveOf: string;
  readonly dispatches: readonly LoggedDispatch[];
  readonly events: readonly LoggedEvent[];
  readonly outputs: readonly LoggedOutput[];
}

/** The log of a run. */
export interface FinalLog {
  /** By task id. A task of which only outputs or events stand is there too. */
  readonly tasks: ReadonlyMap<string, LoggedTask>;
  /** The last sequence of each stream. */
  readonly lastSequences: { readonly tasks: number; readonly output: number };
}

/** How many messages one read brings, and how many bytes. */
const BATCH = 1_000;
const BATCH_BYTES = 8 * 1024 * 1024;

/** How often, and how long apart, a replica may answer that it does not have what its leader has. */
const MAX_LAGGING = 100;
const LAGGING_MS = 100;

/** Reads the tasks and the outputs of a mesh at rest. Rejects when the broker does not answer, or answers with less than it has. */
export async function readFinalLog(connection: NatsConnection): Promise<FinalLog> {
  using reader = new DirectReader(connection);
  const book = new Map<string, Page>();
  const clockOffsetMs = Date.now() - monotonicMs();
  const tasks = await readStream(connection, reader, TASKS_STREAM, TASKS_SUBJECTS, (stored) => {
    const subject = parseTaskSubject(stored.subject);
    if (subject === undefined) throw new Error(`what stands on ${stored.subject} belongs to no task`);
    const page = pageOf(book, subject.taskId);
    const logged = { sequence: stored.sequence, at: stored.storeMs - clockOffsetMs, expected: stored.expected };
    if (subject.kind === "event") page.events.push({ ...logged, ...eventIn(stored.body) });
    else addDispatch(page, { ...logged, queue: subject.queue, priority: subject.priority }, stored.body);
  });
  const output = await readStream(connection, reader, OUTPUT_STREAM, OUTPUT_SUBJECTS, (stored) => {
    const subject = parseOutputSubject(stored.subject);
    if (subject === undefined) throw new Error(`what stands on ${stored.subject} belongs to no attempt`);
    const { taskId, agentId, attempt } = subject;
    const { fence, outputs } = decodeOutputBatch(stored.body);
    const logged = { sequence: stored.sequence, at: stored.storeMs - clockOffsetMs };
    pageOf(book, taskId).outputs.push({ ...logged, agentId, attempt, fence, items: outputs.map(itemOf) });
  });
  return { tasks: book, lastSequences: { tasks, output } };
}

/** Hands over every message of a stream in its order and returns the stream's last sequence. */
async function readStream(
  connection: NatsConnection,
  reader: DirectReader,
  stream: string,
  subjects: string,
  take: (stored: StoredMessage) => void,
): Promise<number> {
  const manager = await jetstreamManager(connection, { checkAPI: false });
  const { last_seq: last } = (await manager.streams.info(stream)).state;
  let position = 0;
  let lagging = 0;
  while (position < last) {
    const from = { seq: position + 1, next_by_subj: subjects };
    const batch = await reader.read(stream, { ...from, batch: BATCH, max_bytes: BATCH_BYTES });
    for (const stored of batch) take(stored);
    const reached = batch.at(-1)?.sequence;
    // A direct get may be answered by a replica that lags behind; what is missing has to be missing at the leader too.
    if (reached === undefined) {
      if ((await readFromLeader(connection, stream, from)) === undefined) break;
      if ((lagging += 1) > MAX_LAGGING)
        throw new Error(`replicas of ${stream} end at ${position}, its leader at ${last}`);
      await pause(LAGGING_MS);
    }
    position = reached ?? position;
  }
  return last;
}

interface Page {
  readonly taskId: string;
  type: string;
  maximumAttempts: number;
  nonRetryableReasons: readonly string[];
  redriveOf: string;
  readonly dispatches: LoggedDispatch[];
  readonly events: LoggedEvent[];
  readonly outputs: LoggedOutput[];
}

function pageOf(book: Map<string, Page>, taskId: string): Page {
  const known = book.get(taskId);
  if (known !== undefined) return known;
  const fresh = { type: "", maximumAttempts: 0, nonRetryableReasons: [], redriveOf: "" };
  const page = { taskId, ...fresh, dispatches: [], events: [], outputs: [] };
  book.set(taskId, page);
  return page;
}

function addDispatch(
  page: Page,
  logged: Omit<LoggedDispatch, "attempt" | "fence" | "beginRequired">,
  body: Uint8Array,
): void {
  const { task, attempt, fence, beginRequired } = decodeDispatch(body);
  page.dispatches.push({ ...logged, attempt, fence: Number(fence), beginRequired });
  if (task === undefined) throw new Error(`the dispatch at ${logged.sequence} has no task`);
  // What was submitted, whatever later copies of it say.
  if (page.dispatches.length > 1) return;
  const { maximumAttempts, nonRetryableReasons } = policyOf(task);
  Object.assign(page, { type: task.type, maximumAttempts, nonRetryableReasons, redriveOf: task.redriveOf });
}

function eventIn(body: Uint8Array): Omit<LoggedEvent, keyof Logged | "expected"> {
  const event = decodeEvent(body);
  const state = stateFromWire(event.state);
  const { attempt, nextAttempt, agentId, operationId, endedAttempt, endedAgentId, deliveries, failure } = event;
  return {
    state: state ?? `state ${event.state}`,
    attempt,
    nextAttempt,
    agentId,
    operationId,
    endedAttempt,
    endedAgentId,
    outputSequence: Number(event.outputSequence),
    dispatchSequence: Number(event.dispatchSequence),
    deliveries,
    failure: failure === undefined ? undefined : { reason: failure.reason, retryable: failure.retryable },
    execution: textIn(event.result, "execution"),
  };
}

function itemOf({ index, kind }: Output): LoggedItem {
  const item = { index: Number(index), chunk: 0, execution: undefined };
  if (kind.case !== "chunk") return { ...item, kind: kind.case ?? "none" };
  const number = fieldIn(kind.value, "index");
  return {
    ...item,
    kind: "chunk",
    chunk: number?.kind.case === "numberValue" ? number.kind.value : 0,
    execution: textIn(kind.value, "execution"),
  };
}

function textIn(payload: Payload | undefined, field: string): string | undefined {
  const value = fieldIn(payload, field);
  return value?.kind.case === "stringValue" ? value.kind.value : undefined;
}

function fieldIn(payload: Payload | undefined, field: string): Value | undefined {
  if (payload?.kind.case !== "json" || payload.kind.value.kind.case !== "structValue") return undefined;
  return payload.kind.value.kind.value.fields[field];
}
