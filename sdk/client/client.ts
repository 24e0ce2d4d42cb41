// Puts the client together: the connections, the raw services, and the conveniences over them.
import { type Client, createClient as createRpcClient, type Transport } from "@connectrpc/connect";
import type { Agent } from "../../gen/mycel/v1/agent_pb.ts";
import { AgentService, type DeadLetter } from "../../gen/mycel/v1/agent_service_pb.ts";
import { AuditService } from "../../gen/mycel/v1/audit_service_pb.ts";
import { BlobService } from "../../gen/mycel/v1/blob_service_pb.ts";
import { KeyService } from "../../gen/mycel/v1/key_service_pb.ts";
import { MetricsService } from "../../gen/mycel/v1/metrics_service_pb.ts";
import { QueueService } from "../../gen/mycel/v1/queue_service_pb.ts";
import { WebhookService } from "../../gen/mycel/v1/webhook_service_pb.ts";
import type { BlobRef, Payload } from "../../gen/mycel/v1/payload_pb.ts";
import type { TaskExplanation } from "../../gen/mycel/v1/task_explanation_pb.ts";
import type { Task, TaskStatus } from "../../gen/mycel/v1/task_pb.ts";
import type { TaskState } from "../../lib/core/task-state.ts";
import { stateFromWire } from "../../lib/wire/state-codec.ts";
import { msFromTimestamp } from "../../lib/wire/time-codec.ts";
import { type BlobDownload, type BlobSource, type UploadOptions, downloadBlob, uploadBlob } from "./blobs.ts";
import { withSignal } from "./call-signal.ts";
import { type ClientOptions, resolveOptions } from "./client-options.ts";
import { createEndpoints } from "./endpoints.ts";
import { type EventKind, type TaskEvent, kindsToWire } from "./event.ts";
import { type FleetEvent, watchFleet } from "./fleet.ts";
import { MycelError } from "./mycel-error.ts";
import {
  type CompletedTask,
  type TaskOutcome,
  type WaitOptions,
  completedOf,
  completedOrThrow,
  fetchPayload,
  unfinished,
  waitForOutcome,
} from "./outcome.ts";
import { type Breakers, EndpointBreakers } from "./resilience/breakers.ts";
import { type CallOptions, limitsOf, type RpcLimits, streamLimitsOf } from "./resilience/call-limits.ts";
import { KeptAnswer } from "./resilience/kept-answer.ts";
import { capabilitiesOf, type MeshCapability } from "./resilience/mesh-capabilities.ts";
import { askHealth, askMeshHealth, type MeshHealth } from "./resilience/mesh-health.ts";
import { closedError, createResilientTransport } from "./resilient-transport.ts";
import { type FollowOptions, followTask } from "./result-stream.ts";
import type { TaskOptions, TaskSubmission } from "./submission.ts";
import {
  type SubmitManyOptions,
  type SubmitResult,
  type SubmittedTask,
  prepareSubmission,
  submitMany,
  submitOne,
} from "./submit.ts";
import { SubmitGatherer } from "./submit-gatherer.ts";
import { type SubmitAck, submitStream } from "./submit-stream.ts";
import { type ListOptions, type TaskFilterOptions, filterOf, pagesOf } from "./task-filter.ts";
import { type TaskRun, startRun } from "./task-run.ts";
import { type TaskWatchEvent, watchAllTasks } from "./task-watch.ts";

/** Options of `watch`. A watch lasts until its task has ended, unless it is given a `timeoutMs`, or a `ctx` with a deadline. */
export interface WatchOptions extends CallOptions {
  /** The cursor of the last event that the caller has, to go on after it. Default: from the start of the task. */
  readonly cursor?: string;
  /** Which kinds to get. Default: all. State changes into a terminal state always come. */
  readonly kinds?: readonly EventKind[];
  /** Ends the watch with a MycelError `canceled`; leaving the loop ends it in silence. */
  readonly signal?: AbortSignal;
}

