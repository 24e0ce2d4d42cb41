// Accepts tasks: checked, admitted, and stored by one compare-and-set that also recognises repetitions.

import { create } from "@bufbuild/protobuf";
import { context } from "@opentelemetry/api";
import {
  type SubmitTaskRequest,
  type SubmitTaskResponse,
  SubmitTaskResponseSchema,
} from "../../../gen/mycel/v1/agent_service_pb.ts";
import type { Dispatch } from "../../../gen/mycel/v1/task_log_pb.ts";
import type { Task, TaskWebhook } from "../../../gen/mycel/v1/task_pb.ts";
import { covers, type TaskScope } from "../../../lib/core/access/task-scope.ts";
import type { Clock } from "../../../lib/core/clock.ts";
import { MeshError, type MeshErrorReason } from "../../../lib/core/mesh-error.ts";
import { DELAYED_QUEUE } from "../../../lib/core/names.ts";
import { beginRequiredFor, deadlinesOf, stateOf } from "../../../lib/core/task.ts";
import { isTerminal } from "../../../lib/core/task-state.ts";
import { brokerUnavailable } from "../../../lib/nats/broker-errors.ts";
import type { Lanes, Room } from "../../../lib/nats/lanes.ts";
import type { LogRoom } from "../../../lib/nats/log-room.ts";
import type { DispatchDraft, TaskLog } from "../../../lib/nats/task-log.ts";
import type { Timers } from "../../../lib/nats/timers.ts";
import {
  checkSubmission,
  submissionDigest,
  type SubmissionLimits,
  taskFromSubmission,
  taskIdFor,
} from "../../../lib/wire/submission.ts";
import { DISPATCH_TEMPLATE } from "../../../lib/wire/subjects.ts";
import type { Violations } from "../../../lib/wire/validation.ts";
import { encodeDispatch, policyOf, statusOf, type TaskRecord, viewOf } from "../../../lib/wire/task-codec.ts";
import type { LeaseTokens } from "../../../lib/wire/lease-token.ts";
import { startHop } from "../../../lib/wire/hop.ts";
import {
  carrierFromContext,
  isTracing,
  markSpanFailed,
  publishSpan,
  type SpanShape,
  type TraceCarrier,
} from "../../../lib/wire/trace-context.ts";
import { actionNotAllowed } from "../access/refusals.ts";
import { isVisible } from "../tasks/visibility.ts";
import { OutageHold } from "./outage-hold.ts";

/** What accepting tasks needs. */
export interface SubmitterParts {
  readonly log: TaskLog;
  readonly lanes: Lanes;
  readonly logRoom: LogRoom;
  readonly timers: Timers;
  readonly clock: Clock;
  readonly randomId: () => string;
  readonly limits: SubmissionLimits;
  /** Keeps the hook of a task that is about to be stored. Throws WEBHOOK_ENDPOINT_NOT_FOUND and BROKER_UNAVAILABLE. */
  readonly hook: (tenant: string, taskId: string, webhook: TaskWebhook) => Promise<void>;
  /** How long a submission is held while the broker does not answer, in milliseconds; 0 for not at all. */
  readonly holdMs: number;
  /** Undefined where the broker asks agents for no credentials. */
  readonly tokens?: LeaseTokens | undefined;
}

/** A submission that was checked and is ready to be stored. */
export interface Prepared {
  readonly task: Task;
  readonly dispatch: Dispatch;
  readonly draft: DispatchDraft;
  /** The tasks that whoever submits it may submit; all if undefined. */
  readonly scope: TaskScope | undefined;
  /** Whether its id is not a new one: it was chosen, or comes of a request's id. */
  readonly isNamed: boolean;
}

/** What became of a submission. */
export interface Submitted {
  readonly answer: SubmitTaskResponse;
  /** What was stored; undefined if the task stood already. */
  readonly stored: TaskRecord | undefined;
}

/** On whose behalf a task is submitted, and in which trace. */
export interface Caller {
  readonly tenant: string;
  /** The tasks that they may submit; all if undefined. */
  readonly scope?: TaskScope | undefined;
  readonly trace: TraceCarrier;
}

/** A submission stands already, and no longer: a purge or withdrawal came in between. */
const MAX_RACES = 3;

/** What a message takes in the log beside its body: subject, headers and the stream's own. */
const MESSAGE_OVERHEAD_BYTES = 1_024;

/** Accepts single tasks. */
export class Submitter {
  readonly #parts: SubmitterParts;
  readonly #hold: OutageHold;

  constructor(parts: SubmitterParts) {
    this.#parts = parts;
    this.#hold = new OutageHold(parts.holdMs, () => parts.clock.monotonicMs());
  }

