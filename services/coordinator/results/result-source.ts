// What a reader of results needs to know of one task, from the logs and live.

import type { OutputBatch } from "../../../gen/mycel/v1/output_pb.ts";
import type { TaskEvent } from "../../../gen/mycel/v1/task_log_pb.ts";
import { isUnreadable } from "../../../lib/core/mesh-error.ts";
import type { ChainLink, OutputLink, Run } from "../../../lib/core/result-order.ts";
import type { StoredMessage } from "../../../lib/nats/direct-reader.ts";
import type { EventReader } from "../../../lib/nats/event-reader.ts";
import type { LiveHub, LiveMessage, LiveWatch } from "../../../lib/nats/live-hub.ts";
import type { OutputLog } from "../../../lib/nats/output-log.ts";
import type { TaskLog } from "../../../lib/nats/task-log.ts";
import { decodeOutputBatch } from "../../../lib/wire/output-codec.ts";
import { chainLinkOf, outputLinkOf } from "../../../lib/wire/result-links.ts";
import { parseOutputSubject } from "../../../lib/wire/subjects.ts";
import { decodeEvent, type TaskRecord } from "../../../lib/wire/task-codec.ts";

/** An event with its place in the chain. */
export interface EventMessage {
  readonly kind: "event";
  readonly link: ChainLink;
  readonly event: TaskEvent;
}

/** A message of outputs with its place on its subject. */
export interface OutputMessage {
  readonly kind: "output";
  readonly link: OutputLink;
  readonly batch: OutputBatch;
}

/** What comes live. */
export type LiveResult =
  | EventMessage
  | OutputMessage
  /** Something was lost. */
  | { readonly kind: "missed" }
  | { readonly kind: "nothing" };

/** One task, as a reader of its results sees it. Reads throw MeshError BROKER_UNAVAILABLE when the broker does not answer. */
export interface ResultSource {
  readonly tenant: string;
  readonly taskId: string;
  /** What the log says of the task, at least up to an event that is known; undefined if there is none. */
  record(knownEvent: number): Promise<TaskRecord | undefined>;
  /** Events from a stream sequence on, oldest first; as many as one read brings. */
  events(from: number): Promise<readonly EventMessage[]>;
  /** The sequence of the last event, 0 for none, by the word of those who must know. */
  lastEvent(): Promise<number>;
  /** Outputs of an attempt after a stream sequence, oldest first; as many as one read brings. */
  outputs(run: Run, after: number): Promise<readonly OutputMessage[]>;
  /** Whether there is such an output, by the word of those who must know. */
  holdsOutput(run: Run, sequence: number): Promise<boolean>;
  /** What has come live since the last time. */
  take(): LiveResult;
}

/** What a source is made of. */
export interface ResultLogs {
  readonly taskLog: TaskLog;
  readonly eventReader: EventReader;
  readonly outputLog: OutputLog;
  readonly hub: LiveHub;
}

/**
 * Opens a source. `onNews` is called when there is something to take: whatever becomes of the task that what is asked of the source
 * afterwards does not show, and whatever becomes of one that is submitted over the same connection afterwards.
 */
export function openResultSource(
  logs: ResultLogs,
  tenant: string,
  taskId: string,
  onNews: () => void,
): ResultSource & Disposable {
  return new TaskResults(logs, tenant, taskId, logs.hub.watch(tenant, taskId, onNews));
}

/** A class, not an object of functions: there are as many as there are readers, and these would be most of what an idle one holds. */
class TaskResults implements ResultSource, Disposable {
  readonly tenant: string;
  readonly taskId: string;
  readonly #logs: ResultLogs;
  readonly #watch: LiveWatch;

  constructor(logs: ResultLogs, tenant: string, taskId: string, watch: LiveWatch) {
    this.#logs = logs;
    this.tenant = tenant;
    this.taskId = taskId;
    this.#watch = watch;
  }

  record(knownEvent: number): Promise<TaskRecord | undefined> {
    return this.#logs.taskLog.read(this.tenant, this.taskId, knownEvent);
  }

  async events(from: number): Promise<readonly EventMessage[]> {
    return (await this.#logs.eventReader.read(this.tenant, this.taskId, from)).map(eventMessage);
  }

  lastEvent(): Promise<number> {
    return this.#logs.eventReader.last(this.tenant, this.taskId);
  }

  async outputs(run: Run, after: number): Promise<readonly OutputMessage[]> {
    const found = await this.#logs.outputLog.read(this, run.agentId, run.attempt, after);
    // What the log gives in one go follows on what it was asked to follow on.
    return found.map((stored) => outputMessage(stored, run, after));
  }

  holdsOutput(run: Run, sequence: number): Promise<boolean> {
    return this.#logs.outputLog.holds(this, run.agentId, run.attempt, sequence);
  }

  take(): LiveResult {
    const take = this.#watch.take();
    return take.kind === "message" ? liveResult(take.message) : take;
  }

  [Symbol.dispose](): void {
    this.#watch[Symbol.dispose]();
  }
}

function liveResult({ stored, previous }: LiveMessage): LiveResult {
  const run = parseOutputSubject(stored.subject);
  if (run === undefined) return liveEvent(stored, previous);
  return outputMessage(stored, { agentId: run.agentId, attempt: run.attempt }, previous);
}

/** What can't be read is looked up: the log has the last word on what stands in it. */
function liveEvent(stored: StoredMessage, previous: number): LiveResult {
  try {
    return eventMessage({ ...stored, expected: previous });
  } catch (error) {
    if (!isUnreadable(error)) throw error;
    return { kind: "missed" };
  }
}

function eventMessage(stored: StoredMessage): EventMessage {
  const event = decodeEvent(stored.body);
  return { kind: "event", event, link: chainLinkOf(event, stored.sequence, stored.expected ?? 0) };
}

function outputMessage(stored: StoredMessage, run: Run, previous: number): OutputMessage {
  const batch = decodeOutputBatch(stored.body);
  return { kind: "output", batch, link: outputLinkOf(batch, run, stored.sequence, previous) };
}