/** How many tasks there are. */
export interface TaskCount {
  /** All of them. */
  readonly total: number;
  /** By state; states without a task are left out. */
  readonly byState: ReadonlyMap<TaskState, number>;
  /** The counts show the log as it was at this time or later. */
  readonly asOf: Date | undefined;
}

/**
 * A client of the mesh. Its methods reject with a {@link MycelError}, and those that return a task's result also with a
 * `TaskFailedError`; nothing else. Disposing closes the connections at once: do it, an open connection keeps the process alive.
 */
export interface MycelClient extends AsyncDisposable {
  /** The service itself, for what has no convenience. Idempotent calls are tried again here, too; errors are MycelErrors. */
  readonly rpc: Client<typeof AgentService>;
  /** The blob service itself. */
  readonly blobs: Client<typeof BlobService>;
  /** The webhook service itself. */
  readonly webhooks: Client<typeof WebhookService>;
  /** The calls of AuditService: who did what. */
  readonly audit: Client<typeof AuditService>;
  /** The service of queues: look at them, pause, resume and purge them. */
  readonly queues: Client<typeof QueueService>;
  /** The service of API keys: create, list and revoke them. */
  readonly keys: Client<typeof KeyService>;
  /** The service of metrics: rates, success and durations of tasks. */
  readonly metrics: Client<typeof MetricsService>;
  /** The circuit breakers of its coordinators. */
  readonly breakers: Breakers;
  /** Whether coordinators serve, asked by the standard health service. Kept for a minute, or two seconds if none does. Never rejects. */
  health(): Promise<MeshHealth>;
  /** What the registered agents can do, by task type, ordered by type. Kept for five minutes. */
  capabilities(): Promise<ReadonlyMap<string, MeshCapability>>;
  /** Forgets what `health` and `capabilities` keep: the next to ask gets news. */
  clearCache(): void;
  /** Submits one task. */
  submit(type: string, input?: unknown, options?: TaskOptions & CallOptions): Promise<SubmittedTask>;
  /** Submits any number of tasks in few calls. The results are in the order of the tasks. */
  submitMany(
    tasks: Iterable<TaskSubmission> | AsyncIterable<TaskSubmission>,
    options?: SubmitManyOptions,
  ): Promise<SubmitResult[]>;
  /** Submits tasks as they come and yields an answer for each; reads on only as fast as the mesh takes them. */
  submitStream(
    tasks: Iterable<TaskSubmission> | AsyncIterable<TaskSubmission>,
    options?: { readonly signal?: AbortSignal },
  ): AsyncIterable<SubmitAck>;
  /** Submits one task and follows it. */
  run<Result = unknown>(
    type: string,
    input?: unknown,
    options?: TaskOptions & Omit<WatchOptions, "cursor">,
  ): TaskRun<Result>;
  /** Follows a task: every event once, in order, over as many connections as it takes, until it has ended. */
  watch(taskId: string, options?: WatchOptions): AsyncIterable<TaskEvent>;
  /** Waits until a task has ended and returns how, without throwing for a task that failed. */
  outcome<Result = unknown>(taskId: string, options?: WaitOptions): Promise<TaskOutcome<Result>>;
  /** Waits until a task is completed. Rejects with a TaskFailedError if it ends otherwise. */
  waitFor<Result = unknown>(taskId: string, options?: WaitOptions): Promise<CompletedTask<Result>>;
  /** Waits until a task is completed and returns what it returned. Rejects with a TaskFailedError if it ends otherwise. */
  result<Result = unknown>(taskId: string, options?: WaitOptions): Promise<Result>;
  /** How far a task is. */
  status(taskId: string, options?: CallOptions): Promise<TaskStatus>;
  /** A task with its input and result. */
  get(taskId: string, options?: CallOptions): Promise<Task>;
  /** Why a task is where it is: what it waits for, who is at work, how it ended. */
  explain(taskId: string, options?: CallOptions): Promise<TaskExplanation>;
  /** Lists tasks, newest first. May lag behind by a second. */
  list(filter?: TaskFilterOptions, options?: ListOptions): AsyncIterable<Task>;
  /** Counts tasks by state. May lag behind by a second. */
  count(filter?: TaskFilterOptions, options?: CallOptions): Promise<TaskCount>;
  /** Cancels a task that has not ended. */
  cancel(taskId: string, reason?: string, options?: CallOptions): Promise<TaskStatus>;
  /** Submits a dead letter again, as a new task. A further `requestId` gives a further new task. */
  retry(
    taskId: string,
    options?: CallOptions & { readonly requestId?: string },
  ): Promise<{ readonly task: Task; readonly existing: boolean }>;
  /** Lists the tasks that failed for good, newest failure first. */
  deadLetters(
    filter?: TaskFilterOptions & { readonly includeRedriven?: boolean },
    options?: ListOptions,
  ): AsyncIterable<DeadLetter>;
  /** Lists the registered agents, ordered by id; with `showRevoked` also those that are shut out. */
  agents(
    filter?: { readonly type?: string; readonly showRevoked?: boolean },
    options?: ListOptions,
  ): AsyncIterable<Agent>;
  /** Tells the registered agents, then every change, over as many connections as it takes. */
  watchAgents(
    filter?: { readonly type?: string },
    options?: { readonly signal?: AbortSignal },
  ): AsyncIterable<FleetEvent>;
  /** Tells what becomes of all tasks from now on, over as many connections as it takes: a live view, which says what it has missed. */
  watchTasks(filter?: TaskFilterOptions, options?: { readonly signal?: AbortSignal }): AsyncIterable<TaskWatchEvent>;
  /** Stores content and returns its reference. */
  uploadBlob(source: BlobSource, options?: UploadOptions): Promise<BlobRef>;
  /** Streams a blob's content; the end of it checks the SHA-256. */
  downloadBlob(blob: BlobRef | string, options?: { readonly signal?: AbortSignal }): BlobDownload;
  /** The JavaScript value of a payload, downloaded if it is a blob. */
  value(payload: Payload | undefined, options?: { readonly signal?: AbortSignal }): Promise<unknown>;
}

