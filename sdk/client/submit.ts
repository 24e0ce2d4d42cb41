// Submits tasks, one or many: encodes inputs, uploads large ones, keeps the order of answers.
import { create, toBinary } from "@bufbuild/protobuf";
import { type Client, Code } from "@connectrpc/connect";
import {
  type AgentService,
  type BatchSubmitTasksResult,
  type ItemError,
  type SubmitTaskRequest,
  SubmitTaskRequestSchema,
  type SubmitTaskResponse,
} from "../../gen/mycel/v1/agent_service_pb.ts";
import { PayloadSchema } from "../../gen/mycel/v1/payload_pb.ts";
import type { TaskStatus } from "../../gen/mycel/v1/task_pb.ts";
import { MAX_BATCH_TASKS } from "../../lib/core/limits.ts";
import { msFromDuration } from "../../lib/wire/time-codec.ts";
import { type BlobCalls, uploadBlob } from "./blobs.ts";
import { withSignal } from "./call-signal.ts";
import { type ResolvedOptions, within } from "./client-options.ts";
import { MycelError, abortError, invalidOption, itemError, toMycelError, withAcceptance } from "./mycel-error.ts";
import { encodeInput } from "./payload.ts";
import { pause } from "../../lib/time/pause.ts";
import { isTracing } from "../../lib/wire/trace-context.ts";
import type { RpcLimits } from "./resilience/call-limits.ts";
import { type TaskSubmission, mostBytesBeside, submissionOf } from "./submission.ts";
import type { Submission, SubmitGatherer } from "./submit-gatherer.ts";

/** An accepted task. */
export interface SubmittedTask {
  /** The task. */
  readonly taskId: string;
  /** How far it is. */
  readonly status: TaskStatus;
  /** Whether a submission with the same id had already been accepted: an earlier one, or a try of this one whose answer was lost. */
  readonly existing: boolean;
}

/** What became of one submission of many. */
export type SubmitResult = ({ readonly ok: true } & SubmittedTask) | { readonly ok: false; readonly error: MycelError };

/** Options of `submitMany`. */
export interface SubmitManyOptions {
  /** All or none. At most 1,000 items; an obstacle rejects the call. Default false: each item has its own result. */
  readonly atomic?: boolean;
  /** How many tasks go into one call. From 1 to 1,000; default 1,000. Calls above 3 MiB are split further. */
  readonly chunk?: number;
  /** How many calls are under way at once. From 1 to 64; default 4. */
  readonly concurrency?: number;
  /** Ends the work; what was accepted stays. */
  readonly signal?: AbortSignal;
}

/** What submitting needs of a client. */
export interface SubmitCalls {
  readonly rpc: Pick<Client<typeof AgentService>, "submitTask" | "batchSubmitTasks">;
  readonly blobs: BlobCalls;
  readonly options: ResolvedOptions;
}

// Below gRPC's customary limit of 4 MiB for a message.
const MAX_CALL_BYTES = 3 * 1024 * 1024;
const TRANSIENT_CODES: ReadonlySet<number> = new Set([Code.ResourceExhausted, Code.Unavailable]);

/** Builds the request, uploading an input that is too large. */
export async function prepareSubmission(
  blobs: BlobCalls,
  task: TaskSubmission,
  signal: AbortSignal | undefined,
): Promise<SubmitTaskRequest> {
  return (await prepare(blobs, task, signal)).request;
}

async function prepare(blobs: BlobCalls, task: TaskSubmission, signal: AbortSignal | undefined): Promise<Submission> {
  const input = encodeInput(task.input);
  const request = submissionOf(task, input.kind === "inline" ? input.payload : undefined);
  if (input.kind === "inline") return { request, mostBytes: input.mostBytes + mostBytesBeside(request) };
  const { data, contentType } = input;
  const value = await uploadBlob(blobs, data, { contentType, ...withSignal(signal) });
  request.input = create(PayloadSchema, { kind: { case: "blob", value } });
  return { request, mostBytes: toBinary(SubmitTaskRequestSchema, request).length };
}

