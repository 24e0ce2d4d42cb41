// Follows one task over as many connections as it takes: each event once, in order, without holes, until the task has ended.
// Must not swallow a hole: what was missed and cannot be had is an error.
import type { StreamResultsResponse } from "../../gen/mycel/v1/agent_service_pb.ts";
import type { Logger } from "../../lib/core/logger.ts";
import { isTerminal } from "../../lib/core/task-state.ts";
import { type TaskEvent, eventOf, isLast } from "./event.ts";
import { MycelError, abortError } from "./mycel-error.ts";
import { pause } from "../../lib/time/pause.ts";
import { delayBeforeTry, Refusals } from "./retry.ts";

/** What {@link followTask} needs. */
export interface FollowOptions {
  /** Opens a stream of results after a cursor (empty: from the start), on whatever server is in use. */
  readonly open: (cursor: string, signal: AbortSignal) => AsyncIterable<StreamResultsResponse>;
  /** Where to begin; empty for the start of the task. */
  readonly cursor: string;
  /** Whether the server leaves kinds out: then sequences have holes by design. */
  readonly filtered: boolean;
  /** How many servers there are to go to. */
  readonly servers: number;
  /** How often it is tried before the first message. From 1. */
  readonly maximumTries: number;
  /** How long it is tried to resume, in milliseconds. */
  readonly reconnectTimeoutMs: number;
  /** Whether what was refused for its credential may be accepted with the next one. */
  readonly renews: boolean;
  /** How long a connection may be silent, in milliseconds. */
  readonly silenceTimeoutMs: number;
  readonly logger: Logger;
  /** Aborted by the caller or with the client. */
  readonly signals: readonly AbortSignal[];
}

// The server ends the stream right after the last event. Waiting for it lets the call end in peace, but nobody needs it.
const LAST_WORD_TIMEOUT_MS = 1_000;

/** Follows a task. Every event is yielded once; keep-alives and the snapshots of resumptions are not. */
export async function* followTask(options: FollowOptions): AsyncGenerator<TaskEvent, void, undefined> {
  const place = new Place(options.cursor, options.filtered);
  let failures = 0;
  const refusals = new Refusals(options.renews);
  let lastHeard = performance.now();
  for (;;) {
    let failure: MycelError;
    try {
      for await (const message of heard(options, place)) {
        failures = 0;
        refusals.clear();
        lastHeard = performance.now();
        const event = place.take(message);
        if (event !== undefined) yield event;
        // The reader's own time between two events is not the connection's silence.
        lastHeard = performance.now();
      }
      if (place.ended) return;
      failure = new MycelError("unavailable", "the stream ended before the task did", { reason: "CONNECTION_LOST" });
    } catch (error) {
      if (place.last) return;
      if (!(error instanceof MycelError)) throw error;
      if (!isResumable(error) && !refusals.mayGoOn(error.code)) throw error;
      failure = error;
    }
    const aborted = options.signals.find((signal) => signal.aborted);
    if (aborted !== undefined) throw abortError(aborted);
    failures += 1;
    const failed = {
      kind: failure.retryDelayMs === undefined || ELSEWHERE.has(failure.reason) ? "lost" : "busy",
    } as const;
    const delayMs = delayBeforeTry(
      failed.kind === "busy" ? { kind: "busy", delayMs: failure.retryDelayMs ?? 0 } : failed,
      failures,
      options.servers,
      Math.random(),
    );
    const spent = performance.now() + delayMs - lastHeard > options.reconnectTimeoutMs;
    if (spent || (!place.begun && failures >= options.maximumTries)) throw failure;
    options.logger.info(
      { err: failure, failures, delay_ms: delayMs, sequence: place.sequence },
      "resuming a stream of results",
    );
    if (!(await pause(delayMs, ...options.signals))) throw abortError(AbortSignal.any([...options.signals]));
  }
}