const HEALTH_KEPT_MS = 60_000;
// Of an outage, the news that it is over is what everybody waits for.
const OUTAGE_KEPT_MS = 2_000;
const CAPABILITIES_KEPT_MS = 300_000;

/** Makes a client. Connects when the first call is made. Throws a MycelError (INVALID_OPTION) for a wrong option. */
export function createClient(clientOptions: ClientOptions): MycelClient {
  return createClientOver(clientOptions, (transport) => transport);
}

/** Makes a client whose calls go over what `around` puts in the place of its transport, whose errors must be MycelErrors. */
export function createClientOver(
  clientOptions: ClientOptions,
  around: (transport: Transport) => Transport,
): MycelClient {
  const options = resolveOptions(clientOptions);
  const { clock } = options;
  const closed = new AbortController();
  const breakers = new EndpointBreakers({
    urls: options.urls,
    options: options.breaker,
    clock,
    logger: options.logger,
    serves: async (url) => {
      const endpoint = endpoints.all.find((each) => each.url === url);
      return endpoint !== undefined && (await askHealth(endpoint)).status === "serving";
    },
  });
  const endpoints = createEndpoints(options, breakers);
  const transport = around(createResilientTransport(options, endpoints, breakers, closed.signal));
  const rpc = createRpcClient(AgentService, transport);
  const blobs = createRpcClient(BlobService, transport);
  const webhooks = createRpcClient(WebhookService, transport);
  const audit = createRpcClient(AuditService, transport);
  const queues = createRpcClient(QueueService, transport);
  const keys = createRpcClient(KeyService, transport);
  const metrics = createRpcClient(MetricsService, transport);
  const calls = { rpc, blobs: { rpc: blobs, options }, options };
  const gatherer = new SubmitGatherer(calls);
  const servers = endpoints.count;
  const signalsWith = (signal: AbortSignal | undefined): AbortSignal[] =>
    signal === undefined ? [closed.signal] : [closed.signal, signal];
  const limited = (call: CallOptions): RpcLimits => limitsOf(call, options.timeoutMs, clock.now());

  const health = new KeptAnswer(
    () =>
      askMeshHealth(
        endpoints.all,
        (url) => breakers.of(url)?.state,
        () => clock.now(),
      ),
    ({ healthy }) => (healthy ? HEALTH_KEPT_MS : OUTAGE_KEPT_MS),
    () => clock.monotonicMs(),
  );
  const capabilities = new KeptAnswer(
    () => capabilitiesOf(client.agents()),
    () => CAPABILITIES_KEPT_MS,
    () => clock.monotonicMs(),
  );

  const follow = (
    open: FollowOptions["open"],
    { cursor = "", kinds = [], signal }: Pick<WatchOptions, "cursor" | "kinds" | "signal">,
  ): AsyncGenerator<TaskEvent, void, undefined> =>
    followTask({ ...options, open, cursor, servers, filtered: kinds.length > 0, signals: signalsWith(signal) });

  const outcome = async (taskId: string, { timeoutMs, ...call }: WaitOptions = {}): Promise<TaskOutcome> => {
    const limits = streamLimitsOf(call, () => clock.now());
    return await waitForOutcome(calls, taskId, timeoutMs === undefined ? {} : { timeoutMs }, limits);
  };

  // The last event of a run holds the outcome; without it (left early, or followed from a later place) the mesh is asked.
  const resultAfter = async (
    taskId: string,
    last: TaskEvent | undefined,
    signal: AbortSignal | undefined,
  ): Promise<unknown> => {
    if (last?.kind !== "state" || last.message.kind.case !== "stateChange") {
      return completedOrThrow(await outcome(taskId, withSignal(signal))).result;
    }
    if (last.state !== "completed") return completedOrThrow(unfinished(last.status, last.state)).result;
    return (await completedOf(calls, last.status, last.message.kind.value.result, signal)).result;
  };

  // What a caller expects of a result is the caller's word: JSON that crossed the mesh has no type that could be checked here.
  const client: Untyped = {
    rpc,
    blobs,
    webhooks,
    audit,
    queues,
    keys,
    metrics,
    breakers,
    health: () => health.get(),
    capabilities: () => capabilities.get(),
    clearCache() {
      health.clear();
      capabilities.clear();
    },
    submit: async (type, input, task = {}) => await submitOne(calls, gatherer, { ...task, type, input }, limited(task)),
    submitMany: async (tasks, many = {}) => await submitMany(calls, tasks, many),
    submitStream: (tasks, { signal } = {}) => submitStream(tasks, { ...calls, servers, signals: signalsWith(signal) }),
    run(type, input, { kinds = [], ...task } = {}) {
      const { signal, remaining } = streamLimitsOf(task, () => clock.now());
      return startRun({
        rpc,
        kinds: kindsToWire(kinds),
        remaining,
        prepare: () => prepareSubmission(calls.blobs, { ...task, type, input }, signal),
        follow: (open) => follow(open, { kinds, ...withSignal(signal) }),
        resultOf: (taskId, last) => resultAfter(taskId, last, signal),
      });
    },
    watch(taskId, { kinds = [], cursor = "", ...call } = {}) {
      const wanted = kindsToWire(kinds);
      const { signal, remaining } = streamLimitsOf(call, () => clock.now());
      return follow(
        (from, ended) => rpc.streamResults({ taskId, cursor: from, kinds: wanted }, { signal: ended, ...remaining() }),
        { cursor, kinds, ...withSignal(signal) },
      );
    },
    outcome,
    waitFor: async (taskId, wait) => completedOrThrow(await outcome(taskId, wait)),
    result: async (taskId, wait) => completedOrThrow(await outcome(taskId, wait)).result,
    status: async (taskId, call = {}) => present((await rpc.getTaskStatus({ taskId }, limited(call))).status),
    get: async (taskId, call = {}) => present((await rpc.getTask({ taskId }, limited(call))).task),
    explain: async (taskId, call = {}) => present((await rpc.explainTask({ taskId }, limited(call))).explanation),
    list: (filter = {}, { pageSize = 0, ...call } = {}) =>
      pagesOf(
        (pageToken) => rpc.listTasks({ pageSize, pageToken, filter: filterOf(filter) }, limited(call)),
        (page) => page.tasks,
      ),
    async count(filter = {}, call = {}) {
      const { counts, totalCount, asOfTime } = await rpc.countTasks({ filter: filterOf(filter) }, limited(call));
      const byState = new Map<TaskState, number>();
      for (const { state, taskCount } of counts) {
        const name = stateFromWire(state);
        if (name !== undefined) byState.set(name, Number(taskCount));
      }
      const asOfMs = msFromTimestamp(asOfTime);
      return { total: Number(totalCount), byState, asOf: asOfMs === undefined ? undefined : new Date(asOfMs) };
    },
    cancel: async (taskId, reason = "", call = {}) =>
      present((await rpc.cancelTask({ taskId, reason }, limited(call))).status),
    async retry(taskId, { requestId = "", ...call } = {}) {
      const { task, existing } = await rpc.retryTask({ taskId, requestId }, limited(call));
      return { task: present(task), existing };
    },
    deadLetters: ({ includeRedriven = false, ...filter } = {}, { pageSize = 0, ...call } = {}) =>
      pagesOf(
        (pageToken) =>
          rpc.listDeadLetters({ pageSize, pageToken, includeRedriven, filter: filterOf(filter) }, limited(call)),
        (page) => page.deadLetters,
      ),
    agents: ({ type = "", showRevoked = false } = {}, { pageSize = 0, ...call } = {}) =>
      pagesOf(
        (pageToken) => rpc.listAgents({ pageSize, pageToken, type, showRevoked }, limited(call)),
        (page) => page.agents,
      ),
    watchAgents: ({ type = "" } = {}, { signal } = {}) =>
      watchFleet({
        ...options,
        servers,
        signals: signalsWith(signal),
        open: (signal) => rpc.watchAgents({ type }, { signal }),
      }),
    watchTasks: (filter = {}, { signal } = {}) =>
      watchAllTasks({
        ...options,
        servers,
        signals: signalsWith(signal),
        open: (signal) => rpc.watchTasks({ filter: filterOf(filter) }, { signal }),
      }),
    uploadBlob: async (source, upload = {}) => await uploadBlob(calls.blobs, source, upload),
    downloadBlob: (blob, { signal } = {}) =>
      downloadBlob(calls.blobs, typeof blob === "string" ? { blobId: blob } : blob, signal),
    value: async (payload, { signal } = {}) => await fetchPayload(calls.blobs, payload, signal),
    async [Symbol.asyncDispose]() {
      closed.abort(closedError());
      breakers[Symbol.dispose]();
      endpoints[Symbol.dispose]();
    },
  };
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the one place where the caller's word is taken
  return client as MycelClient;
}

type Untyped = Omit<MycelClient, "run" | "outcome" | "waitFor" | "result"> & {
  run(...args: Parameters<MycelClient["run"]>): TaskRun;
  outcome(...args: Parameters<MycelClient["outcome"]>): Promise<TaskOutcome>;
  waitFor(...args: Parameters<MycelClient["waitFor"]>): Promise<CompletedTask>;
  result(...args: Parameters<MycelClient["result"]>): Promise<unknown>;
};

function present<T>(value: T | undefined): T {
  if (value === undefined) throw new MycelError("internal", "the server answered without what was asked for");
  return value;
}