/** How many bytes a submission has at most; encoded for this only if nothing else tells. */
function sizeOf({ request, mostBytes }: Submission): number {
  return mostBytes === Infinity ? toBinary(SubmitTaskRequestSchema, request).length : mostBytes;
}

/** Submits one task, with others that are submitted at the same time. */
export async function submitOne(
  calls: SubmitCalls,
  gatherer: SubmitGatherer,
  task: TaskSubmission,
  limits: RpcLimits,
): Promise<SubmittedTask> {
  const { signal } = limits;
  const submission = await prepare(calls.blobs, task, signal);
  const { gatherSubmissions, interceptors, timeoutMs } = calls.options;
  // Interceptors, and traces, are to see each call; and those that travel together have a deadline in common.
  if (!gatherSubmissions || limits.timeoutMs !== undefined || interceptors.length > 0 || isTracing()) {
    return submittedOf(await calls.rpc.submitTask(submission.request, limits));
  }
  const deadline = performance.now() + timeoutMs;
  const verdict = await gatherer.submit(submission, signal);
  // An error of its own, with the caller in its trace.
  if (verdict instanceof MycelError) throw new MycelError(verdict.code, verdict.message, verdict);
  if (typeof verdict !== "string") return submittedOf(verdict);
  // What travelled with others may arrive though its caller has left.
  if (signal?.aborted === true) throw abortError(signal);
  const leftMs = Math.max(1, deadline - performance.now());
  try {
    return submittedOf(await calls.rpc.submitTask(submission.request, { timeoutMs: leftMs, ...withSignal(signal) }));
  } catch (error) {
    throw verdict === "again" ? withAcceptance(toMycelError(error), false) : error;
  }
}

/** Submits any number of tasks; the results are in the order of the tasks. */
export async function submitMany(
  calls: SubmitCalls,
  tasks: Iterable<TaskSubmission> | AsyncIterable<TaskSubmission>,
  options: SubmitManyOptions,
): Promise<SubmitResult[]> {
  const { atomic = false, signal } = options;
  const size = Math.floor(within("chunk", options.chunk ?? MAX_BATCH_TASKS, 1, MAX_BATCH_TASKS));
  const concurrency = Math.floor(within("concurrency", options.concurrency ?? 4, 1, 64));
  if (atomic) return await submitAtomic(calls, tasks, signal);
  const results: SubmitResult[][] = [];
  const active = new Set<Promise<void>>();
  let chunks = 0;
  for await (const chunk of chunksOf(calls, tasks, size, signal)) {
    const place = chunks++;
    const work: Promise<void> = submitChunk(calls, chunk, signal).then((answers) => {
      results[place] = answers;
      active.delete(work);
    });
    active.add(work);
    // submitChunk does not reject: what went wrong is in its results.
    if (active.size >= concurrency) await Promise.race(active);
    if (signal?.aborted === true) throw abortError(signal);
  }
  await Promise.all(active);
  if (signal?.aborted === true) throw abortError(signal);
  return results.flat();
}

type Prepared = SubmitTaskRequest | MycelError;

async function* chunksOf(
  calls: SubmitCalls,
  tasks: Iterable<TaskSubmission> | AsyncIterable<TaskSubmission>,
  size: number,
  signal: AbortSignal | undefined,
): AsyncGenerator<Prepared[]> {
  let chunk: Prepared[] = [];
  let bytes = 0;
  for await (const task of tasks) {
    const submission = await prepare(calls.blobs, task, signal).catch(toMycelError);
    const prepared = submission instanceof Error ? submission : submission.request;
    const more = submission instanceof Error ? 0 : sizeOf(submission);
    if (chunk.length > 0 && bytes + more > MAX_CALL_BYTES) {
      yield chunk;
      chunk = [];
      bytes = 0;
    }
    chunk.push(prepared);
    bytes += more;
    if (chunk.length === size) {
      yield chunk;
      chunk = [];
      bytes = 0;
    }
  }
  if (chunk.length > 0) yield chunk;
}

