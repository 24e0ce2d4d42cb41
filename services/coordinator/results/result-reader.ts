// Reads the results of one task: a snapshot, then everything after a position, from the logs and live, in the one order of
// lib/core/result-order.ts. Live messages only save reads: whatever is lost is found again in the logs.

import { create, type MessageInitShape } from "@bufbuild/protobuf";
import {
  ResultKind,
  type StreamResultsResponse,
  StreamResultsResponseSchema,
} from "../../../gen/mycel/v1/agent_service_pb.ts";
import type { Output } from "../../../gen/mycel/v1/output_pb.ts";
import type { TaskScope } from "../../../lib/core/access/task-scope.ts";
import type { Clock } from "../../../lib/core/clock.ts";
import { MeshError, taskNotFound } from "../../../lib/core/mesh-error.ts";
import {
  applyEvent,
  applyOutput,
  type OrderState,
  type OutputVerdict,
  type Position,
  resumeAt,
  type Run,
  START,
} from "../../../lib/core/result-order.ts";
import { encodeCursor } from "../../../lib/wire/cursor.ts";
import { statusOf, type TaskRecord, taskOf } from "../../../lib/wire/task-codec.ts";
import { readVisible } from "../tasks/visibility.ts";
import { type Definition, definitionOf, recordOf } from "./definition.ts";
import type { EventMessage, OutputMessage, ResultSource } from "./result-source.ts";
import type { Waits, WakeReason } from "./sleeper.ts";

/** How a reader reads. */
export interface ResultReaderOptions {
  readonly source: ResultSource;
  readonly waits: Waits;
  readonly clock: Clock;
  /** Where to begin: after this position. */
  readonly position: Position;
  /** What the log says of a task that was stored since the source was opened: it need not be read, nor what came before. */
  readonly stored?: TaskRecord | undefined;
  /** Which kinds to send; all if empty. */
  readonly kinds: ReadonlySet<ResultKind>;
  /** The tasks that whoever reads may see; all if undefined. */
  readonly scope?: TaskScope | undefined;
  /** The longest silence, in milliseconds. */
  readonly keepAliveMs: number;
  /** How long to go on without an answer from the broker, in milliseconds. */
  readonly patienceMs: number;
}

/** How soon a reader looks again after it looked: what was stored in between may have passed it by. */
const RECHECK_MS = 1_000;

/** How long to wait before the broker is asked again. */
const SHORTEST_PAUSE_MS = 50;
const LONGEST_PAUSE_MS = 2_000;

type ResponseKind = NonNullable<
  Exclude<MessageInitShape<typeof StreamResultsResponseSchema>, { $typeName: string }>["kind"]
>;
type Messages = AsyncGenerator<StreamResultsResponse, void, void>;

/** Reads results once. */
export class ResultReader {
  readonly #source: ResultSource;
  readonly #waits: Waits;
  readonly #clock: Clock;
  readonly #kinds: ReadonlySet<ResultKind>;
  readonly #keepAliveMs: number;
  readonly #patienceMs: number;
  #stored: TaskRecord | undefined;
  readonly #scope: TaskScope | undefined;
  /** Where the task begins in the log, if it was stored since the source was opened: what lies before it is of an earlier one of its name. */
  readonly #first: number;
  #state: OrderState;
  /** What the task is, for the status of its past. */
  #task: Definition | undefined;
  /** The last event that was heard of. */
  #heard = 0;
  /** Whether an output came before the event that begins its attempt. */
  #early = false;
  #recheck = true;
  /** Whether the attempt that runs at the position is known. */
  #resumed = false;
  /** Whether what the logs have was read, so that the rest comes live. */
  #caughtUp = false;
  #sentMs: number;
  #silentSinceMs: number | undefined;
  #pauseMs = SHORTEST_PAUSE_MS;

  constructor(options: ResultReaderOptions) {
    this.#source = options.source;
    this.#waits = options.waits;
    this.#clock = options.clock;
    this.#kinds = options.kinds;
    this.#keepAliveMs = options.keepAliveMs;
    this.#patienceMs = options.patienceMs;
    this.#stored = options.stored;
    this.#scope = options.scope;
    this.#first = options.stored?.dispatch.sequence ?? 0;
    this.#state = resumeAt(options.position, undefined, false);
    this.#sentMs = options.clock.monotonicMs();
  }

