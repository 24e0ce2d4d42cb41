// What was seen from outside while faults were injected: every answer that a client got, every message that a reader got, every
// execution that a handler wrote down itself, every fault. Append-only files of JSON lines, one for each process; read back as one
// history. Judges nothing: that is checker/.
import { appendFileSync, existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";

/** When something happened: milliseconds of the machine's monotonic clock, the same in all processes and never wrong. */
export interface Timed {
  readonly at: number;
}

/** A client's submission of one task, written when its call ended. */
export interface Submission extends Timed {
  readonly what: "submit";
  /** When the call began. */
  readonly startedAt: number;
  readonly client: string;
  readonly taskId: string;
  readonly type: string;
  readonly maximumAttempts: number;
  /**
   * `accepted` and `existing` are the mesh's word that it has the task. `refused` is its word that it has not: INVALID_ARGUMENT,
   * RESOURCE_EXHAUSTED and the like. `unknown` is every other error: the task may or may not be there.
   */
  readonly answer: "accepted" | "existing" | "refused" | "unknown";
  /** The error's reason, else empty. */
  readonly reason: string;
}

/** A client was told how far a task is. */
export interface Told extends Timed {
  readonly what: "told";
  /** When the call began; of a message in a stream, when it arrived. */
  readonly startedAt: number;
  readonly call: "status" | "outcome" | "cancel" | "retry" | "watch";
  readonly taskId: string;
  /** Core's word for the state; `unknown_task` if the answer was that there is no such task (TASK_NOT_FOUND). */
  readonly state: string;
  readonly terminal: boolean;
  readonly attempt: number;
  readonly agentId: string;
  /** The execution that the result names, for a completed task whose handler puts its own name into its result. */
  readonly execution?: string;
}

/** A reader of a task's results got a message, or ended. `reader` is unique; a reader goes on over many connections. */
export interface Read extends Timed {
  readonly what: "read";
  readonly reader: string;
  readonly taskId: string;
  /** Connections opened by this reader so far, from 1. */
  readonly connection: number;
  /** `end` is the stream's own end after the last message; `left` is a reader that gave up or was told to leave. */
  readonly kind: "snapshot" | "state" | "chunk" | "end" | "left";
  /** The message's place in its task; 0 for `end` and `left`. */
  readonly sequence: number;
  readonly state?: string;
  readonly attempt?: number;
  readonly agentId?: string;
  /** Of a chunk: the number that the handler gave it, from 1. */
  readonly index?: number;
  /** Why a reader left. */
  readonly reason?: string;
}

/** A handler started or ended, written by the handler itself. */
export interface Execution extends Timed {
  readonly what: "start" | "end";
  /** Unique for each start. */
  readonly execution: string;
  readonly taskId: string;
  readonly type: string;
  readonly attempt: number;
  readonly agentId: string;
  readonly pid: number;
  /** How the handler ended: what it will report. Only of `end`. */
  readonly result?: "completed" | "failed" | "aborted";
  /** Chunks that it streamed. Only of `end`. */
  readonly chunks?: number;
}

/** A fault was injected, undone, or overcome. */
export interface FaultMark extends Timed {
  readonly what: "fault";
  readonly name: string;
  readonly phase: "injected" | "healed" | "recovered";
  readonly detail?: string;
}

/** One line of a history. */
export type HistoryEntry = Submission | Told | Read | Execution | FaultMark;

/** Milliseconds of the monotonic clock, which all processes of a machine share. */
export function monotonicMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

const FILE_PREFIX = "history-";

/** Writes one process's part of a history. A line is in the file when `write` returns: a kill a moment later does not lose it. */
export class HistoryWriter {
  readonly #file: string;

  /** `name` is of the process; two processes with the same name may write into the same file. */
  constructor(dir: string, name: string) {
    this.#file = join(dir, `${FILE_PREFIX}${name}.jsonl`);
  }

  /** Appends entries, all or none of them. */
  write(...entries: readonly HistoryEntry[]): void {
    appendFileSync(this.#file, entries.map((entry) => `${JSON.stringify(entry)}\n`).join(""));
  }
}

/** Reads all that was written into a folder, in order of time. A last line cut off by a kill is left out. */
export function readHistory(dir: string): HistoryEntry[] {
  if (!existsSync(dir)) return [];
  const entries: HistoryEntry[] = [];
  for (const name of readdirSync(dir)) {
    if (!name.startsWith(FILE_PREFIX)) continue;
    const lines = readFileSync(join(dir, name), "utf8").split("\n");
    // What follows the last line break is empty, or half a line.
    for (const line of lines.slice(0, -1)) entries.push(JSON.parse(line) as HistoryEntry);
  }
  return entries.sort((a, b) => a.at - b.at);
}
