// The life of a task that runs in this process: its attempts one after the other, as its retry policy and its deadlines have it. It is as
// durable as the process: nothing of it is left when that ends.
import { fromBinary } from "@bufbuild/protobuf";
import type { Context } from "@opentelemetry/api";
import { trace } from "@opentelemetry/api";
import type { BulkheadPolicy } from "cockatiel";
import { PayloadSchema } from "../../../gen/mycel/v1/payload_pb.ts";
import { FailureSource, type Task, type TaskFailure } from "../../../gen/mycel/v1/task_pb.ts";
import { DEFAULT_START_TO_CLOSE_MS } from "../../../lib/core/limits.ts";
import { backoffMs, mayRetry } from "../../../lib/core/retry-policy.ts";
import type { TaskState } from "../../../lib/core/task-state.ts";
import { pause } from "../../../lib/time/pause.ts";
import { policyOf } from "../../../lib/wire/task-codec.ts";
import { msFromDuration } from "../../../lib/wire/time-codec.ts";
import { markSpanFailed } from "../../../lib/wire/trace-context.ts";
import { AgentError, type Capability, type FailureFacts, type Outcome } from "../../agent/index.ts";
import { outcomeOfError } from "../../agent/outcome.ts";
import { encodePayload } from "../../agent/payload.ts";
import type { WorkItem } from "../../agent/work-item.ts";
import { abortError } from "../../client/mycel-error.ts";
import { startHop } from "../../../lib/wire/hop.ts";
import { LocalAttempt, type LocalAttemptOptions } from "./local-attempt.ts";
import { localProcessSpan } from "./local-spans.ts";
import { localStatus, type StatusFacts } from "./local-status.ts";

/** What a local task needs. */
export interface LocalTaskOptions extends Pick<LocalAttemptOptions, "events" | "blobs" | "clock" | "logger"> {
  /** With its defaults filled in. */
  readonly task: Task;
  /** The input as the handler gets it, and its payload if it has to be downloaded. */
  readonly content: Pick<WorkItem, "input" | "blob">;
  readonly capability: Capability;
  /** Bounds how many attempts run at once. */
  readonly slots: Pick<BulkheadPolicy, "execute">;
  /** Leaves the task: its attempt is stopped, and nothing more is told of it. */
  readonly signal: AbortSignal | undefined;
  /** The trace to which it belongs. */
  readonly parent: Context;
}

/** How long a handler that does not stop when told keeps its slot, in milliseconds. As agents have it. */
const HUNG_MS = 60_000;

type Next = { readonly kind: "over" } | { readonly kind: "again"; readonly attempt: number; readonly delayMs: number };

/** A task. */
export class LocalTask {
  readonly #options: LocalTaskOptions;
  readonly #over = new AbortController();
  #running: LocalAttempt | undefined;
  #attempt = 0;

  constructor(options: LocalTaskOptions) {
    this.#options = options;
  }

