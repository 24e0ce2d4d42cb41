// All streams of results of one process: how many there may be, how they wait, and how they end when the process drains.

import type { ResultKind, StreamResultsResponse } from "../../../gen/mycel/v1/agent_service_pb.ts";
import type { TaskStatus } from "../../../gen/mycel/v1/task_pb.ts";
import type { Clock } from "../../../lib/core/clock.ts";
import { MeshError } from "../../../lib/core/mesh-error.ts";
import { type Position, START } from "../../../lib/core/result-order.ts";
import { decodeCursor } from "../../../lib/wire/cursor.ts";
import type { TaskRecord } from "../../../lib/wire/task-codec.ts";
import { Violations } from "../../../lib/wire/validation.ts";
import { KeepAliveWheel } from "./keep-alive-wheel.ts";
import { ResultReader } from "./result-reader.ts";
import { openResultSource, type ResultLogs } from "./result-source.ts";
import { Sleeper } from "./sleeper.ts";
import { awaitStatus, type StatusQuestion } from "./status-wait.ts";

/** Which results to stream from where. */
export interface ResultsQuestion {
  readonly tenant: string;
  readonly taskId: string;
  /** The cursor after which to go on; empty to begin at the start of the task. */
  readonly cursor: string;
  /** Which kinds to send; all if empty. */
  readonly kinds: readonly ResultKind[];
  /** Ends the stream; it then throws the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Streams the results of a task: a snapshot, then everything in order, then the terminal state change. Throws MeshError
 * INVALID_REQUEST, TASK_NOT_FOUND, CURSOR_EXPIRED, TOO_MANY_STREAMS, DRAINING, BROKER_UNAVAILABLE.
 */
export type StreamResults = (question: ResultsQuestion) => AsyncIterable<StreamResultsResponse>;

/** Which results to stream of a task that is about to be submitted. */
export type NewTaskQuestion = Omit<ResultsQuestion, "cursor">;

/** Listens to a task, from before it is submitted. Dispose it, whether its results are read or not. */
export interface NewTaskResults extends Disposable {
  /**
   * Streams the results as {@link StreamResults} does, once. `stored` is what was stored of the task, which has no past that would have
   * to be read then: all that becomes of it comes live. Undefined if the task stood already.
   */
  read(stored: TaskRecord | undefined): AsyncIterable<StreamResultsResponse>;
}

/** Begins to listen. Throws MeshError TOO_MANY_STREAMS, DRAINING, BROKER_UNAVAILABLE. */
export type ListenToNew = (question: NewTaskQuestion) => NewTaskResults;

/**
 * Returns the status of a task once its revision exceeds `afterRevision`, or without one, once it is terminal; at the latest after
 * `waitMs`. Throws MeshError TASK_NOT_FOUND, TOO_MANY_STREAMS, DRAINING, BROKER_UNAVAILABLE.
 */
export type WaitForStatus = (question: StatusQuestion) => Promise<TaskStatus>;

/** What streams of results need, and how they behave. */
export interface ResultStreamsOptions extends ResultLogs {
  readonly clock: Clock;
  /** When it aborts, all streams end with DRAINING. */
  readonly drain: AbortSignal;
  /** The longest silence of a stream, in milliseconds. From 100 to 60,000; default 15,000. */
  readonly keepAliveMs?: number;
  /** The most streams and long polls at once. From 1; default 20,000. */
  readonly maxStreams?: number;
  /** How long a stream waits for a broker that does not answer, in milliseconds. From 0; default 30,000. */
  readonly patienceMs?: number;
}

/** Serves streams of results and long polls. */
export interface ResultStreams extends Disposable {
  /** How many are open. */
  readonly openCount: number;
  readonly streamResults: StreamResults;
  readonly listenToNew: ListenToNew;
  readonly waitForStatus: WaitForStatus;
}

const DEFAULT_KEEP_ALIVE_MS = 15_000;
const DEFAULT_MAX_STREAMS = 20_000;
const DEFAULT_PATIENCE_MS = 30_000;

/** How soon to try another coordinator, and how soon to try this one again, in milliseconds. */
const DRAINING_RETRY_MS = 100;
const FULL_RETRY_MS = 5_000;

/** Opens the streams of a process. */
export function openResultStreams(options: ResultStreamsOptions): ResultStreams {
  const keepAliveMs = checked("keepAliveMs", options.keepAliveMs ?? DEFAULT_KEEP_ALIVE_MS, 100, 60_000);
  const maxStreams = checked("maxStreams", options.maxStreams ?? DEFAULT_MAX_STREAMS, 1, Number.MAX_SAFE_INTEGER);
  const patienceMs = checked("patienceMs", options.patienceMs ?? DEFAULT_PATIENCE_MS, 0, Number.MAX_SAFE_INTEGER);
  const { clock, drain } = options;
  const wheel = new KeepAliveWheel(keepAliveMs);
  const sleepers = new Set<Sleeper>();
  const onDrain = (): void => {
    for (const sleeper of sleepers) sleeper.interrupt();
  };
  drain.addEventListener("abort", onDrain);

  const checkDrain = (): void => {
    if (drain.aborted) throw draining();
  };

  const enter = (signal: AbortSignal | undefined): Sleeper => {
    checkDrain();
    if (sleepers.size >= maxStreams) throw tooMany(maxStreams);
    const sleeper = new Sleeper(wheel, signal, checkDrain);
    sleepers.add(sleeper);
    return sleeper;
  };

  const leave = (sleeper: Sleeper): void => {
    sleeper[Symbol.dispose]();
    sleepers.delete(sleeper);
  };

  const listen = ({ tenant, taskId, kinds, signal }: NewTaskQuestion, position: Position): NewTaskResults => {
    const waits = enter(signal);
    try {
      const source = openResultSource(options, tenant, taskId, () => waits.notify());
      const reading = { source, waits, clock, position, kinds: new Set(kinds), keepAliveMs, patienceMs };
      return {
        read: (stored) => new ResultReader({ ...reading, stored }).read(),
        [Symbol.dispose]: () => {
          source[Symbol.dispose]();
          leave(waits);
        },
      };
    } catch (error) {
      leave(waits);
      throw error;
    }
  };

  async function* streamResults(question: ResultsQuestion): AsyncGenerator<StreamResultsResponse, void, void> {
    const { tenant, taskId, cursor } = question;
    const position = cursor === "" ? START : decodeCursor(tenant, taskId, cursor);
    if (position === undefined) throw badCursor();
    using results = listen(question, position);
    yield* results.read(undefined);
  }

  const waitForStatus: WaitForStatus = async (question) => {
    const waits = enter(question.signal);
    try {
      return await awaitStatus({ logs: options, waits, clock, notify: () => waits.notify() }, question);
    } finally {
      leave(waits);
    }
  };

  return {
    get openCount() {
      return sleepers.size;
    },
    streamResults,
    listenToNew: (question) => listen(question, START),
    waitForStatus,
    [Symbol.dispose]() {
      drain.removeEventListener("abort", onDrain);
      wheel[Symbol.dispose]();
    },
  };
}

function checked(option: string, value: number, min: number, max: number): number {
  if (value >= min && value <= max) return value;
  throw new RangeError(`${option} must be from ${min} to ${max}, is ${value}`);
}

function badCursor(): MeshError {
  const violations = new Violations();
  violations.add("cursor", "is no cursor of this task: take it from a message of StreamResults as it is");
  return violations.error() ?? new MeshError("INVALID_REQUEST", "cursor");
}

function draining(): MeshError {
  const message = "this coordinator is shutting down: go on elsewhere from the last cursor";
  return new MeshError("DRAINING", message, { retryDelayMs: DRAINING_RETRY_MS });
}

function tooMany(maxStreams: number): MeshError {
  const message = `this coordinator serves ${maxStreams} streams, which is all it may`;
  return new MeshError("TOO_MANY_STREAMS", message, { retryDelayMs: FULL_RETRY_MS });
}
