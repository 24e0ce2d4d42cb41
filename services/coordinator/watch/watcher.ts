// One watch of all tasks: what waits for a reader, in bounds. Who reads too slowly is told how much it has missed, and where.

import { create } from "@bufbuild/protobuf";
import {
  KeepAliveSchema,
  MissedChangesSchema,
  type TaskFilter,
  type WatchTasksResponse,
  WatchTasksResponseSchema,
} from "../../../gen/mycel/v1/agent_service_pb.ts";
import type { Task } from "../../../gen/mycel/v1/task_pb.ts";
import { covers, type TaskScope } from "../../../lib/core/access/task-scope.ts";
import { matchesFilter, mayMatch } from "./filter-match.ts";

/** How many changes wait for a slow reader. */
export const MAX_WAITING = 1_024;

/** The longest silence, in milliseconds: a little less than is promised. */
const KEEP_ALIVE_MS = 14_000;

/** How many changes were missed; undefined if nobody knows. */
export type MissedCount = number | undefined;

type Waiting =
  | { readonly kind: "change"; readonly task: Task }
  | { readonly kind: "missed"; readonly count: MissedCount };

/** A reader of changes. */
export class Watcher {
  readonly #filter: TaskFilter | undefined;
  readonly #scope: TaskScope | undefined;
  readonly #keepAliveMs: number;
  #waiting: Waiting[] = [];
  #wake: (() => void) | undefined;

  /** `scope` has the tasks that whoever reads may see; all if undefined. */
  constructor(filter: TaskFilter | undefined, scope: TaskScope | undefined, keepAliveMs: number = KEEP_ALIVE_MS) {
    this.#filter = filter;
    this.#scope = scope;
    this.#keepAliveMs = keepAliveMs;
  }

  /** Whether a change may be wanted, by what it says itself. */
  mayWant(change: { readonly state: number; readonly agentId: string }): boolean {
    return mayMatch(this.#filter, change);
  }

  /** Offers a change. */
  tell(task: Task): void {
    if (!covers(this.#scope, task) || !matchesFilter(this.#filter, task)) return;
    if (this.#waiting.length >= MAX_WAITING) this.#miss(1);
    else this.#add({ kind: "change", task });
  }

  /** Tells that changes were missed, of whichever tasks: how many is for nobody who may not see them all. */
  miss(count: MissedCount): void {
    this.#miss(this.#scope === undefined ? count : undefined);
  }

  #miss(count: MissedCount): void {
    const last = this.#waiting.at(-1);
    if (last?.kind === "missed") this.#waiting.pop();
    const before = last?.kind === "missed" ? last.count : 0;
    this.#add({ kind: "missed", count: before === undefined || count === undefined ? undefined : before + count });
  }

  /** What comes, beginning with a keep-alive, until the signal aborts. */
  async *messages(ended: AbortSignal): AsyncGenerator<WatchTasksResponse, void, undefined> {
    const wake = (): void => this.#wake?.();
    ended.addEventListener("abort", wake, { once: true });
    try {
      yield keepAlive();
      while (!ended.aborted) {
        const taken = this.#waiting;
        this.#waiting = [];
        // What is taken waits here for a slow reader, and what comes meanwhile there: twice the bound at most.
        for (const next of taken) {
          yield message(next);
          if (ended.aborted) return;
        }
        if (this.#waiting.length === 0 && !ended.aborted && !(await this.#news())) yield keepAlive();
      }
    } finally {
      ended.removeEventListener("abort", wake);
    }
  }

  #add(waiting: Waiting): void {
    this.#waiting.push(waiting);
    this.#wake?.();
  }

  /** Whether something came, or the watch has ended, before a keep-alive was due. */
  async #news(): Promise<boolean> {
    const { promise, resolve } = Promise.withResolvers<boolean>();
    const timer = setTimeout(() => resolve(false), this.#keepAliveMs);
    this.#wake = () => resolve(true);
    const came = await promise;
    clearTimeout(timer);
    this.#wake = undefined;
    return came;
  }
}

function message(waiting: Waiting): WatchTasksResponse {
  if (waiting.kind === "change") {
    return create(WatchTasksResponseSchema, { kind: { case: "change", value: waiting.task } });
  }
  const value = create(MissedChangesSchema, { changeCount: BigInt(waiting.count ?? 0) });
  return create(WatchTasksResponseSchema, { kind: { case: "missed", value } });
}

function keepAlive(): WatchTasksResponse {
  return create(WatchTasksResponseSchema, { kind: { case: "keepAlive", value: create(KeepAliveSchema) } });
}
