// Moves tasks: one event by compare-and-set, then what follows from it, in an order that can be repeated after a crash.

import type { NatsConnection } from "@nats-io/nats-core";
import type { Payload } from "../../../gen/mycel/v1/payload_pb.ts";
import type { TaskScope } from "../../../lib/core/access/task-scope.ts";
import type { Clock } from "../../../lib/core/clock.ts";
import type { EventDraft } from "../../../lib/core/event.ts";
import { timeOutTask } from "../../../lib/core/expire.ts";
import type { Logger } from "../../../lib/core/logger.ts";
import { MeshError, taskNotFound, taskUnreadable } from "../../../lib/core/mesh-error.ts";
import { decideCancel } from "../../../lib/core/settle.ts";
import { beginRequiredFor, fenceOf, stateOf } from "../../../lib/core/task.ts";
import { isTerminal, type TaskState } from "../../../lib/core/task-state.ts";
import { signalCancel } from "../../../lib/nats/agent-requests.ts";
import type { Lanes } from "../../../lib/nats/lanes.ts";
import type { OutputLog } from "../../../lib/nats/output-log.ts";
import type { TaskLog, WriteOutcome } from "../../../lib/nats/task-log.ts";
import type { Timers } from "../../../lib/nats/timers.ts";
import type { LeaseTokens } from "../../../lib/wire/lease-token.ts";
import { encodeDispatch, type TaskRecord, viewOf } from "../../../lib/wire/task-codec.ts";
import { mayBePurged } from "./expiry.ts";
import { readVisible } from "./visibility.ts";

/** What moving tasks needs. */
export interface LifecycleParts {
  readonly connection: NatsConnection;
  readonly log: TaskLog;
  readonly outputs: OutputLog;
  readonly timers: Timers;
  readonly lanes: Lanes;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Undefined where the broker asks agents for no credentials. */
  readonly tokens?: LeaseTokens | undefined;
}

/** How often a decision is taken anew because somebody else moved the task in between. */
const MAX_CONFLICTS = 10;

/** Moves tasks. */
export class Lifecycle {
  readonly #parts: LifecycleParts;

  constructor(parts: LifecycleParts) {
    this.#parts = parts;
  }

  /** Reads a task, at least up to a sequence that stands about it. Throws TASK_NOT_FOUND. */
  async read(tenant: string, taskId: string, reached = 0): Promise<TaskRecord> {
    const record = await this.#parts.log.read(tenant, taskId, reached);
    if (record === undefined) throw taskNotFound(taskId);
    return record;
  }

  /** Reads a task as whoever may have heard of its end must be told of it. Throws TASK_NOT_FOUND, also of one outside of a scope. */
  async readCurrent(tenant: string, taskId: string, scope?: TaskScope): Promise<TaskRecord> {
    return await readVisible(taskId, scope, () => this.#parts.log.readCurrent(tenant, taskId));
  }

  /** Writes the event that a decision asks for, and does what follows. A conflict leaves everything as it was. */
  async move(record: TaskRecord, event: EventDraft, operationId: string, result?: Payload): Promise<WriteOutcome> {
    const { log, clock } = this.#parts;
    const outputSequence = await this.#outputSequence(record, event);
    const context = { eventMs: clock.now(), operationId, outputSequence, result };
    const outcome = await log.append(record, event, context, fenceOf(viewOf(record)), record.trace);
    if (outcome.kind === "stored") await this.#follow(record, event);
    return outcome;
  }

  /** What follows from a stored event. Every step is safe to repeat: another coordinator may have to, if this one dies in between. */
  async #follow(record: TaskRecord, event: EventDraft): Promise<void> {
    if (event.state === "backing_off" && event.nextAttemptMs !== undefined) {
      await this.#parts.timers.set(record, "dispatch", event.nextAttemptMs);
    }
    if (event.ended !== undefined && event.ended.outputSequence === undefined) {
      // The agent was not asked: it may be at work still, or a zombie that comes back.
      this.#signal(record, event.ended, event.failure?.reason ?? "CANCELED");
    }
    if (isTerminal(event.state) && event.ended === undefined) await this.#withdraw(record);
  }

