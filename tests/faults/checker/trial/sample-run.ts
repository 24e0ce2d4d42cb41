// Runs that break no promise, made up from a seed: a small model of the mesh that writes history and log side by side. Tests of the checker
// take one, break it in one place, and see whether that is found. Knows nothing of the product's code.
import type { Execution, HistoryEntry, Read, Submission, Told } from "../../history.ts";
import type { FinalLog, LoggedDispatch, LoggedEvent, LoggedItem, LoggedOutput, LoggedTask } from "../../final-log.ts";
import type { Random } from "../../random.ts";

/** A run that can be tampered with. */
export interface SampleRun {
  history: HistoryEntry[];
  readonly log: Omit<FinalLog, "tasks"> & { readonly tasks: Map<string, SampleLog> };
}

/** The log of one task, open to tampering. */
export type SampleLog = {
  -readonly [Key in keyof LoggedTask]: LoggedTask[Key] extends readonly (infer Item)[]
    ? Item extends object
      ? Mutable<Item>[]
      : readonly Item[]
    : LoggedTask[Key];
};

/** A record whose fields can be tampered with. */
export type Mutable<T> = { -readonly [Key in keyof T]: T[Key] };

/** Where the tasks of a run are written. */
export class SampleStage {
  readonly history: HistoryEntry[] = [];
  readonly tasks: Map<string, SampleLog> = new Map();
  readonly random: Random;
  #now = 1_000;
  #sequence = { tasks: 0, output: 0 };

  constructor(random: Random) {
    this.random = random;
  }