// A delay that is not for whoever has nothing better to do than to look whether somebody is there again.
const ELSEWHERE: ReadonlySet<string | undefined> = new Set(["DRAINING", "CIRCUIT_OPEN"]);

// RESOURCE_EXHAUSTED with a delay is a server with too many streams.
function isResumable(error: MycelError): boolean {
  return error.code === "unavailable" || (error.code === "resource_exhausted" && error.retryDelayMs !== undefined);
}

// Where the reader is in the task.
class Place {
  /** The cursor to resume after. */
  cursor: string;
  /** The sequence of the last event; undefined until the first snapshot tells. */
  sequence: number | undefined;
  /** Whether anything arrived. */
  begun = false;
  /** Whether the last event was delivered. */
  last = false;
  readonly #filtered: boolean;
  #snapshotEnded = false;

  constructor(cursor: string, filtered: boolean) {
    this.cursor = cursor;
    this.#filtered = filtered;
  }

  /** Whether the end of a stream is the end of the task's events. */
  get ended(): boolean {
    return this.last || this.#snapshotEnded;
  }

  /** Takes a message; returns the event to deliver, if any. */
  take(message: StreamResultsResponse): TaskEvent | undefined {
    const sequence = Number(message.sequence);
    const event = eventOf(message);
    if (event?.kind === "snapshot") {
      const first = !this.begun;
      this.begun = true;
      this.#snapshotEnded = isTerminal(event.state);
      this.#reach(sequence, sequence);
      this.#remember(message);
      return first ? event : undefined;
    }
    this.begun = true;
    if (message.kind.case === "keepAlive") {
      this.#reach(sequence, sequence);
      this.#remember(message);
      return undefined;
    }
    if (this.sequence !== undefined && sequence <= this.sequence) return undefined;
    this.#reach(sequence, sequence - 1);
    this.#remember(message);
    this.last = event !== undefined && isLast(event);
    return event;
  }

  // Checks that everything up to `before` was delivered.
  #reach(sequence: number, before: number): void {
    if (!this.#filtered && this.sequence !== undefined && before > this.sequence) {
      throw new MycelError(
        "data_loss",
        `the stream of results goes on at ${sequence} after ${this.sequence}: events are missing`,
        { reason: "SEQUENCE_GAP", metadata: { last: String(this.sequence), next: String(sequence) } },
      );
    }
    this.sequence = Math.max(sequence, this.sequence ?? 0);
  }

  #remember(message: StreamResultsResponse): void {
    if (message.cursor !== "") this.cursor = message.cursor;
  }
}

// One connection's messages; a silence that is too long is an error.
async function* heard(options: FollowOptions, place: Place): AsyncGenerator<StreamResultsResponse> {
  const stop = new AbortController();
  const stream = options.open(place.cursor, AbortSignal.any([stop.signal, ...options.signals]));
  const messages = stream[Symbol.asyncIterator]();
  let done = false;
  try {
    for (;;) {
      const limitMs = place.last ? LAST_WORD_TIMEOUT_MS : options.silenceTimeoutMs;
      const next = await withinTime(messages.next(), limitMs, () => {
        const error = new MycelError("unavailable", `nothing was heard for ${limitMs} ms`, {
          reason: "CONNECTION_LOST",
        });
        stop.abort(error);
        return error;
      });
      if (next.done === true) {
        done = true;
        return;
      }
      yield next.value;
    }
  } finally {
    // A reader that leaves early ends the call; one that was told the end has nothing left to end.
    if (!done) {
      stop.abort();
      messages.return?.().catch(() => undefined);
    }
  }
}

async function withinTime<T>(work: Promise<T>, limitMs: number, onLate: () => Error): Promise<T> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => late.reject(onLate()), limitMs);
  try {
    return await Promise.race([work, late.promise]);
  } finally {
    clearTimeout(timer);
    // Whoever loses the race may still reject.
    work.catch(() => undefined);
  }
}
