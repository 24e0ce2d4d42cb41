// Owns what runs in this process: the handlers, how many attempts they may run at once, and how many tasks may be under way.
import { randomUUID } from "node:crypto";
import type { Context } from "@opentelemetry/api";
import { bulkhead, type BulkheadPolicy } from "cockatiel";
import type { Task, TaskStatus } from "../../../gen/mycel/v1/task_pb.ts";
import type { Clock } from "../../../lib/core/clock.ts";
import { DEFAULT_MAX_START_TO_CLOSE_MS, MAX_WAIT_MS } from "../../../lib/core/limits.ts";
import type { Logger } from "../../../lib/core/logger.ts";
import { checkSubmission, taskFromSubmission } from "../../../lib/wire/submission.ts";
import type { Blobs } from "../../agent/blobs.ts";
import type { Capability } from "../../agent/index.ts";
import type { EventKind, SubmittedTask, TaskEvent, TaskOptions, TaskRun } from "../../client/index.ts";
import { kindsToWire } from "../../client/event.ts";
import { MycelError, invalidOption } from "../../client/mycel-error.ts";
import { completedOrThrow, unfinished } from "../../client/outcome.ts";
import { submissionOf } from "../../client/submission.ts";
import { LocalEvents } from "./local-events.ts";
import { localInput } from "./local-input.ts";
import { localStatus } from "./local-status.ts";
import { LocalTask } from "./local-task.ts";

/** What running here needs. */
export interface LocalRunnerOptions {
  /** By task type. */
  readonly handlers: ReadonlyMap<string, Capability>;
  /** How many attempts run at once. */
  readonly concurrency: number;
  /** How many tasks beyond those may be under way: waiting for a slot, or for their next attempt. */
  readonly waiting: number;
  readonly blobs: Blobs;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** What one run is given. */
export interface LocalRunOptions extends TaskOptions {
  readonly kinds?: readonly EventKind[];
  readonly signal?: AbortSignal | undefined;
}

/** The tasks of this process. */
export class LocalRunner {
  readonly #options: LocalRunnerOptions;
  readonly #slots: BulkheadPolicy;
  readonly #underWay = new Set<Promise<void>>();

  constructor(options: LocalRunnerOptions) {
    this.#options = options;
    // How many may wait is decided before a task is taken: one that has begun must not be turned away at its second attempt.
    this.#slots = bulkhead(options.concurrency, Number.POSITIVE_INFINITY);
  }

  /** Whether there is a handler for the type. */
  has(type: string): boolean {
    return this.#options.handlers.has(type);
  }

  /** Resolves when nothing runs any more that runs now. */
  async idle(): Promise<void> {
    await Promise.all(this.#underWay);
  }

  /**
   * Takes a task and begins to run it. Throws a MycelError: LOCAL_FULL if too many are under way, NO_HANDLER, or INVALID_ARGUMENT with every
   * violation, as the mesh would.
   */
  start(
    type: string,
    input: unknown,
    { kinds = [], signal, ...submission }: LocalRunOptions,
    parent: Context,
  ): TaskRun {
    const { handlers, blobs, clock, logger } = this.#options;
    const capability = handlers.get(type);
    if (capability === undefined) throw refused("failed_precondition", "NO_HANDLER", `there is no handler for ${type}`);
    // Throws for kinds that are none.
    kindsToWire(kinds);
    const content = localInput(input);
    const task = this.#taskOf(type, content.payload, submission);
    const { concurrency, waiting } = this.#options;
    if (this.#underWay.size >= concurrency + waiting) {
      const text = `${this.#underWay.size} tasks are under way in this process, which is all that it takes`;
      throw refused("resource_exhausted", "LOCAL_FULL", text);
    }
    const events = new LocalEvents(kinds);
    const options = { task, content, capability, slots: this.#slots, events, blobs, clock, logger, signal, parent };
    const life: Promise<void> = new LocalTask(options).run().finally(() => this.#underWay.delete(life));
    this.#underWay.add(life);
    const status = localStatus(task, { state: "submitted", nowMs: clock.now(), attempt: 0, traceId: "" });
    return runOf(task, status, events);
  }

  #taskOf(type: string, payload: Task["input"], submission: TaskOptions): Task {
    const nowMs = this.#options.clock.now();
    const request = submissionOf({ ...submission, type }, payload);
    const limits = { maxStartToCloseMs: DEFAULT_MAX_START_TO_CLOSE_MS, maxWaitMs: MAX_WAIT_MS };
    // What is too large to travel inline would be a blob there, and has no bound of its own here.
    const isInline = payload?.kind.case !== "bytes";
    const checked = isInline ? request : { ...request, input: undefined };
    const error = checkSubmission(checked, limits, nowMs).error();
    // The mesh names a task after its request; here a name says where it ran.
    const named = { ...request, requestId: "" };
    if (error === undefined) return taskFromSubmission(named, "local", nowMs, () => `local-${randomUUID()}`);
    const { reason, violations } = error;
    throw new MycelError("invalid_argument", error.message, { reason, violations, unaccepted: true });
  }
}

/** A local task as a client's run. */
function runOf(task: Task, status: TaskStatus, events: LocalEvents): TaskRun {
  const submitted: SubmittedTask = { taskId: task.taskId, status, existing: false };
  let reading = false;
  const run: TaskRun = {
    submitted: Promise.resolve(submitted),
    [Symbol.asyncIterator](): AsyncIterator<TaskEvent> {
      if (reading) throw invalidOption("run", "can be iterated only once");
      reading = true;
      return events.read();
    },
    async result() {
      if (!reading) {
        for await (const _ of run);
      }
      const last = await events.last;
      if (last.kind !== "state") throw new MycelError("internal", "a task that ended without a state");
      return last.state === "completed" ? last.result : completedOrThrow(unfinished(last.status, last.state)).result;
    },
  };
  return run;
}

function refused(code: "failed_precondition" | "resource_exhausted", reason: string, message: string): MycelError {
  return new MycelError(code, message, { reason, unaccepted: true });
}