  /** Cancels a task. Throws TASK_NOT_FOUND, also of one outside of a scope, and TASK_NOT_CANCELABLE. */
  async cancel(tenant: string, taskId: string, reason: string, scope?: TaskScope): Promise<TaskRecord> {
    return this.#decide(tenant, taskId, scope, async (record) => {
      const decision = decideCancel(viewOf(record), reason);
      if (decision.kind === "canceled") {
        await this.#cancelAgain(record);
        return fenceOf(viewOf(record));
      }
      if (decision.kind === "not_cancelable") {
        const state = stateOf(viewOf(record));
        throw new MeshError("TASK_NOT_CANCELABLE", `task ${taskId} has ended already: it is ${state}`, {
          resource: { type: "mycel.v1.Task", name: taskId },
          metadata: { state },
        });
      }
      return sequenceOf(await this.move(record, decision.event, crypto.randomUUID()));
    });
  }

  /** Cancels a task that waits, in one of these states; false if it does not, and is left as it is. Throws TASK_NOT_FOUND and CONFLICT. */
  async cancelWaiting(
    tenant: string,
    taskId: string,
    states: ReadonlySet<TaskState>,
    reason: string,
  ): Promise<boolean> {
    for (let tries = 0; tries < MAX_CONFLICTS; tries += 1) {
      const record = await this.#readForDecision(tenant, taskId);
      const view = viewOf(record);
      const state = stateOf(view);
      const decision = states.has(state) ? decideCancel(view, reason) : undefined;
      if (decision?.kind !== "write") {
        // Whoever canceled it may have died before it took it out of its queue.
        if (state === "canceled") await this.#cancelAgain(record);
        return false;
      }
      const outcome = await this.move(record, decision.event, crypto.randomUUID());
      if (outcome.kind === "stored") return true;
    }
    throw tooFast(taskId);
  }

  /** Ends a task that is still open when its log is about to expire. */
  async expire(tenant: string, taskId: string): Promise<void> {
    await this.#decide(tenant, taskId, undefined, async (record) => {
      const view = viewOf(record);
      if (isTerminal(stateOf(view))) return fenceOf(view);
      return sequenceOf(await this.move(record, timeOutTask(view, "retention"), crypto.randomUUID()));
    });
  }

  /** Puts a delayed or backed-off task into its queue. A conflict means that somebody else did. */
  async dispatch(record: TaskRecord, attempt: number, fence: number): Promise<WriteOutcome> {
    const { log, lanes, tokens } = this.#parts;
    const { task } = record.dispatch.message;
    if (task === undefined || task.queue === "") throw taskUnreadable();
    await lanes.lanesOf(record.tenant, task.queue);
    const { tenant, taskId } = record;
    const lane = { tenant, taskId, queue: task.queue, priority: record.dispatch.priority };
    return log.dispatch(
      {
        ...lane,
        body: encodeDispatch({
          ...record.dispatch.message,
          attempt,
          fence: BigInt(fence),
          beginRequired: beginRequiredFor(viewOf(record).policy, attempt),
          leaseToken: tokens?.ofDispatch({ ...lane, attempt, fence }) ?? "",
        }),
        trace: record.trace,
      },
      record.dispatch.sequence,
    );
  }

  /** A signal may be lost, and a coordinator may die before it has sent one. Whoever cancels again asks for it again. */
  async #cancelAgain(record: TaskRecord): Promise<void> {
    const { endedAgentId: agentId = "", endedAttempt: attempt = 0 } = record.event?.message ?? {};
    if (agentId === "") {
      // The copy of a work item would outlive a task that is purged meanwhile, and take its name for ever.
      if (!mayBePurged(record, this.#parts.clock.now())) await this.#withdraw(record);
    } else this.#signal(record, { agentId, attempt }, "CANCELED");
  }

  #signal(
    { tenant, taskId }: TaskRecord,
    { agentId, attempt }: { readonly agentId: string; readonly attempt: number },
    reason: string,
  ): void {
    signalCancel(this.#parts.connection, { tenant, agentId }, { taskId, attempt, reason });
  }

  async #withdraw(record: TaskRecord): Promise<void> {
    const { log, logger } = this.#parts;
    await log.withdraw(record).catch((err: unknown) => {
      logger.warn({ err, task_id: record.taskId }, "work item of an ended task not withdrawn");
    });
  }

  /** Once a task may be purged, no replica has the word on it: its name may be another task's by now. Throws TASK_NOT_FOUND. */
  async #readForDecision(tenant: string, taskId: string): Promise<TaskRecord> {
    const record = await this.read(tenant, taskId);
    if (!mayBePurged(record, this.#parts.clock.now())) return record;
    const latest = await this.#parts.log.readLatest(tenant, taskId);
    if (latest === undefined) throw taskNotFound(taskId);
    return latest;
  }

  /**
   * Reads and decides until the decision stands, and returns the task after it. `decide` gives the sequence of the event that stands, or
   * undefined if somebody else moved the task.
   */
  async #decide(
    tenant: string,
    taskId: string,
    scope: TaskScope | undefined,
    decide: (record: TaskRecord) => Promise<number | undefined>,
  ): Promise<TaskRecord> {
    for (let tries = 0; tries < MAX_CONFLICTS; tries += 1) {
      const record = await readVisible(taskId, scope, () => this.#readForDecision(tenant, taskId));
      const sequence = await decide(record);
      if (sequence !== undefined) return this.read(tenant, taskId, sequence);
    }
    throw tooFast(taskId);
  }

  /** The last output that counts of the attempt that an event ends; the output log is fenced if the agent was not asked. */
  async #outputSequence(record: TaskRecord, event: EventDraft): Promise<number> {
    if (event.ended === undefined) return 0;
    const { outputSequence, agentId, attempt } = event.ended;
    return outputSequence ?? (await this.#parts.outputs.fence(record, agentId, attempt));
  }
}

function tooFast(taskId: string): MeshError {
  return new MeshError("CONFLICT", `task ${taskId} changes too fast to be moved now`, { retryDelayMs: 100 });
}

function sequenceOf(outcome: WriteOutcome): number | undefined {
  return outcome.kind === "stored" ? outcome.sequence : undefined;
}
