// Clients that submit, submit again when they hear nothing, and cancel; and whoever purges what has ended, so that names are used again.
// What a coordinator answers them is held against the log.
import { create } from "@bufbuild/protobuf";
import { BatchSubmitTasksRequestSchema } from "../../../gen/mycel/v1/agent_service_pb.ts";
import { MeshError, type MeshErrorReason } from "../../../lib/core/mesh-error.ts";
import { DEFAULT_TENANT } from "../../../lib/core/names.ts";
import { stateOf } from "../../../lib/core/task.ts";
import { statusOf, viewOf } from "../../../lib/wire/task-codec.ts";
import { msFromTimestamp } from "../../../lib/wire/time-codec.ts";
import type { Chance } from "./chance.ts";
import type { SimulatedCoordinator } from "./coordinator.ts";
import type { Action } from "./network.ts";
import { type Faults, submissionOf, type TaskPlan } from "./scenario.ts";
import type { Witness } from "./witness.ts";

/** What clients live in. */
export interface ClientsOptions {
  readonly plans: readonly TaskPlan[];
  readonly nowMs: () => number;
  readonly chance: Chance;
  readonly faults: () => Faults;
  readonly witness: Witness;
  /** A coordinator that is alive. */
  readonly coordinator: () => SimulatedCoordinator;
  /** Waits for what a coordinator does; nothing is heard of one that dies meanwhile. */
  readonly await: <T>(
    by: SimulatedCoordinator,
    work: Promise<T>,
    onAnswer: (value: T) => void,
    onError: (error: unknown) => void,
  ) => void;
  readonly trace: (line: () => string) => void;
}

interface Wanted {
  readonly taskId: string;
  readonly plan: TaskPlan;
  /** How often it was submitted. */
  sent: number;
  /** How often it was canceled. */
  canceled: number;
  /** Whether its client knows that it stands. */
  known: boolean;
}

const CALLER = { tenant: DEFAULT_TENANT, trace: { traceparent: "", tracestate: "" } };

/** How often a task is submitted at most, here. */
const MAX_SUBMISSIONS = 5;

/** How often a task is canceled at most, here. */
const MAX_CANCELLATIONS = 2;

/** Reasons that a coordinator may give for not doing what it is asked. */
const PASSING: ReadonlySet<MeshErrorReason> = new Set(["BROKER_UNAVAILABLE", "STORAGE_FULL", "CONFLICT"]);

/** All clients. */
export class SimulatedClients {
  readonly #options: ClientsOptions;
  readonly #wanted: readonly Wanted[];
  #impostors = false;

  constructor(options: ClientsOptions) {
    this.#options = options;
    this.#wanted = options.plans.map((plan, i) => ({ taskId: `t${i + 1}`, plan, sent: 0, canceled: 0, known: false }));
  }

