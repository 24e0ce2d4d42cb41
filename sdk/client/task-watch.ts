// Watches all tasks over as many connections as it takes. It is a live view: what happens between two connections is not told.
import type { Task } from "../../gen/mycel/v1/task_pb.ts";
import type { WatchTasksResponse } from "../../gen/mycel/v1/agent_service_pb.ts";
import type { TaskState } from "../../lib/core/task-state.ts";
import { stateFromWire } from "../../lib/wire/state-codec.ts";
import { pause } from "../../lib/time/pause.ts";
import { MycelError, abortError } from "./mycel-error.ts";
import { delayBeforeTry, Refusals } from "./retry.ts";

/** What a watch of all tasks tells. */
export type TaskWatchEvent =
  /** The watch has begun: what happens from now on is told. Once. */
  | { readonly kind: "begun" }
  /** A task was submitted or changed its state: the task as the change left it, without input and result. */
  | { readonly kind: "change"; readonly state: TaskState; readonly task: Task; readonly message: WatchTasksResponse }
  /** Changes were missed here: so many; undefined if nobody knows how many. */
  | { readonly kind: "missed"; readonly count: number | undefined; readonly message: WatchTasksResponse | undefined };

/** What {@link watchAllTasks} needs. */
export interface WatchAllTasksOptions {
  readonly open: (signal: AbortSignal) => AsyncIterable<WatchTasksResponse>;
  readonly servers: number;
  readonly maximumTries: number;
  readonly reconnectTimeoutMs: number;
  /** Whether what was refused for its credential may be accepted with the next one. */
  readonly renews: boolean;
  /** Aborted by the caller or with the client. */
  readonly signals: readonly AbortSignal[];
}

/** Tells every change from now on. Ends only by its signal, or when no server can be reached any more. */
export async function* watchAllTasks(options: WatchAllTasksOptions): AsyncGenerator<TaskWatchEvent, void, undefined> {
  let begun = false;
  let failures = 0;
  const refusals = new Refusals(options.renews);
  // A mesh without work is silent for days: only from when a watch breaks does it count.
  let brokenMs: number | undefined;
  for (;;) {
    const stop = new AbortController();
    try {
      for await (const message of options.open(AbortSignal.any([stop.signal, ...options.signals]))) {
        if (!begun) yield { kind: "begun" };
        else if (brokenMs !== undefined) yield { kind: "missed", count: undefined, message: undefined };
        begun = true;
        failures = 0;
        refusals.clear();
        brokenMs = undefined;
        const event = eventOf(message);
        if (event !== undefined) yield event;
      }
      throw new MycelError("unavailable", "the watch of tasks ended", { reason: "CONNECTION_LOST" });
    } catch (error) {
      const aborted = options.signals.find((signal) => signal.aborted);
      if (aborted !== undefined) throw abortError(aborted);
      if (!(error instanceof MycelError)) throw error;
      if (error.code !== "unavailable" && !refusals.mayGoOn(error.code)) throw error;
      failures += 1;
      brokenMs ??= performance.now();
      const delayMs = delayBeforeTry({ kind: "lost" }, failures, options.servers, Math.random());
      if (performance.now() + delayMs - brokenMs > options.reconnectTimeoutMs) throw error;
      if (!begun && failures >= options.maximumTries) throw error;
      await pause(delayMs, ...options.signals);
    } finally {
      stop.abort();
    }
  }
}

function eventOf(message: WatchTasksResponse): TaskWatchEvent | undefined {
  const { kind } = message;
  if (kind.case === "missed") {
    const count = Number(kind.value.changeCount);
    return { kind: "missed", count: count === 0 ? undefined : count, message };
  }
  if (kind.case !== "change") return undefined;
  const state = stateFromWire(kind.value.status?.state ?? 0);
  return state === undefined ? undefined : { kind: "change", state, task: kind.value, message };
}
