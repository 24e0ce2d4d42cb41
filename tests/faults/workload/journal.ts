// What the workload's clients saw, written into the history as it happens, and counted for the runner.
import type { TaskStatus } from "../../../gen/mycel/v1/task_pb.ts";
import { isTerminal } from "../../../lib/core/task-state.ts";
import { MycelError } from "../../../sdk/client/index.ts";
import { stateNameOf } from "../../../sdk/client/event.ts";
import { type HistoryEntry, HistoryWriter, monotonicMs, type Read, type Submission, type Told } from "../history.ts";

/** A call of a client that ended with an error. */
export interface CallError {
  readonly at: number;
  readonly startedAt: number;
  readonly call: string;
  readonly code: string;
  readonly reason: string;
  readonly message: string;
}

/** What a task was submitted as. */
export type Submitted = Pick<Submission, "client" | "taskId" | "type" | "maximumAttempts">;

// The mesh's word that it does not have the task. Everything else leaves it open: RESOURCE_EXHAUSTED, too, may be the answer to the
// second try of a submission whose first try was stored and never answered.
const REFUSALS: ReadonlySet<string> = new Set(["invalid_argument"]);

/** One workload's journal. */
export class Journal {
  /** Calls that ended with an error. */
  readonly errors: CallError[] = [];
  /** What no invariant of the log covers: a wrong result, a missing event. Each is a violation. */
  readonly complaints: string[] = [];
  /** Tasks whose submission was answered with yes. */
  accepted = 0;
  /** Accepted tasks whose end was told. */
  ended = 0;
  readonly #writer: HistoryWriter;
  readonly #open = new Set<string>();
  readonly #known = new Set<string>();
  #waiting: { readonly count: number; readonly resolve: () => void }[] = [];

  constructor(historyDir: string) {
    this.#writer = new HistoryWriter(historyDir, "workload");
  }

  /** Accepted tasks whose end nobody was told yet. */
  get open(): readonly string[] {
    return [...this.#open];
  }

  /** A submission of a caller that does not wait for the task's end was answered: the log tells how it ended. */
  left(task: Submitted, startedAt: number, existing: boolean): void {
    const answer = existing ? "existing" : "accepted";
    this.#writer.write({ what: "submit", at: monotonicMs(), startedAt, ...task, answer, reason: "" });
  }

  /** A submission was answered, and the client will wait for the task's end. */
  submitted(task: Submitted, startedAt: number, existing: boolean): void {
    this.left(task, startedAt, existing);
    if (this.#known.has(task.taskId)) return;
    this.#known.add(task.taskId);
    this.#open.add(task.taskId);
    this.accepted += 1;
  }

  /** A submission ended with an error. */
  notSubmitted(task: Submitted, startedAt: number, error: unknown): void {
    const { code, reason } = this.failed("submit", startedAt, error);
    this.#notSubmitted(task, startedAt, code, reason);
  }

  /** A submission of a caller that expects errors ended with one. */
  leftOpen(task: Submitted, startedAt: number, { code, reason = "" }: MycelError): void {
    this.#notSubmitted(task, startedAt, code, reason);
  }

  /** A call ended with an error. */
  failed(call: string, startedAt: number, error: unknown): CallError {
    const known = error instanceof MycelError;
    const entry: CallError = {
      at: monotonicMs(),
      startedAt,
      call,
      code: known ? error.code : "unexpected",
      reason: known ? (error.reason ?? "") : "",
      message: error instanceof Error ? error.message : String(error),
    };
    this.errors.push(entry);
    return entry;
  }

  /** A client was told how far a task is. */
  told(call: Told["call"], startedAt: number, status: TaskStatus, execution?: string): void {
    const state = stateNameOf(status);
    const terminal = isTerminal(state);
    this.#writer.write({
      what: "told",
      at: monotonicMs(),
      startedAt,
      call,
      taskId: status.taskId,
      state,
      terminal,
      attempt: status.attempt,
      agentId: status.agentId,
      ...(execution === undefined ? {} : { execution }),
    });
    if (terminal) this.#end(status.taskId);
  }

  /** A reader got a message, or ended. */
  read(entry: Omit<Read, "what" | "at">): void {
    this.#writer.write({ what: "read", at: monotonicMs(), ...entry });
  }

  /** Something else worth a line. */
  write(entry: HistoryEntry): void {
    this.#writer.write(entry);
  }

  /** Resolves when so many accepted tasks have ended; rejects with what is open when that takes longer than `limitMs`. */
  async untilEnded(count: number, limitMs: number): Promise<void> {
    if (this.ended >= count) return;
    const reached = Promise.withResolvers<void>();
    this.#waiting.push({ count, resolve: reached.resolve });
    const timer = setTimeout(() => {
      const some = this.open.slice(0, 5).join(", ");
      reached.reject(
        new Error(`${this.ended} of ${count} tasks ended in ${limitMs} ms; ${this.#open.size} are open, e.g. ${some}`),
      );
    }, limitMs);
    try {
      await reached.promise;
    } finally {
      clearTimeout(timer);
    }
  }

  #notSubmitted(task: Submitted, startedAt: number, code: string, reason: string): void {
    const answer = REFUSALS.has(code) ? "refused" : "unknown";
    this.#writer.write({ what: "submit", at: monotonicMs(), startedAt, ...task, answer, reason });
  }

  #end(taskId: string): void {
    if (!this.#open.delete(taskId)) return;
    this.ended += 1;
    for (const { count, resolve } of this.#waiting) if (this.ended >= count) resolve();
    this.#waiting = this.#waiting.filter(({ count }) => this.ended < count);
  }
}