  /** What clients can do now. */
  actions(): Action[] {
    const { interference } = this.#options.faults();
    const actions: Action[] = [];
    const { witness, nowMs } = this.#options;
    for (const task of this.#wanted) {
      const { plan, taskId } = task;
      if (task.sent === 0) actions.push({ weight: 48, run: () => this.#submit(task, "1") });
      else if (!task.known && task.sent < MAX_SUBMISSIONS) {
        actions.push({ weight: 8, run: () => this.#submit(task, "1") });
      }
      if (task.sent === 0) continue;
      const endMs = witness.endMs(taskId);
      // A clock that is far ahead purges too soon, which nobody promises to survive.
      if (plan.resultTtlMs !== undefined && endMs !== undefined && nowMs() >= endMs + plan.resultTtlMs) {
        actions.push({ weight: 8, run: () => this.#purge(task) });
        if (task.sent < MAX_SUBMISSIONS) actions.push({ weight: 8, run: () => this.#submit(task, "1") });
      }
      if (interference === 0) continue;
      if (task.canceled < MAX_CANCELLATIONS) actions.push({ weight: interference, run: () => this.#cancel(task) });
      if (task.sent >= MAX_SUBMISSIONS) continue;
      actions.push({ weight: interference, run: () => this.#submit(task, "1") });
      actions.push({ weight: 1, run: () => this.#submit(task, "2") });
      actions.push({ weight: 1, run: () => this.#expire(task) });
    }
    if (this.#wanted.length > 1 && this.#wanted.every(({ sent }) => sent < MAX_SUBMISSIONS)) {
      actions.push({ weight: 4, run: () => this.#submitTogether() });
    }
    return actions;
  }

  #submit(task: Wanted, copy: string): void {
    const { coordinator, chance, witness, trace } = this.#options;
    const { taskId, plan } = task;
    if (copy === "1") task.sent += 1;
    else this.#impostors = true;
    const by = coordinator();
    trace(() => `a client: submits ${taskId}${copy === "1" ? "" : " with another content"} to ${by.name}`);
    this.#options.await(
      by,
      by.submitter.submit(CALLER, submissionOf(plan, taskId, copy)),
      ({ status }) => {
        trace(() => `${by.name}: acknowledges ${taskId}`);
        witness.acknowledged(taskId, copy, Number(status?.revision));
        if (copy === "1" && !chance.oneIn(4)) task.known = true;
      },
      (error) => this.#refused(`submission of ${taskId}`, error, this.#impostors ? ["TASK_ALREADY_EXISTS"] : []),
    );
  }

  #submitTogether(): void {
    const { coordinator, witness, trace } = this.#options;
    const by = coordinator();
    for (const task of this.#wanted) task.sent += 1;
    trace(() => `a client: submits all tasks together to ${by.name}`);
    const tasks = this.#wanted.map(({ plan, taskId }) => submissionOf(plan, taskId, "1"));
    this.#options.await(
      by,
      by.bulk.submit(CALLER, create(BatchSubmitTasksRequestSchema, { tasks, atomic: true })),
      ({ results }) => {
        trace(() => `${by.name}: acknowledges all tasks`);
        for (const [i, { taskId }] of this.#wanted.entries()) {
          const result = results[i]?.result;
          if (result?.case === "submitted") witness.acknowledged(taskId, "1", Number(result.value.status?.revision));
          else witness.broken("everybody is told the truth", `${taskId} is missing from a batch that was acknowledged`);
        }
      },
      (error) => this.#refused("submission of all tasks", error, this.#impostors ? ["TASK_ALREADY_EXISTS"] : []),
    );
  }

  #cancel(task: Wanted): void {
    const { coordinator, witness, trace } = this.#options;
    const { taskId } = task;
    task.canceled += 1;
    const by = coordinator();
    trace(() => `a client: cancels ${taskId} at ${by.name}`);
    this.#options.await(
      by,
      by.lifecycle.cancel(DEFAULT_TENANT, taskId, "enough"),
      (record) => {
        const state = stateOf(viewOf(record));
        trace(() => `${by.name}: says that ${taskId} is ${state}`);
        if (state === "canceled") witness.canceled(taskId);
        else if (!witness.wasPurged(taskId))
          witness.broken("everybody is told the truth", `whoever canceled ${taskId} was told that it is ${state}`);
      },
      this.#refusalAbout(taskId, "cancellation", ["TASK_NOT_CANCELABLE"]),
    );
  }

  #expire({ taskId }: Wanted): void {
    const { coordinator, trace } = this.#options;
    const by = coordinator();
    trace(() => `${by.name}: ends ${taskId}, whose log is about to expire`);
    this.#options.await(
      by,
      by.lifecycle.expire(DEFAULT_TENANT, taskId),
      () => undefined,
      this.#refusalAbout(taskId, "expiry", []),
    );
  }

  /** As the index's holder does with a task whose time is over. */
  #purge({ taskId }: Wanted): void {
    const { coordinator, trace } = this.#options;
    const by = coordinator();
    const purge = async (): Promise<void> => {
      const record = await by.log.read(DEFAULT_TENANT, taskId);
      const expireMs = record === undefined ? undefined : msFromTimestamp(statusOf(record, record.event).expireTime);
      if (expireMs === undefined || expireMs > by.clock.now()) return;
      trace(() => `${by.name}: purges ${taskId}`);
      await by.log.purge(DEFAULT_TENANT, taskId, record?.event?.sequence);
    };
    // It is tried again for as long as the task stands.
    this.#options.await(
      by,
      purge(),
      () => undefined,
      () => undefined,
    );
  }

  /** What may be answered about a task: that there is none only if it was not acknowledged when the question was asked. */
  #refusalAbout(taskId: string, what: string, allowed: readonly MeshErrorReason[]): (error: unknown) => void {
    const { witness } = this.#options;
    const known = witness.isAcknowledged(taskId);
    return (error) => {
      const also: readonly MeshErrorReason[] = known && !witness.wasPurged(taskId) ? [] : ["TASK_NOT_FOUND"];
      this.#refused(`${what} of ${taskId}`, error, [...allowed, ...also]);
    };
  }

  #refused(what: string, error: unknown, allowed: readonly MeshErrorReason[]): void {
    const { witness, trace } = this.#options;
    trace(() => `${what}: ${String(error)}`);
    if (error instanceof MeshError && (PASSING.has(error.reason) || allowed.includes(error.reason))) return;
    witness.broken("nothing fails in a way that nobody foresaw", `${what}: ${String(error)}`);
  }
}