  /** A moment later. */
  tick(): number {
    return (this.#now += 0.1 + this.random.next() * 5);
  }

  /** The place of the next message in a stream, and its time. */
  next(stream: "tasks" | "output"): { readonly sequence: number; readonly at: number } {
    // Others write to the streams, too.
    this.#sequence[stream] += this.random.between(1, 3);
    return { sequence: this.#sequence[stream], at: this.tick() };
  }

  /** The run so far. */
  run(): SampleRun {
    return { history: this.history, log: { tasks: this.tasks, lastSequences: { ...this.#sequence } } };
  }
}

/** An execution under way. */
export interface SampleExecution {
  readonly id: string;
  readonly agentId: string;
  readonly attempt: number;
  readonly deliveries: number;
  chunks: number;
  outputs: number;
}

type Unwritten<Entry = HistoryEntry> = Entry extends HistoryEntry ? Omit<Entry, "at"> : never;

/** Writes the life of one task. */
export class SampleTask {
  readonly taskId: string;
  readonly log: SampleLog;
  readonly #stage: SampleStage;
  readonly #readers: { readonly name: string; connection: number }[] = [];
  #place = 0;
  #executions = 0;

  constructor(stage: SampleStage, taskId: string, definition: Partial<SampleLog> = {}) {
    this.#stage = stage;
    this.taskId = taskId;
    const empty = { dispatches: [], events: [], outputs: [], redriveOf: "", nonRetryableReasons: [] };
    this.log = { taskId, type: "stream", maximumAttempts: 3, ...empty, ...definition };
  }

  /** A client submits it; the work item is written if the answer is yes, or unless `stored` says otherwise. */
  submit(answer: Submission["answer"] = "accepted", stored: boolean = answer === "accepted", queue = "stream"): void {
    const startedAt = this.#stage.tick();
    if (stored) {
      this.#stage.tasks.set(this.taskId, this.log);
      this.dispatch(queue);
    }
    const { taskId, type, maximumAttempts } = this.log;
    const reason = answer === "unknown" ? "BROKER_UNAVAILABLE" : "";
    this.#write({ what: "submit", startedAt, client: "c1", taskId, type, maximumAttempts, answer, reason });
  }

  /** Puts the task into its queue. */
  dispatch(queue = "stream"): void {
    const before = this.log.dispatches.at(-1);
    const last = this.log.events.at(-1);
    const attempt = last?.state === "backing_off" ? last.nextAttempt : 1;
    this.log.dispatches.push({
      ...this.#stage.next("tasks"),
      queue,
      priority: 5,
      attempt,
      fence: last?.sequence ?? 0,
      beginRequired: attempt >= this.log.maximumAttempts,
      expected: before?.sequence ?? 0,
    });
  }

  /** A handler starts, recorded by the mesh or not. It ends the attempt that was at work before. */
  start(agentId: string, recorded: boolean, deliveries = 1): SampleExecution {
    const last = this.log.events.at(-1);
    const item = this.#item();
    const seen = last !== undefined && last.sequence > item.sequence;
    let { attempt } = item;
    if (seen) attempt = last.state === "working" ? last.attempt + 1 : last.nextAttempt;
    if (recorded) {
      const lost = seen && last.state === "working" ? last : undefined;
      this.event("working", { attempt, nextAttempt: attempt + 1, agentId, deliveries }, lost);
    }
    const id = `${this.taskId}-x${(this.#executions += 1)}`;
    const execution = { id, agentId, attempt, deliveries, chunks: 0, outputs: 0 };
    this.#write(this.#execution("start", execution));
    return execution;
  }

  /** A handler streams a chunk. What counts reaches the readers. */
  chunk(execution: SampleExecution, counts = true): void {
    execution.chunks += 1;
    execution.outputs += 1;
    const { agentId, attempt, id } = execution;
    const item: LoggedItem = { index: execution.outputs, kind: "chunk", chunk: execution.chunks, execution: id };
    this.log.outputs.push({ ...this.#stage.next("output"), agentId, attempt, fence: false, items: [item] });
    if (counts) this.#deliver({ kind: "chunk", attempt, agentId, index: execution.chunks });
  }

  /** A coordinator takes the output subject away from a handler. */
  fence({ agentId, attempt }: SampleExecution): void {
    this.log.outputs.push({ ...this.#stage.next("output"), agentId, attempt, fence: true, items: [] });
  }

  /** A handler returns, whatever becomes of its report. */
  end(execution: SampleExecution, result: Execution["result"] = "completed"): void {
    this.#write({ ...this.#execution("end", execution), result, chunks: execution.chunks });
  }

  /** A handler returns and its report is taken. */
  complete(execution: SampleExecution): void {
    this.end(execution);
    this.#settle("completed", execution, { execution: execution.id });
  }

  /** A handler fails and its report is taken. */
  fail(execution: SampleExecution, retryable = true): void {
    this.end(execution, "failed");
    const more = retryable && execution.attempt < this.log.maximumAttempts;
    const failure = { reason: "HANDLER_ERROR", retryable };
    this.#settle(more ? "backing_off" : "failed", execution, {
      failure,
      nextAttempt: more ? execution.attempt + 1 : 0,
    });
  }

  /** An agent shuts down in the middle of an attempt and gives it back. */
  giveBack(execution: SampleExecution): void {
    this.end(execution, "aborted");
    this.#settle("submitted", execution, { nextAttempt: execution.attempt });
  }

  /** Writes an event of the mesh's own accord. `ended` is the attempt that it ends. */
  event(
    state: string,
    change: Partial<LoggedEvent> = {},
    ended?: { readonly attempt: number; readonly agentId: string },
  ): void {
    const last = this.log.events.at(-1);
    const event: LoggedEvent = {
      ...this.#stage.next("tasks"),
      expected: last?.sequence ?? 0,
      state,
      attempt: last?.attempt ?? 0,
      nextAttempt: 0,
      agentId: last?.agentId ?? "",
      operationId: `${this.taskId}-${this.log.events.length}`,
      endedAttempt: ended?.attempt ?? 0,
      endedAgentId: ended?.agentId ?? "",
      outputSequence: ended === undefined ? 0 : this.#lastOutput(ended),
      dispatchSequence: this.#item().sequence,
      deliveries: last?.deliveries ?? 0,
      failure: undefined,
      execution: undefined,
      ...change,
    };
    this.log.events.push(event);
    this.#deliver({ kind: "state", state, attempt: event.attempt, agentId: event.agentId });
  }

  /** Takes the work item of a task that ended out of its queue. */
  withdraw(): void {
    const item = this.log.dispatches.pop();
    if (item === undefined) return;
    const copy = { ...item, ...this.#stage.next("tasks"), queue: "_withdrawn", expected: item.sequence };
    this.log.dispatches.push(copy);
  }

  /** A client asks how far the task is. */
  ask(call: Told["call"] = "status"): void {
    const startedAt = this.#stage.tick();
    const { execution } = this.log.events.at(-1) ?? {};
    const { state, attempt, agentId } = this.#standing();
    const terminal = ["completed", "failed", "canceled", "timed_out"].includes(state);
    const told = { startedAt, call, taskId: this.taskId, state, terminal, attempt, agentId };
    this.#write({ what: "told", ...told, ...(execution === undefined ? {} : { execution }) });
  }

  /** A reader comes, before anything happened. */
  follow(name: string): void {
    const reader = { name, connection: 0 };
    this.#readers.push(reader);
    this.#connect(reader);
  }

  /** A reader goes on by another connection. */
  resume(name: string): void {
    const reader = this.#readers.find((one) => one.name === name);
    if (reader !== undefined) this.#connect(reader);
  }

  /** The readers are told that this was all. */
  leave(): void {
    for (const { name, connection } of this.#readers) this.#read(name, connection, { kind: "end", sequence: 0 });
  }

  #settle(state: string, { agentId, attempt, deliveries }: SampleExecution, change: Partial<LoggedEvent>): void {
    this.event(state, { attempt, agentId, deliveries, ...change }, { attempt, agentId });
  }

  #connect(reader: { readonly name: string; connection: number }): void {
    reader.connection += 1;
    const { state, attempt, agentId } = this.#standing();
    this.#read(reader.name, reader.connection, { kind: "snapshot", sequence: this.#place, state, attempt, agentId });
  }

  #deliver(result: Omit<Read, "what" | "at" | "reader" | "taskId" | "connection" | "sequence">): void {
    this.#place += 1;
    for (const { name, connection } of this.#readers)
      this.#read(name, connection, { ...result, sequence: this.#place });
  }

  #read(reader: string, connection: number, read: Pick<Read, "kind" | "sequence"> & Partial<Read>): void {
    this.#write({ ...read, what: "read", reader, taskId: this.taskId, connection });
  }

  #standing(): { readonly state: string; readonly attempt: number; readonly agentId: string } {
    const last = this.log.events.at(-1);
    const item = this.#item();
    const { attempt, agentId } = last ?? { attempt: 0, agentId: "" };
    const ended = last !== undefined && ["completed", "failed", "canceled", "timed_out"].includes(last.state);
    if (last !== undefined && (ended || last.sequence > item.sequence)) return last;
    return { state: item.queue === "_delayed" ? "scheduled" : "submitted", attempt, agentId };
  }

  #item(): LoggedDispatch {
    const item = this.log.dispatches.at(-1);
    if (item === undefined) throw new Error(`${this.taskId} was not submitted`);
    return item;
  }

  #lastOutput({ attempt, agentId }: { readonly attempt: number; readonly agentId: string }): number {
    const own = this.log.outputs.filter((output) => output.attempt === attempt && output.agentId === agentId);
    const fenced = own.findIndex(({ fence }) => fence);
    const counted: readonly LoggedOutput[] = fenced < 0 ? own : own.slice(0, fenced);
    return counted.at(-1)?.sequence ?? 0;
  }

  #execution(what: "start" | "end", { id, attempt, agentId }: SampleExecution): Omit<Execution, "at"> {
    return { what, execution: id, taskId: this.taskId, type: this.log.type, attempt, agentId, pid: 1 };
  }

  #write(entry: Unwritten): void {
    this.#stage.history.push({ ...entry, at: this.#stage.tick() });
  }
}