  /** Runs it to its end. Never rejects: what becomes of it is in its events. */
  async run(): Promise<void> {
    const { task, events, signal } = this.#options;
    // Without the input, as the mesh's.
    const { input: _, ...told } = task;
    events.add({ case: "snapshot", value: { ...told, status: this.#status({ state: "submitted" }) } }, 0);
    const onLeft = (): void => {
      if (signal !== undefined) this.#leave(signal);
    };
    signal?.addEventListener("abort", onLeft, { once: true });
    if (signal?.aborted === true) onLeft();
    const { scheduleToStart, scheduleToClose } = task.timeouts ?? {};
    const timers = [
      this.#limit("SCHEDULE_TO_CLOSE_TIMEOUT", msFromDuration(scheduleToClose), () => true),
      this.#limit("SCHEDULE_TO_START_TIMEOUT", msFromDuration(scheduleToStart), () => this.#attempt === 0),
    ];
    try {
      let next: Next = { kind: "again", attempt: 1, delayMs: 0 };
      while (next.kind === "again" && !this.#over.signal.aborted) {
        const { attempt, delayMs } = next;
        if (delayMs > 0 && !(await pause(delayMs, this.#over.signal))) return;
        next = await this.#inSlot(attempt);
      }
    } catch (error) {
      events.fail(error);
    } finally {
      signal?.removeEventListener("abort", onLeft);
      for (const timer of timers) clearTimeout(timer);
    }
  }

  /** Waits for a slot, and resolves when the attempt is over; the slot is taken until its handler has returned. */
  async #inSlot(attempt: number): Promise<Next> {
    const ended = Promise.withResolvers<Next>();
    const slot = this.#options.slots.execute(async () => {
      if (this.#over.signal.aborted) return;
      const { next, returned } = this.#start(attempt);
      next.then(ended.resolve, ended.reject);
      await next.catch(() => undefined);
      const free = new AbortController();
      void returned.then(() => free.abort());
      await pause(HUNG_MS, free.signal);
    });
    slot.catch(ended.reject);
    const over = (): void => ended.resolve({ kind: "over" });
    this.#over.signal.addEventListener("abort", over, { once: true });
    if (this.#over.signal.aborted) over();
    try {
      return await ended.promise;
    } finally {
      this.#over.signal.removeEventListener("abort", over);
    }
  }

  #start(attempt: number): { readonly next: Promise<Next>; readonly returned: Promise<unknown> } {
    const { task, content, capability, parent } = this.#options;
    const { taskId, type, queue, timeouts } = task;
    const item: WorkItem = {
      taskId,
      type,
      queue,
      attempt,
      fence: 0n,
      beginRequired: false,
      leaseToken: "",
      startToCloseMs: msFromDuration(timeouts?.startToClose),
      heartbeatMs: msFromDuration(timeouts?.heartbeat),
      task,
      ...content,
    };
    const startToCloseMs = item.startToCloseMs ?? DEFAULT_START_TO_CLOSE_MS;
    const running = new LocalAttempt({ ...this.#options, item, capability, startToCloseMs });
    this.#attempt = attempt;
    this.#running = running;
    this.#tell({ state: "working", attemptStartMs: running.startMs });
    const hop = startHop(parent, () => localProcessSpan(item));
    const { outcome, returned } = running.run(hop.inside);
    const next = outcome.then((ended) => {
      this.#running = undefined;
      if (hop.span !== undefined && ended === undefined) markSpanFailed(hop.span, "CANCELED");
      if (hop.span !== undefined && ended?.kind === "fail") {
        markSpanFailed(hop.span, ended.failure.reason, ended.failure.message);
      }
      hop.span?.end();
      return ended === undefined ? ({ kind: "over" } as const) : this.#settle(ended, running.startMs);
    });
    return { next, returned };
  }

  #settle(outcome: Outcome, attemptStartMs: number): Next {
    if (this.#over.signal.aborted) return { kind: "over" };
    switch (outcome.kind) {
      case "complete":
        return this.#complete(outcome.value, attemptStartMs);
      case "fail":
        return this.#fail(outcome.failure, attemptStartMs, undefined);
      case "retry_after":
        return this.#fail({ ...outcome.failure, retryable: true }, attemptStartMs, outcome.delayMs);
      case "snooze":
        // No attempt is spent.
        return this.#backOff(this.#attempt, outcome.delayMs, { attemptStartMs });
    }
  }

  #complete(value: unknown, attemptStartMs: number): Next {
    try {
      const bytes = encodePayload(value);
      const result = bytes === undefined ? undefined : fromBinary(PayloadSchema, bytes);
      const status = this.#status({ state: "completed", attemptStartMs });
      const change = result === undefined ? { status } : { status, result };
      this.#options.events.add({ case: "stateChange", value: change }, bytes?.length ?? 0);
      return { kind: "over" };
    } catch (error) {
      return this.#settle(outcomeOfError(error), attemptStartMs);
    }
  }

  #fail(failure: FailureFacts, attemptStartMs: number, delayMs: number | undefined): Next {
    const policy = policyOf(this.#options.task);
    const wire = failureOf(failure, this.#attempt);
    if (mayRetry(policy, this.#attempt, failure.retryable, failure.reason)) {
      const waitMs = delayMs ?? backoffMs(policy, this.#attempt, Math.random());
      return this.#backOff(this.#attempt + 1, waitMs, { attemptStartMs, failure: wire });
    }
    this.#tell({ state: "failed", attemptStartMs, failure: wire });
    return { kind: "over" };
  }

  #backOff(attempt: number, delayMs: number, facts: Pick<StatusFacts, "attemptStartMs" | "failure">): Next {
    const nextAttemptMs = this.#options.clock.now() + delayMs;
    this.#tell({ state: "backing_off", nextAttemptMs, ...facts });
    return { kind: "again", attempt, delayMs };
  }

  #leave(signal: AbortSignal): void {
    this.#options.events.fail(abortError(signal));
    this.#end(new AgentError("CANCELED", "whoever asked for the task has left"));
  }

  #limit(
    reason: "SCHEDULE_TO_START_TIMEOUT" | "SCHEDULE_TO_CLOSE_TIMEOUT",
    limitMs: number | undefined,
    isMissed: () => boolean,
  ): NodeJS.Timeout | undefined {
    if (limitMs === undefined) return undefined;
    return setTimeout(() => {
      if (!isMissed() || this.#over.signal.aborted) return;
      const what = reason === "SCHEDULE_TO_START_TIMEOUT" ? "no attempt started" : "the task did not end";
      const message = `${what} within ${limitMs} ms`;
      const failure = failureOf({ message, reason, retryable: false, source: "timeout", details: "" }, this.#attempt);
      this.#tell({ state: "timed_out", failure });
      this.#end(new AgentError("CANCELED", message));
    }, limitMs);
  }

  #end(reason: AgentError): void {
    this.#over.abort(reason);
    this.#running?.stop(reason);
  }

  #tell(
    facts: Pick<StatusFacts, "attemptStartMs" | "nextAttemptMs" | "failure"> & { readonly state: TaskState },
  ): void {
    this.#options.events.add({ case: "stateChange", value: { status: this.#status(facts) } }, 0);
  }

  #status(facts: Omit<StatusFacts, "nowMs" | "attempt" | "traceId">): ReturnType<typeof localStatus> {
    const { task, clock, parent } = this.#options;
    const traceId = trace.getSpanContext(parent)?.traceId ?? "";
    return localStatus(task, { nowMs: clock.now(), attempt: this.#attempt, traceId, ...facts });
  }
}

function failureOf({ message, reason, retryable, source, details }: FailureFacts, attempt: number): TaskFailure {
  return {
    $typeName: "mycel.v1.TaskFailure",
    message,
    reason,
    retryable,
    source: source === "timeout" ? FailureSource.TIMEOUT : FailureSource.AGENT,
    attempt,
    details,
  };
}
