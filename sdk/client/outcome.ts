// How a task ended, as a JavaScript value or as an error, and the wait for it.
import type { Client } from "@connectrpc/connect";
import type { AgentService } from "../../gen/mycel/v1/agent_service_pb.ts";
import { type Payload } from "../../gen/mycel/v1/payload_pb.ts";
import type { Task, TaskFailure, TaskStatus } from "../../gen/mycel/v1/task_pb.ts";
import { MAX_STATUS_WAIT_MS } from "../../lib/core/limits.ts";
import { isTerminal, type TaskState } from "../../lib/core/task-state.ts";
import { pause } from "../../lib/time/pause.ts";
import { durationFromMs } from "../../lib/wire/time-codec.ts";
import { type BlobCalls, downloadBlob } from "./blobs.ts";
import { withSignal } from "./call-signal.ts";
import type { ResolvedOptions } from "./client-options.ts";
import { stateNameOf } from "./event.ts";
import { MycelError, TaskFailedError, abortError } from "./mycel-error.ts";
import { decodeBlob, decodePayload } from "./payload.ts";
import type { AttemptLimits, RpcLimits, StreamLimits } from "./resilience/call-limits.ts";

/** A task that ended with a result. */
export interface CompletedTask<Result = unknown> {
  readonly state: "completed";
  readonly taskId: string;
  /** What the handler returned; a large one was downloaded: JSON is parsed, other content is bytes. */
  readonly result: Result;
  readonly status: TaskStatus;
}

/** A task that ended without a result. */
export interface UnfinishedTask {
  readonly state: "failed" | "timed_out" | "canceled";
  readonly taskId: string;
  /** Why. Undefined for a canceled task that never failed. */
  readonly failure: TaskFailure | undefined;
  /** Why the task was canceled; empty otherwise. */
  readonly cancelReason: string;
  readonly status: TaskStatus;
}

/** How a task ended. */
export type TaskOutcome<Result = unknown> = CompletedTask<Result> | UnfinishedTask;

/** Options of a wait. */
export interface WaitOptions {
  /** How long to wait, in milliseconds; default: as long as it takes. When it passes: MycelError `deadline_exceeded`, WAIT_TIMEOUT. */
  readonly timeoutMs?: number;
  /** Ends the wait. */
  readonly signal?: AbortSignal;
  /** The context of the handler that waits: the wait ends with its attempt, however long it might take otherwise. */
  readonly ctx?: AttemptLimits;
}

/** What a wait needs of a client. */
export interface OutcomeCalls {
  readonly rpc: Pick<Client<typeof AgentService>, "getTaskStatus" | "getTask">;
  readonly blobs: BlobCalls;
  readonly options: ResolvedOptions;
}

// Half of the longest long poll: proxies in between give a silent call up after a minute.
const LONG_POLL_MS = MAX_STATUS_WAIT_MS / 2;

/** How soon to look whether a coordinator may be asked again, in milliseconds. */
const CIRCUIT_PAUSE_MS = 1_000;

/** How soon to ask again for the result of a task whose end was told by one server and is not known to the next, in milliseconds. */
const BEHIND_PAUSE_MS = 100;