  /** Whether everything was read. */
  get ended(): boolean {
    return this.#state.ended;
  }

  /** How long to rest if there is no news, in milliseconds. */
  get restMs(): number {
    const leftMs = this.#keepAliveMs - this.#silenceMs();
    return this.#recheck ? Math.min(RECHECK_MS, leftMs) : leftMs;
  }

  /** The messages of one call. Ends after the terminal state. */
  async *read(): Messages {
    yield* this.readOn(undefined);
    while (!this.#state.ended) yield* this.readOn(await this.#waits.sleep(this.restMs));
  }

  /** The messages that there are now: at first, or since a rest that ended for this reason. */
  async *readOn(reason: WakeReason | undefined): Messages {
    if (this.#task === undefined) yield* this.#begin();
    let tick = reason === "tick";
    while (!this.#state.ended) {
      try {
        if (!this.#resumed) await this.#resume();
        this.#resumed = true;
        if (!this.#caughtUp) yield* this.#catchUp();
        this.#caughtUp = true;
        if (tick) yield* this.#lookAround();
        yield* this.#follow();
        return;
      } catch (error) {
        this.#caughtUp = false;
        tick = false;
        this.#endure(error);
        if (this.#silenceMs() >= this.#keepAliveMs / 3) yield this.#keepAlive();
        await this.#waits.pause(this.#pauseMs);
        this.#pauseMs = Math.min(this.#pauseMs * 2, LONGEST_PAUSE_MS);
      }
    }
  }

  async *#begin(): Messages {
    const stored = this.#stored;
    this.#stored = undefined;
    // Whoever comes back must not be shown less than it has.
    const read = async () => stored ?? (await this.#source.record(this.#state.position.event));
    const record = await readVisible(this.#source.taskId, this.#scope, read);
    yield this.#message({ case: "snapshot", value: taskOf(record, false) });
    this.#task = definitionOf(record);
    // All that has become of it since comes live.
    this.#caughtUp = stored !== undefined;
  }

  /** Goes on after an error while the broker may come back. */
  #endure(error: unknown): void {
    if (!(error instanceof MeshError) || error.reason !== "BROKER_UNAVAILABLE") throw error;
    const now = this.#clock.monotonicMs();
    this.#silentSinceMs ??= now;
    if (now - this.#silentSinceMs >= this.#patienceMs) throw error;
  }

  #recovered(): void {
    this.#silentSinceMs = undefined;
    this.#pauseMs = SHORTEST_PAUSE_MS;
  }

  /** Finds out which attempt runs at the position. */
  async #resume(): Promise<void> {
    const { position } = this.#state;
    if (position.event === 0) return;
    const [first] = await this.#source.events(position.event);
    if (first?.link.sequence === position.event) {
      this.#state = resumeAt(position, first.link.begins, first.link.terminal);
    } else if (first?.link.previous === position.event && first.link.ends !== undefined) {
      // The event itself has expired. The one after it says which attempt ran.
      const { agentId, attempt } = first.link.ends;
      this.#state = resumeAt(position, { agentId, attempt }, false);
    } else if (first === undefined && (await this.#source.lastEvent()) >= position.event) throw lagging();
  }

  /** Reads what has come live. */
  async *#follow(): Messages {
    while (!this.#state.ended) {
      this.#waits.check();
      const live = this.#source.take();
      if (live.kind === "event") yield* this.#onEvent(live);
      else if (live.kind === "output") yield* this.#onOutput(live);
      else if (live.kind === "missed") yield* this.#catchUp();
      // A reader to whom nothing of what happens is sent still wants a sign of life.
      if (this.#silenceMs() >= this.#keepAliveMs * 0.9) yield this.#keepAlive();
      if (live.kind === "nothing") return;
    }
  }

  /** After a rest without news. */
  async *#lookAround(): Messages {
    if (this.#silenceMs() >= this.#keepAliveMs * 0.8) yield this.#keepAlive();
    yield* this.#catchUp();
    this.#recheck = false;
  }

  async *#onEvent(message: EventMessage): Messages {
    if (message.link.sequence < this.#first) return;
    this.#heard = Math.max(this.#heard, message.link.sequence);
    const { run } = this.#state;
    const verdict = applyEvent(this.#state, message.link);
    if (verdict.kind === "old") return;
    if (verdict.kind === "deliver") yield* this.#deliverEvent(message, verdict.state);
    else if (verdict.kind === "outputs_first" && run !== undefined) {
      yield* this.#readOutputs(run, verdict.upTo);
      yield* this.#applyAfterOutputs(message, verdict.upTo);
    }
    if (verdict.kind === "gap" || this.#early) yield* this.#catchUp();
  }

  async *#onOutput(message: OutputMessage): Messages {
    const verdict = applyOutput(this.#state, message.link);
    if (verdict.kind === "skip") this.#early ||= message.link.sequence > this.#state.position.output;
    else if (verdict.kind === "gap" || !(await this.#isOfThisRun(message))) yield* this.#catchUp();
    else yield* this.#deliverOutputs(message, verdict);
  }

  /**
   * Whether a live output can't be of a later run. An attempt that was handed back may run again under its number and on its
   * subject, and counts its outputs from 1 again; its event may come later than its output.
   */
  async #isOfThisRun({ link }: OutputMessage): Promise<boolean> {
    const [index = 0] = link.indexes;
    const { fresh, position } = this.#state;
    return (!fresh && index > position.index) || !(await this.#hasMoved());
  }

  /** Whether there are events that were not delivered, by the word of those who must know. */
  async #hasMoved(): Promise<boolean> {
    this.#heard = Math.max(this.#heard, await this.#source.lastEvent());
    return this.#heard > this.#state.position.event;
  }

  /** Delivers everything that the logs have. */
  async *#catchUp(): Messages {
    this.#recheck = true;
    this.#early = false;
    let surprised = false;
    for (;;) {
      const events = await this.#source.events(this.#state.position.event);
      const next = events.filter(({ link }) => link.sequence > this.#state.position.event);
      if (next.length === 0) {
        if ((events.length === 0 || this.#heard > this.#state.position.event) && (await this.#isBehind())) {
          // It may have been stored between the two reads; only what still does not show is late.
          if (surprised) throw lagging();
          surprised = true;
          continue;
        }
        const { run } = this.#state;
        if (run === undefined || !(yield* this.#readOutputs(run, undefined))) return this.#recovered();
      }
      surprised = false;
      for (const message of next) {
        yield* this.#applyStored(message);
        if (this.#state.ended) return;
      }
    }
  }

  /** Delivers an event that follows in the log, after the outputs before it. */
  async *#applyStored(message: EventMessage): Messages {
    const { run } = this.#state;
    const verdict = applyEvent(this.#state, message.link);
    if (verdict.kind === "deliver") yield* this.#deliverEvent(message, verdict.state);
    else if (verdict.kind === "gap") throw this.#expired(positionBefore(this.#state.position, message));
    else if (verdict.kind === "outputs_first" && run !== undefined) {
      yield* this.#readOutputs(run, verdict.upTo);
      yield* this.#applyAfterOutputs(message, verdict.upTo);
    }
  }

  async *#applyAfterOutputs(message: EventMessage, upTo: number): Messages {
    const verdict = applyEvent(this.#state, message.link, upTo);
    if (verdict.kind === "deliver") yield* this.#deliverEvent(message, verdict.state);
  }

  /** Delivers the outputs of the running attempt, up to a sequence if its end is known. Returns whether events must be read first. */
  async *#readOutputs(run: Run, upTo: number | undefined): AsyncGenerator<StreamResultsResponse, boolean, void> {
    for (;;) {
      const messages = await this.#source.outputs(run, this.#state.position.output);
      if (messages.length === 0) break;
      // Only what was stored while the attempt still ran is surely its own.
      if (upTo === undefined && (await this.#hasMoved())) return true;
      for (const message of messages) {
        const link = { ...message.link, previous: this.#state.position.output };
        const verdict = applyOutput(this.#state, link, upTo);
        if (verdict.kind === "skip") return false;
        yield* this.#deliverOutputs(message, verdict);
        if (verdict.kind === "held") return false;
      }
    }
    const short = upTo !== undefined && this.#state.position.output < upTo;
    if (short && (await this.#source.holdsOutput(run, upTo))) throw lagging();
    return false;
  }

  /** Whether there is more than what was read shows. Throws if what was delivered is gone from the log. */
  async #isBehind(): Promise<boolean> {
    const { event } = this.#state.position;
    const last = await this.#source.lastEvent();
    if (last > event) return true;
    if (last === event && event > 0) return false;
    const record = await this.#source.record(0);
    if (record === undefined) throw taskNotFound(this.#source.taskId);
    if (event > 0) throw this.#expired(START);
    return false;
  }

  async *#deliverEvent({ event, link }: EventMessage, state: OrderState): Messages {
    this.#state = state;
    this.#recovered();
    if (this.#task !== undefined && (link.terminal || this.#wants(ResultKind.STATE))) {
      const status = statusOf(recordOf(this.#source, this.#task), { message: event, sequence: link.sequence });
      const result = event.result === undefined ? {} : { result: event.result };
      yield this.#message({ case: "stateChange", value: { status, ...result } });
    }
  }

  async *#deliverOutputs({ batch, link }: OutputMessage, verdict: OutputVerdict): Messages {
    if (verdict.kind === "expired") throw this.#expired(verdict.available);
    if (verdict.kind === "held") this.#state = verdict.state;
    if (verdict.kind !== "deliver") return;
    // Each item has a cursor of its own, so that a reader can leave in the middle of a message.
    for (const { at, position } of verdict.items) {
      const output = batch.outputs[at];
      if (output === undefined || !this.#wants(kindOf(output))) continue;
      this.#state = { ...this.#state, position };
      const { agentId, attempt } = link.run;
      yield this.#message({ case: "output", value: { attempt, agentId, output } });
    }
    this.#state = verdict.state;
  }

  #wants(kind: ResultKind): boolean {
    return this.#kinds.size === 0 || this.#kinds.has(kind);
  }

  #silenceMs(): number {
    return this.#clock.monotonicMs() - this.#sentMs;
  }

  #keepAlive(): StreamResultsResponse {
    return this.#message({ case: "keepAlive", value: {} });
  }

  #message(kind: ResponseKind): StreamResultsResponse {
    this.#sentMs = this.#clock.monotonicMs();
    const { tenant, taskId } = this.#source;
    const { position } = this.#state;
    const cursor = encodeCursor(tenant, taskId, position);
    const fields: MessageInitShape<typeof StreamResultsResponseSchema> = {
      cursor,
      sequence: BigInt(position.ordinal),
      kind,
    };
    return create(StreamResultsResponseSchema, fields);
  }

  #expired(available: Position): MeshError {
    const { tenant, taskId } = this.#source;
    return new MeshError("CURSOR_EXPIRED", "what follows the cursor is no longer kept", {
      metadata: { first_available_cursor: encodeCursor(tenant, taskId, available) },
    });
  }
}

/** Where a reader goes on that can't have what lies before an event: with this event. */
function positionBefore(position: Position, { link }: EventMessage): Position {
  const output = Math.max(position.output, link.ends?.outputSequence ?? 0);
  return { ordinal: position.ordinal, event: link.previous, output, item: 0, index: 0 };
}

function kindOf(output: Output): ResultKind {
  if (output.kind.case === "progress") return ResultKind.PROGRESS;
  return output.kind.case === "log" ? ResultKind.LOG : ResultKind.CHUNK;
}

/** A replica that answers reads is behind what was heard: it will catch up. */
function lagging(): MeshError {
  return new MeshError("BROKER_UNAVAILABLE", "the log is behind", { retryDelayMs: 1_000 });
}
