// All streams of results of one process: how many there may be, how they wait, and how they end when the process drains.

import type { ResultKind, StreamResultsResponse } from "../../../gen/mycel/v1/agent_service_pb.ts";
import type { TaskScope } from "../../../lib/core/access/task-scope.ts";
import type { Clock } from "../../../lib/core/clock.ts";
import { MeshError } from "../../../lib/core/mesh-error.ts";
import { type Position, START } from "../../../lib/core/result-order.ts";
import type { PushedMessages } from "../../../lib/rpc/pushed-messages.ts";
import { decodeCursor } from "../../../lib/wire/cursor.ts";
import type { TaskRecord } from "../../../lib/wire/task-codec.ts";
import { Violations } from "../../../lib/wire/validation.ts";
import { KeepAliveWheel } from "./keep-alive-wheel.ts";
import { type FeedParts, ResultFeed } from "./result-feed.ts";
import { ResultReader } from "./result-reader.ts";
import { openResultSource, type ResultLogs, type ResultSource } from "./result-source.ts";
import { type Dormitory, Sleeper } from "./sleeper.ts";
import { awaitStatus, type StatusAnswer, type StatusQuestion } from "./status-wait.ts";

/** Which results to stream from where. */
export interface ResultsQuestion {
  readonly tenant: string;
  readonly taskId: string;
  /** The tasks that whoever asks may see; all if undefined. */
  readonly scope?: TaskScope | undefined;
  /** The cursor after which to go on; empty to begin at the start of the task. */
  readonly cursor: string;
  /** Which kinds to send; all if empty. */
  readonly kinds: readonly ResultKind[];
  /** Ends the stream; it then throws the signal's reason. Not looked at where results are pushed. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Streams the results of a task: a snapshot, then everything in order, then the terminal state change. Throws MeshError
 * INVALID_REQUEST, TASK_NOT_FOUND, CURSOR_EXPIRED, TOO_MANY_STREAMS, DRAINING, BROKER_UNAVAILABLE.
 */
export type StreamResults = (question: ResultsQuestion) => PushedMessages<StreamResultsResponse>;

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
 * Returns the status of a task, with its result if it is completed, once its revision exceeds `afterRevision`, or without one, once it is terminal; at the latest after
 * `waitMs`. Throws MeshError TASK_NOT_FOUND, TOO_MANY_STREAMS, DRAINING, BROKER_UNAVAILABLE.
 */
export type WaitForStatus = (question: StatusQuestion) => Promise<StatusAnswer>;

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

const ALL_KINDS: ReadonlySet<ResultKind> = new Set();

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
  const dormitory: Dormitory = {
    wheel: new KeepAliveWheel(keepAliveMs),
    sleepers: new Set(),
    check: () => {
      if (drain.aborted) throw draining();
    },
  };
  const onDrain = (): void => {
    for (const sleeper of dormitory.sleepers) sleeper.interrupt();
  };
  drain.addEventListener("abort", onDrain);

  const enter = (signal: AbortSignal | undefined): Sleeper => {
    dormitory.check();
    if (dormitory.sleepers.size >= maxStreams) throw tooMany(maxStreams);
    return new Sleeper(dormitory, signal);
  };

  const listen = ({ tenant, taskId }: NewTaskQuestion, signal: AbortSignal | undefined): Listening => {
    const waits = enter(signal);
    try {
      return new Listening(
        waits,
        openResultSource(options, tenant, taskId, () => waits.notify()),
      );
    } catch (error) {
      waits[Symbol.dispose]();
      throw error;
    }
  };

  const readerOf = (
    { waits, source }: Listening,
    { kinds, scope }: Pick<ResultsQuestion, "kinds" | "scope">,
    { position, stored }: { readonly position: Position; readonly stored?: TaskRecord | undefined },
  ): ResultReader => {
    const wanted = kinds.length === 0 ? ALL_KINDS : new Set(kinds);
    return new ResultReader({ source, waits, clock, position, kinds: wanted, scope, keepAliveMs, patienceMs, stored });
  };

  const open = (question: ResultsQuestion, signal: AbortSignal | undefined): FeedParts => {
    const position = positionOf(question);
    const listening = listen(question, signal);
    return { listening, reader: readerOf(listening, question, { position }) };
  };

  async function* asked(question: ResultsQuestion): AsyncGenerator<StreamResultsResponse, void, void> {
    const { listening, reader } = open(question, question.signal);
    using _ = listening;
    yield* reader.read();
  }

  const streamResults: StreamResults = (question) => ({
    [Symbol.asyncIterator]: () => asked(question),
    pushTo: (sink) => {
      const feed = new ResultFeed(sink);
      // Whoever takes what is pushed ends it by itself.
      feed.start(() => open(question, undefined));
      return feed;
    },
  });

  const listenToNew: ListenToNew = (question) => {
    const listening = listen(question, question.signal);
    return {
      read: (stored) => readerOf(listening, question, { position: START, stored }).read(),
      [Symbol.dispose]: () => listening[Symbol.dispose](),
    };
  };

  const waitForStatus: WaitForStatus = async (question) => {
    using waits = enter(question.signal);
    return await awaitStatus({ logs: options, waits, clock, notify: () => waits.notify() }, question);
  };

  return {
    get openCount() {
      return dormitory.sleepers.size;
    },
    streamResults,
    listenToNew,
    waitForStatus,
    [Symbol.dispose]() {
      drain.removeEventListener("abort", onDrain);
      dormitory.wheel[Symbol.dispose]();
    },
  };
}

/** Hears of one task, and waits for that. */
class Listening implements Disposable {
  readonly waits: Sleeper;
  readonly source: ResultSource & Disposable;

  constructor(waits: Sleeper, source: ResultSource & Disposable) {
    this.waits = waits;
    this.source = source;
  }

  [Symbol.dispose](): void {
    this.source[Symbol.dispose]();
    this.waits[Symbol.dispose]();
  }
}

function positionOf({ tenant, taskId, cursor }: ResultsQuestion): Position {
  const position = cursor === "" ? START : decodeCursor(tenant, taskId, cursor);
  if (position === undefined) throw badCursor();
  return position;
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