/** Waits for a task's end and returns it. */
export async function waitForOutcome(
  calls: OutcomeCalls,
  taskId: string,
  options: Pick<WaitOptions, "timeoutMs">,
  { signal, remaining }: StreamLimits,
): Promise<TaskOutcome> {
  const limitsOf = (longestMs: number): RpcLimits => ({
    timeoutMs: Math.min(longestMs, remaining().timeoutMs ?? longestMs),
    ...withSignal(signal),
  });
  const deadline = performance.now() + (options.timeoutMs ?? Infinity);
  let lastHeard = performance.now();
  for (;;) {
    const leftMs = Math.max(0, deadline - performance.now());
    const waitMs = Math.ceil(Math.min(leftMs, LONG_POLL_MS));
    // The wait outlives outages as a watch does, but not the caller's own limit by more than one answer.
    const patienceMs = Math.min(leftMs + calls.options.timeoutMs, calls.options.reconnectTimeoutMs);
    let status: TaskStatus | undefined;
    let result: Payload | undefined;
    try {
      const limits = limitsOf(waitMs + patienceMs);
      const question = { taskId, wait: durationFromMs(waitMs), includeResult: true };
      ({ status, result } = await calls.rpc.getTaskStatus(question, limits));
    } catch (error) {
      const spent = performance.now() - lastHeard >= patienceMs;
      if (!(error instanceof MycelError && error.reason === "CIRCUIT_OPEN") || spent) throw error;
      await pause(Math.min(error.retryDelayMs ?? CIRCUIT_PAUSE_MS, CIRCUIT_PAUSE_MS), signal);
      if (signal?.aborted === true) throw abortError(signal);
      continue;
    }
    lastHeard = performance.now();
    if (status === undefined)
      throw new MycelError("internal", `the server answered without the status of task ${taskId}`);
    const state = stateNameOf(status);
    if (isTerminal(state)) {
      const outcome = await outcomeOf(calls, status, result, limitsOf(calls.options.timeoutMs));
      if (outcome !== undefined) return outcome;
      await pause(BEHIND_PAUSE_MS, signal);
    }
    if (signal?.aborted === true) throw abortError(signal);
    if (performance.now() >= deadline) {
      const what = isTerminal(state) ? "still has no result" : `is still ${state.replace("_", " ")}`;
      const text = `task ${taskId} ${what} after ${options.timeoutMs} ms`;
      throw new MycelError("deadline_exceeded", text, { reason: "WAIT_TIMEOUT" });
    }
  }
}

/**
 * The outcome for a terminal status. A coordinator that is older than `include_result` is asked for the result; undefined if who was asked
 * does not know the end.
 */
async function outcomeOf(
  calls: OutcomeCalls,
  status: TaskStatus,
  result: Payload | undefined,
  limits: RpcLimits,
): Promise<TaskOutcome | undefined> {
  const state = stateNameOf(status);
  if (state !== "completed") return unfinished(status, state);
  if (result !== undefined) return await completedOf(calls, status, result, limits.signal);
  const { task } = await calls.rpc.getTask({ taskId: status.taskId }, limits);
  if (task?.status === undefined || !isTerminal(stateNameOf(task.status))) return undefined;
  return await completedOf(calls, task.status, task.result, limits.signal);
}

/** The outcome of a completed task whose result is at hand, downloaded if it is a blob. */
export async function completedOf(
  calls: OutcomeCalls,
  status: TaskStatus,
  result: Payload | undefined,
  signal: AbortSignal | undefined,
): Promise<CompletedTask> {
  return { state: "completed", taskId: status.taskId, result: await fetchPayload(calls.blobs, result, signal), status };
}

/** The outcome of a task that ended without a result. */
export function unfinished(status: TaskStatus, state: TaskState): UnfinishedTask {
  if (state !== "failed" && state !== "timed_out" && state !== "canceled") {
    throw new MycelError("internal", `task ${status.taskId} has not ended: it is ${state}`);
  }
  const { taskId, failure, cancelReason } = status;
  return { state, taskId, failure, cancelReason, status };
}

/** The outcome, or the error of a task that ended without a result. */
export function completedOrThrow(outcome: TaskOutcome): CompletedTask {
  if (outcome.state === "completed") return outcome;
  const { taskId, state, failure, cancelReason } = outcome;
  if (state === "canceled") {
    const attempt = outcome.status.attempt;
    throw new TaskFailedError({ taskId, state, reason: "CANCELED", message: cancelReason, attempt, details: "" });
  }
  const { reason = "", message = "", attempt = 0, details = "" } = failure ?? {};
  throw new TaskFailedError({ taskId, state, reason, message, attempt, details });
}

/** A result as a value, also of a finished {@link Task} from `get`. */
export async function fetchPayload(
  blobs: BlobCalls,
  payload: Task["result"],
  signal: AbortSignal | undefined,
): Promise<unknown> {
  if (payload?.kind.case !== "blob") return decodePayload(payload);
  const blob = payload.kind.value;
  return decodeBlob(await downloadBlob(blobs, blob, signal).bytes(), blob.contentType);
}
