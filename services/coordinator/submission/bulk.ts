// Accepts many tasks at once: as atomic batches of the log where that pays, all or none where that is asked for.

import { create } from "@bufbuild/protobuf";
import {
  type BatchSubmitTasksRequest,
  type BatchSubmitTasksResponse,
  type BatchSubmitTasksResult,
  ItemErrorSchema,
  type ItemError,
  type SubmitTaskRequest,
  type SubmitTaskResponse,
} from "../../../gen/mycel/v1/agent_service_pb.ts";
import type { Clock } from "../../../lib/core/clock.ts";
import { MAX_BATCH_TASKS } from "../../../lib/core/limits.ts";
import { MeshError } from "../../../lib/core/mesh-error.ts";
import { DELAYED_QUEUE } from "../../../lib/core/names.ts";
import type { Room } from "../../../lib/nats/lanes.ts";
import type { TaskLog } from "../../../lib/nats/task-log.ts";
import { checkSubmission, type SubmissionLimits } from "../../../lib/wire/submission.ts";
import { durationFromMs } from "../../../lib/wire/time-codec.ts";
import { Violations } from "../../../lib/wire/validation.ts";
import { codeOf } from "../interceptors/mesh-errors.ts";
import { accepted, type Caller, keepsOut, type Prepared, type Submitter } from "./submitter.ts";

/** What accepting many tasks needs. */
export interface BulkParts {
  readonly submitter: Submitter;
  readonly log: TaskLog;
  readonly clock: Clock;
  readonly limits: SubmissionLimits;
}

/**
 * From how many tasks on an atomic batch of the log beats single publishes: a batch costs about 3 ms whatever its size at one
 * replica, a publish about 0.05 ms.
 */
const BATCH_PAYS_FROM = 64;

/** The most batches under way at once; the server allows 50 a stream, over all coordinators. */
const MAX_BATCHES = 8;

/** How often a batch is tried again without the tasks that turned out to exist. */
const MAX_TRIES = 3;

/** Accepts many tasks. */
export class BulkSubmitter {
  readonly #parts: BulkParts;
  readonly #waiting: (() => void)[] = [];
  #running = 0;

  constructor(parts: BulkParts) {
    this.#parts = parts;
  }