// Items that the server refuses for the moment are submitted again while the call's time lasts, as a call of their own would be.
async function submitChunk(
  calls: SubmitCalls,
  chunk: readonly Prepared[],
  signal: AbortSignal | undefined,
): Promise<SubmitResult[]> {
  const deadline = performance.now() + calls.options.timeoutMs;
  const results = new Map<number, SubmitResult>();
  let open: { place: number; request: SubmitTaskRequest }[] = [];
  for (const [place, prepared] of chunk.entries()) {
    if (prepared instanceof Error) results.set(place, { ok: false, error: prepared });
    else open.push({ place, request: prepared });
  }
  while (open.length > 0) {
    const timeoutMs = Math.max(1, deadline - performance.now());
    let answers: readonly BatchSubmitTasksResult[];
    try {
      const tasks = open.map(({ request }) => request);
      answers = (await calls.rpc.batchSubmitTasks({ tasks }, { timeoutMs, ...withSignal(signal) })).results;
    } catch (error) {
      for (const { place } of open) results.set(place, { ok: false, error: toMycelError(error) });
      break;
    }
    let delayMs = 0;
    const again: typeof open = [];
    for (const [at, item] of open.entries()) {
      const answer = resultOf(answers[at]?.result);
      results.set(item.place, answer);
      const itemDelayMs = transientDelayMs(answers[at]?.result);
      if (itemDelayMs === undefined) continue;
      again.push(item);
      delayMs = Math.max(delayMs, itemDelayMs);
    }
    open = performance.now() + delayMs < deadline ? again : [];
    if (open.length > 0 && !(await pause(delayMs, signal))) break;
  }
  return chunk.map((_, place) => results.get(place) ?? resultOf(undefined));
}

async function submitAtomic(
  calls: SubmitCalls,
  tasks: Iterable<TaskSubmission> | AsyncIterable<TaskSubmission>,
  signal: AbortSignal | undefined,
): Promise<SubmitResult[]> {
  const requests: SubmitTaskRequest[] = [];
  for await (const task of tasks) {
    if (requests.length === MAX_BATCH_TASKS) throw invalidOption("atomic", `allows at most ${MAX_BATCH_TASKS} tasks`);
    requests.push(await prepareSubmission(calls.blobs, task, signal));
  }
  if (requests.length === 0) return [];
  const { results } = await calls.rpc.batchSubmitTasks({ tasks: requests, atomic: true }, withSignal(signal));
  return requests.map((_, at) => resultOf(results[at]?.result));
}

/** The result for one answer of a batch or a stream. */
export function resultOf(
  answer:
    | { case: "submitted"; value: SubmitTaskResponse }
    | { case: "error"; value: ItemError }
    | { case: undefined }
    | undefined,
): SubmitResult {
  if (answer?.case === "submitted") return { ok: true, ...submittedOf(answer.value) };
  if (answer?.case === "error") return { ok: false, error: itemError(answer.value) };
  return { ok: false, error: new MycelError("internal", "the server did not answer for this task") };
}

/** An accepted task as its answer says it. */
export function submittedOf({ taskId, status, existing }: SubmitTaskResponse): SubmittedTask {
  if (status === undefined) throw new MycelError("internal", `the server accepted task ${taskId} without a status`);
  return { taskId, status, existing };
}

/** How long to wait before an item that was refused for the moment may be taken, in milliseconds; undefined for any other answer. */
export function transientDelayMs(answer: BatchSubmitTasksResult["result"] | undefined): number | undefined {
  if (answer?.case !== "error") return undefined;
  const { code, retryDelay } = answer.value;
  return TRANSIENT_CODES.has(code) ? msFromDuration(retryDelay) : undefined;
}