  /** Accepts a task. Throws MeshError with the reason why not. */
  async submit(caller: Caller, request: SubmitTaskRequest, redriveOf = ""): Promise<SubmitTaskResponse> {
    this.check(request).throwIfAny();
    const facts = request.taskId === "" ? {} : { taskId: request.taskId };
    return this.traced(facts, async () => this.store(this.prepare(caller, request, redriveOf)));
  }

  /** Accepts a task whose submission was checked and that has its id. Throws as `submit` does. */
  async place(caller: Caller, request: SubmitTaskRequest): Promise<Submitted> {
    const { taskId } = request;
    return this.traced({ taskId }, async () => this.#storeHeld(this.prepare(caller, request)));
  }

  /** The id of the task that a checked submission is for: the same as `submit` would give it, or a new one each time. */
  idFor({ tenant }: Caller, request: SubmitTaskRequest): string {
    return taskIdFor(request, tenant, this.#parts.randomId);
  }

  /** What is wrong with a submission. `prefix` stands before each field path. */
  check(request: SubmitTaskRequest, prefix = ""): Violations {
    return checkSubmission(request, this.#parts.limits, this.#parts.clock.now(), prefix);
  }

  /** Makes a checked submission ready. Throws ACTION_NOT_ALLOWED for a task that the caller may not submit. */
  prepare({ tenant, scope, trace: incoming }: Caller, request: SubmitTaskRequest, redriveOf = ""): Prepared {
    const task = taskFromSubmission(request, tenant, this.#parts.clock.now(), this.#parts.randomId);
    // A queue of another name is the place of other types: their agents would get it, before their own.
    if (!covers(scope, task) || (task.queue !== task.type && !covers(scope, { ...task, type: task.queue }))) {
      throw actionNotAllowed("task:submit");
    }
    task.redriveOf = redriveOf;
    // A coordinator that does not trace itself must not break the trace of those who do.
    const { traceparent = "", tracestate = "" } = isTracing() ? carrierFromContext() : incoming;
    const dispatch: Dispatch = {
      $typeName: "mycel.v1.Dispatch",
      task,
      attempt: 1,
      fence: 0n,
      beginRequired: beginRequiredFor(policyOf(task), 1),
      requestDigest: submissionDigest(request),
      leaseToken: this.#parts.tokens?.ofDispatch({ tenant, ...task, attempt: 1, fence: 0 }) ?? "",
    };
    const draft: DispatchDraft = {
      tenant,
      taskId: task.taskId,
      queue: task.startTime === undefined ? task.queue : DELAYED_QUEUE,
      priority: task.priority,
      body: encodeDispatch(dispatch),
      trace: { traceparent, tracestate },
    };
    const isNamed = request.taskId !== "" || request.requestId !== "";
    return { task, dispatch, draft, scope, isNamed };
  }

  /** Takes room in the log and in the queue of tasks, which is the same for all. Throws STORAGE_FULL and QUEUE_FULL. */
  async admit(group: readonly [Prepared, ...Prepared[]]): Promise<Room> {
    const [{ task, draft }] = group;
    const leave = await this.#parts.logRoom.admit(() => group.reduce((sum, each) => sum + sizeOf(each), 0));
    try {
      const room = await this.#parts.lanes.admit(draft.tenant, task.queue, group.length);
      return {
        settle: (stored) => {
          leave();
          room.settle(stored);
        },
      };
    } catch (error) {
      leave();
      throw error;
    }
  }

  /**
   * Arms the deadlines of a task, and keeps its hook. They come first: a task without its deadline would never end, and one without its hook
   * would end unheard. Throws WEBHOOK_ENDPOINT_NOT_FOUND, and ACTION_NOT_ALLOWED where a task of which the caller is to know nothing has
   * the name: even for a moment its deadlines are not to be this one's.
   */
  async arm(prepared: Prepared): Promise<void> {
    const { task, draft, scope, isNamed } = prepared;
    if (scope !== undefined && isNamed) {
      const record = await this.#parts.log.readCurrent(draft.tenant, draft.taskId);
      if (record !== undefined && !isVisible(record, scope)) throw actionNotAllowed("task:submit");
    }
    if (task.webhook !== undefined) await this.#parts.hook(draft.tenant, draft.taskId, task.webhook);
    await this.#arm(recordOfDraft(prepared, 0));
  }

  async #arm(record: TaskRecord): Promise<void> {
    for (const { kind, atMs } of deadlinesOf(viewOf(record))) await this.#parts.timers.set(record, kind, atMs);
  }

  /** Stores a prepared submission, or finds that it stands already; waits for a broker that does not answer. */
  async store(prepared: Prepared): Promise<SubmitTaskResponse> {
    return (await this.#storeHeld(prepared)).answer;
  }

  async #storeHeld(prepared: Prepared): Promise<Submitted> {
    return await this.#hold.over(() => this.#store(prepared));
  }

  async #store(prepared: Prepared): Promise<Submitted> {
    let room: Room;
    try {
      room = await this.admit([prepared]);
    } catch (error) {
      return await this.#takenBefore(error, prepared);
    }
    let stored = 0;
    try {
      try {
        await this.arm(prepared);
      } catch (error) {
        return await this.#takenBefore(error, prepared);
      }
      for (let races = 0; races < MAX_RACES; races += 1) {
        const outcome = await this.#parts.log.dispatch(prepared.draft, 0);
        if (outcome.kind === "stored") {
          // A delayed task takes room only when it comes into its queue.
          stored = prepared.draft.queue === DELAYED_QUEUE ? 0 : 1;
          const record = recordOfDraft(prepared, outcome.sequence);
          return { answer: answerTo(record), stored: record };
        }
        const existing = await this.existing(prepared);
        if (existing !== undefined) return { answer: existing, stored: undefined };
      }
    } finally {
      room.settle(stored);
    }
    // Something is under way on the task's subject that is not there yet, most likely an earlier try of this very submission.
    throw brokerUnavailable(new Error(`whether task ${prepared.task.taskId} stands can't be said now`));
  }

  /** What keeps a new task out, a full queue say, means nothing to one that was taken already. Throws the error for any other. */
  async #takenBefore(error: unknown, prepared: Prepared): Promise<Submitted> {
    const existing = keepsOut(error) ? await this.existing(prepared) : undefined;
    if (existing === undefined) throw error;
    return { answer: existing, stored: undefined };
  }

  /**
   * The answer if the same submission stands already; undefined if none stands. Throws TASK_ALREADY_EXISTS for a different one, and
   * ACTION_NOT_ALLOWED for one of which the caller is to know nothing.
   */
  async existing({ dispatch, draft, scope }: Prepared): Promise<SubmitTaskResponse | undefined> {
    const record = await this.#parts.log.readCurrent(draft.tenant, draft.taskId);
    if (record === undefined) return undefined;
    // The repetition has armed its own deadlines in place of the task's: whoever repeats often enough would put them off for ever.
    if (!isTerminal(stateOf(viewOf(record)))) await this.#arm(record);
    if (!isVisible(record, scope)) throw actionNotAllowed("task:submit");
    const same = Buffer.compare(record.dispatch.message.requestDigest, dispatch.requestDigest) === 0;
    if (!same) {
      throw new MeshError("TASK_ALREADY_EXISTS", `task ${draft.taskId} exists already with another content`, {
        resource: { type: "mycel.v1.Task", name: draft.taskId },
        metadata: { existing_task_id: draft.taskId },
      });
    }
    return create(SubmitTaskResponseSchema, {
      taskId: draft.taskId,
      status: statusOf(record, record.event),
      existing: true,
    });
  }

  /** Prepares and stores within a span whose context travels with the tasks. */
  async traced<T>(
    facts: { readonly taskId?: string; readonly batchCount?: number },
    store: () => Promise<T>,
  ): Promise<T> {
    if (!isTracing()) return store();
    const active = context.active();
    const shape = (): SpanShape => publishSpan({ template: DISPATCH_TEMPLATE, ...facts });
    const { span, inside } = startHop(active, shape);
    if (span === undefined) return inside === active ? store() : context.with(inside, store);
    try {
      return await context.with(inside, store);
    } catch (error) {
      markSpanFailed(span, error instanceof MeshError ? error.reason : "INTERNAL");
      throw error;
    } finally {
      span.end();
    }
  }
}

function sizeOf({ draft }: Prepared): number {
  return draft.body.length + MESSAGE_OVERHEAD_BYTES;
}

const KEEPING_OUT: readonly MeshErrorReason[] = ["QUEUE_FULL", "STORAGE_FULL", "WEBHOOK_ENDPOINT_NOT_FOUND"];

/** Whether an error keeps new tasks out: a queue or the log had no room, or an endpoint is gone. */
export function keepsOut(error: unknown): boolean {
  return error instanceof MeshError && KEEPING_OUT.includes(error.reason);
}

/** The answer for a submission that was just stored. */
export function accepted(prepared: Prepared, sequence: number): SubmitTaskResponse {
  return answerTo(recordOfDraft(prepared, sequence));
}

function answerTo(record: TaskRecord): SubmitTaskResponse {
  return {
    $typeName: "mycel.v1.SubmitTaskResponse",
    taskId: record.taskId,
    status: statusOf(record, undefined),
    existing: false,
  };
}

function recordOfDraft({ dispatch, draft }: Prepared, sequence: number): TaskRecord {
  return {
    tenant: draft.tenant,
    taskId: draft.taskId,
    dispatch: {
      message: dispatch,
      sequence,
      queue: draft.queue,
      priority: draft.priority,
    },
    event: undefined,
    trace: draft.trace,
  };
}