  /** Answers BatchSubmitTasks. */
  async submit(caller: Caller, request: BatchSubmitTasksRequest): Promise<BatchSubmitTasksResponse> {
    const { tasks, atomic } = request;
    const checked = new Violations();
    checked.count("tasks", tasks.length, 1, MAX_BATCH_TASKS);
    checked.throwIfAny();
    this.#rejectDuplicates(tasks);
    const results = await this.#parts.submitter.traced({ batchCount: tasks.length }, () =>
      atomic ? this.#allOrNone(caller, tasks) : this.#each(caller, tasks),
    );
    return { $typeName: "mycel.v1.BatchSubmitTasksResponse", results };
  }

  async #allOrNone(caller: Caller, tasks: readonly SubmitTaskRequest[]): Promise<BatchSubmitTasksResult[]> {
    const checked = new Violations();
    const now = this.#parts.clock.now();
    tasks.forEach((task, i) => {
      checked.addAll(checkSubmission(task, this.#parts.limits, now, `tasks[${i}].`));
    });
    checked.throwIfAny();
    const prepared = tasks.map((task) => this.#parts.submitter.prepare(caller, task));
    return (await this.#storeAll(prepared)).map(submitted);
  }

  async #each(caller: Caller, tasks: readonly SubmitTaskRequest[]): Promise<BatchSubmitTasksResult[]> {
    const { limits, clock } = this.#parts;
    const now = clock.now();
    const items = tasks.map((task) => {
      const error = checkSubmission(task, limits, now).error();
      return error ?? this.#prepared(caller, task);
    });
    const valid = items.filter((item): item is Prepared => !(item instanceof MeshError));
    if (valid.length >= BATCH_PAYS_FROM) {
      try {
        const stored = (await this.#storeAll(valid)).values();
        return items.map((item) => (item instanceof MeshError ? failed(item) : submitted(stored.next().value)));
      } catch (error) {
        // What stops a batch may concern only some of its items; the others deserve their own answer.
        if (!(error instanceof MeshError)) throw error;
      }
    }
    return Promise.all(items.map(async (item) => (item instanceof MeshError ? failed(item) : this.#one(item))));
  }

  /** The submission, or why the caller may not make it. */
  #prepared(caller: Caller, task: SubmitTaskRequest): Prepared | MeshError {
    try {
      return this.#parts.submitter.prepare(caller, task);
    } catch (error) {
      if (error instanceof MeshError) return error;
      throw error;
    }
  }

  async #one(prepared: Prepared): Promise<BatchSubmitTasksResult> {
    try {
      return submitted(await this.#parts.submitter.store(prepared));
    } catch (error) {
      if (error instanceof MeshError) return failed(error);
      throw error;
    }
  }

  /** Stores all or throws; tasks that stand already with the same content count as stored. */
  async #storeAll(all: readonly Prepared[]): Promise<SubmitTaskResponse[]> {
    const { submitter, log } = this.#parts;
    const answers = new Map<Prepared, SubmitTaskResponse>();
    const missing = (): Prepared[] => all.filter((prepared) => !answers.has(prepared));
    const findStanding = async (): Promise<void> => {
      const sought = missing();
      const standing = await Promise.all(sought.map((prepared) => submitter.existing(prepared)));
      sought.forEach((prepared, i) => {
        const answer = standing[i];
        if (answer !== undefined) answers.set(prepared, answer);
      });
    };
    const rooms = await this.#admitAll(all).catch(async (error: unknown) => {
      // What keeps new tasks out means nothing to those that were taken already.
      if (!keepsOut(error)) throw error;
      await findStanding();
      return this.#admitAll(missing());
    });
    const armAll = (): Promise<unknown> => Promise.all(missing().map((prepared) => submitter.arm(prepared)));
    let stored = false;
    try {
      await armAll().catch(async (error: unknown) => {
        if (!keepsOut(error)) throw error;
        await findStanding();
        await armAll();
      });
      for (let tries = 0; tries < MAX_TRIES && missing().length > 0; tries += 1) {
        const batch = missing();
        const outcome = await this.#inTurn(() => log.dispatchBatch(batch.map(({ draft }) => draft)));
        if (outcome.kind === "stored") {
          stored = true;
          batch.forEach((prepared, i) => {
            answers.set(prepared, accepted(prepared, outcome.sequence - batch.length + 1 + i));
          });
        } else await findStanding();
      }
      return all.map((prepared) => {
        const answer = answers.get(prepared);
        if (answer !== undefined) return answer;
        throw new MeshError("BROKER_UNAVAILABLE", "the batch could not be stored", { retryDelayMs: 500 });
      });
    } finally {
      for (const [room, count] of rooms) room.settle(stored ? count : 0);
    }
  }

  async #admitAll(all: readonly Prepared[]): Promise<[Room, number][]> {
    const queues = Map.groupBy(all, ({ task }) => task.queue);
    const rooms: [Room, number][] = [];
    try {
      for (const group of queues.values()) {
        const [first, ...others] = group;
        const counted = group.filter(({ draft }) => draft.queue !== DELAYED_QUEUE).length;
        if (first !== undefined) rooms.push([await this.#parts.submitter.admit([first, ...others]), counted]);
      }
      return rooms;
    } catch (error) {
      for (const [room] of rooms) room.settle(0);
      throw error;
    }
  }

  async #inTurn<T>(work: () => Promise<T>): Promise<T> {
    if (this.#running >= MAX_BATCHES) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    this.#running += 1;
    try {
      return await work();
    } finally {
      this.#running -= 1;
      this.#waiting.shift()?.();
    }
  }

  #rejectDuplicates(tasks: readonly SubmitTaskRequest[]): void {
    const seen = new Map<string, number>();
    const checked = new Violations();
    tasks.forEach(({ taskId, requestId }, i) => {
      const id = taskId === "" ? (requestId === "" ? undefined : `request ${requestId}`) : `task ${taskId}`;
      if (id === undefined) return;
      const first = seen.get(id);
      if (first === undefined) seen.set(id, i);
      else checked.add(`tasks[${i}].${taskId === "" ? "request_id" : "task_id"}`, `is the same as in tasks[${first}]`);
    });
    checked.throwIfAny();
  }
}

function submitted(response: SubmitTaskResponse | undefined): BatchSubmitTasksResult {
  if (response === undefined) throw new Error("a stored task has no answer");
  return { $typeName: "mycel.v1.BatchSubmitTasksResult", result: { case: "submitted", value: response } };
}

function failed(error: MeshError): BatchSubmitTasksResult {
  return { $typeName: "mycel.v1.BatchSubmitTasksResult", result: { case: "error", value: itemErrorOf(error) } };
}

/** What an error of a call of its own would have said, for one item of many. */
export function itemErrorOf(error: MeshError): ItemError {
  return create(ItemErrorSchema, {
    code: codeOf(error.reason),
    reason: error.reason,
    message: error.message,
    violations: error.violations.map(({ field, description }) => ({ field, description })),
    ...(error.retryDelayMs === undefined ? {} : { retryDelay: durationFromMs(error.retryDelayMs) }),
  });
}
