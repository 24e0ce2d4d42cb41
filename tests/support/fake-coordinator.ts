// A coordinator for tests of clients: the real protocol on a real HTTP/2 port, tasks in memory, and failures on cue.
import { createHash } from "node:crypto";
import { once } from "node:events";
import type { SecureServerOptions } from "node:http2";
import { create, equals } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, type HandlerContext } from "@connectrpc/connect";
import type { Agent } from "../../gen/mycel/v1/agent_pb.ts";
import {
  type AgentChange,
  AgentService,
  type ResultKind,
  type SubmitTaskRequest,
  SubmitTaskRequestSchema,
} from "../../gen/mycel/v1/agent_service_pb.ts";
import { BlobService } from "../../gen/mycel/v1/blob_service_pb.ts";
import { PayloadSchema } from "../../gen/mycel/v1/payload_pb.ts";
import { TaskState, type TaskStatus } from "../../gen/mycel/v1/task_pb.ts";
import { createHealth } from "../../lib/rpc/health/health.ts";
import { addReflection } from "../../lib/rpc/reflection/reflection.ts";
import { readDetails, richError } from "../../lib/rpc/rich-error.ts";
import { durationFromMs } from "../../lib/wire/time-codec.ts";
import { type CuttableServer, openCuttableServer } from "./cuttable-server.ts";
import { type FakeBlobs, receiveBlob, sendBlob } from "./fake-blobs.ts";
import { createFakeFleet } from "./fake-fleet.ts";
import { end, type FakeTask, makeTask, matches, message, TERMINAL, wanted } from "./fake-task.ts";

/** One call that arrived. */
export interface RecordedCall {
  readonly method: string;
  readonly request: unknown;
  readonly headers: Headers;
}

/** How a call fails. */
export type Cue = ConnectError | "cut" | "hang";

/** A running fake. Types: `echo` completes, `fail` fails, `time-out` times out, `idle` waits until it is canceled, `story` streams. */
export interface FakeCoordinator extends CuttableServer {
  readonly calls: RecordedCall[];
  readonly tasks: Map<string, FakeTask>;
  readonly agents: Map<string, Agent>;
  readonly blobs: FakeBlobs;
  /** How many calls of a method arrived. */
  count(method: string): number;
  /** The next calls of a method fail with these errors, one each; `"cut"` cuts every connection instead, `"hang"` never answers. */
  failNext(method: string, ...failures: (Cue | undefined)[]): void;
  /** A stream of results that reaches this sequence sends nothing more, not even a keep-alive, until its connection is gone. Once. */
  stallAfter(sequence: number): void;
  /** Leaves out one message of the next streams. */
  dropSequence(sequence: number | undefined): void;
  /** Ends a task of type `idle`. */
  complete(taskId: string, result: string): void;
  /** Tells the watchers of agents. */
  tellAgents(change: AgentChange, agent: Agent): void;
}

/** Starts a fake; with the tasks of another one, it is a second replica of the same mesh. */
export async function openFakeCoordinator(
  options: {
    readonly replicaOf?: FakeCoordinator;
    readonly port?: number;
    /** Speaks TLS with these. */
    readonly tls?: SecureServerOptions;
    /** Whether its statuses come with the results that were asked for; those of an older coordinator do not. */
    readonly tellsResults?: boolean;
  } = {},
): Promise<FakeCoordinator> {
  const calls: RecordedCall[] = [];
  const tasks = options.replicaOf?.tasks ?? new Map<string, FakeTask>();
  const fleet = createFakeFleet(options.replicaOf?.agents ?? new Map<string, Agent>());
  const blobs: FakeBlobs = options.replicaOf?.blobs ?? new Map();
  const submissions = new Map<string, SubmitTaskRequest>();
  const cues = new Map<string, (Cue | undefined)[]>();
  let wake = Promise.withResolvers<void>();
  let stall: number | undefined;
  let dropped: number | undefined;
  const changed = (): void => {
    wake.resolve();
    wake = Promise.withResolvers<void>();
  };

  const arrived = async (method: string, request: unknown, context: HandlerContext): Promise<void> => {
    calls.push({ method, request, headers: context.requestHeader });
    const cue = cues.get(method)?.shift();
    if (cue === "cut") {
      server.cut();
      await gone(context.signal);
    }
    if (cue === "hang") await gone(context.signal);
    if (cue instanceof ConnectError) throw cue;
  };

  const find = (taskId: string): FakeTask => {
    const found = tasks.get(taskId);
    if (found !== undefined) return found;
    throw richError({
      code: Code.NotFound,
      reason: "TASK_NOT_FOUND",
      message: `no task ${JSON.stringify(taskId)}`,
      resource: { type: "mycel.v1.Task", name: taskId },
    });
  };

  const submit = (request: SubmitTaskRequest): { taskId: string; status: TaskStatus; existing: boolean } => {
    const taskId = request.taskId || `t-${createHash("sha256").update(request.requestId).digest("hex").slice(0, 12)}`;
    if (!/^[A-Za-z0-9_-]{1,64}$/.test(request.type)) {
      const description = "must be 1 to 64 characters of A-Z a-z 0-9 _ -";
      throw richError({
        code: Code.InvalidArgument,
        reason: "INVALID_REQUEST",
        message: `type: ${description}`,
        violations: [{ field: "type", description }],
      });
    }
    const before = submissions.get(taskId);
    if (before !== undefined && !equals(SubmitTaskRequestSchema, before, request)) {
      throw richError({
        code: Code.AlreadyExists,
        reason: "TASK_ALREADY_EXISTS",
        message: `task ${taskId} exists with another content`,
      });
    }
    submissions.set(taskId, request);
    const existing = tasks.get(taskId);
    if (existing !== undefined) return { taskId, status: existing.task.status!, existing: true };
    const made = makeTask(taskId, request);
    tasks.set(taskId, made);
    return { taskId, status: made.task.status!, existing: false };
  };

  async function* results(taskId: string, cursor: string, kinds: readonly ResultKind[], signal: AbortSignal) {
    const { task, events } = find(taskId);
    let sent = cursor === "" ? 0 : Number(cursor.slice(1));
    yield message(sent, { case: "snapshot", value: task });
    for (;;) {
      const next = events[sent];
      if (next === undefined) {
        if (TERMINAL.has(task.status!.state)) return;
        await Promise.race([wake.promise, gone(signal)]);
        if (signal.aborted) return;
        continue;
      }
      sent += 1;
      if (sent !== dropped && wanted(next, kinds)) yield next;
      if (stall === sent) {
        stall = undefined;
        await gone(signal);
        return;
      }
    }
  }

  const health = createHealth({ services: [AgentService, BlobService] });
  const server = await openCuttableServer((router) => {
    health.register(router);
    addReflection(router, { services: [AgentService, BlobService] });
    router.service(AgentService, {
      async submitTask(request, context) {
        await arrived("SubmitTask", request, context);
        return submit(request);
      },
      async batchSubmitTasks(request, context) {
        await arrived("BatchSubmitTasks", request, context);
        return { results: request.tasks.map((task) => ({ result: itemOf(() => submit(task)) })) };
      },
      async *submitTaskStream(requests, context) {
        await arrived("SubmitTaskStream", undefined, context);
        let index = 0n;
        for await (const { task } of requests) {
          const cue = cues.get("SubmitTaskStream.item")?.shift();
          if (cue === "cut") {
            server.cut();
            await gone(context.signal);
            return;
          }
          const refused = cue instanceof ConnectError ? cue : undefined;
          yield { index, result: itemOf(() => (refused === undefined ? submit(task!) : refuse(refused))) };
          index += 1n;
        }
      },
      async getTaskStatus(request, context) {
        await arrived("GetTaskStatus", request, context);
        const { task } = find(request.taskId);
        const waitMs = Number(request.wait?.seconds ?? 0n) * 1000 + (request.wait?.nanos ?? 0) / 1e6;
        const late = new AbortController();
        const timer = setTimeout(() => late.abort(), waitMs);
        if (waitMs === 0) late.abort();
        const over = AbortSignal.any([late.signal, context.signal]);
        while (!over.aborted && !TERMINAL.has(task.status!.state)) await Promise.race([wake.promise, gone(over)]);
        clearTimeout(timer);
        const withResult = request.includeResult && options.tellsResults !== false && task.result !== undefined;
        return { status: task.status!, ...(withResult ? { result: task.result } : {}) };
      },
      async getTask(request, context) {
        await arrived("GetTask", request, context);
        return { task: find(request.taskId).task };
      },
      async listTasks(request, context) {
        await arrived("ListTasks", request, context);
        const all = [...tasks.values()].map(({ task }) => task).filter((task) => matches(task, request.filter));
        const from = Number(request.pageToken || 0);
        const to = from + (request.pageSize || 2);
        return { tasks: all.slice(from, to), nextPageToken: to < all.length ? String(to) : "" };
      },
      async countTasks(request, context) {
        await arrived("CountTasks", request, context);
        const counts = new Map<TaskState, bigint>();
        for (const { task } of tasks.values()) {
          if (matches(task, request.filter))
            counts.set(task.status!.state, (counts.get(task.status!.state) ?? 0n) + 1n);
        }
        return {
          counts: [...counts].map(([state, taskCount]) => ({ state, taskCount })),
          totalCount: [...counts.values()].reduce((sum, count) => sum + count, 0n),
          asOfTime: timestampFromDate(new Date()),
        };
      },
      async *streamResults(request, context) {
        await arrived("StreamResults", request, context);
        yield* results(request.taskId, request.cursor, request.kinds, context.signal);
      },
      async *runTask(request, context) {
        await arrived("RunTask", request, context);
        const submitted = submit(request.task!);
        yield { kind: { case: "submitted" as const, value: submitted } };
        for await (const result of results(submitted.taskId, "", request.kinds, context.signal)) {
          yield { kind: { case: "result" as const, value: result } };
        }
      },
      async cancelTask(request, context) {
        await arrived("CancelTask", request, context);
        const found = find(request.taskId);
        const { task } = found;
        if (TERMINAL.has(task.status!.state) && task.status!.state !== TaskState.CANCELED) {
          throw richError({
            code: Code.FailedPrecondition,
            reason: "TASK_NOT_CANCELABLE",
            message: `task ${request.taskId} has already ended`,
          });
        }
        task.status!.cancelReason = request.reason;
        end(found, TaskState.CANCELED);
        changed();
        return { status: task.status! };
      },
      async retryTask(request, context) {
        await arrived("RetryTask", request, context);
        const dead = find(request.taskId).task;
        const taskId = `${request.taskId}-again`;
        const existing = tasks.has(taskId);
        if (!existing) tasks.set(taskId, makeTask(taskId, create(SubmitTaskRequestSchema, { type: "echo" })));
        const { task } = find(taskId);
        task.redriveOf = dead.taskId;
        return { task, existing };
      },
      async listDeadLetters(request, context) {
        await arrived("ListDeadLetters", request, context);
        const dead = [...tasks.values()].filter(({ task }) => task.status!.deadLetter);
        return { deadLetters: dead.map(({ task }) => ({ task, redrivenBy: "" })) };
      },
      async listAgents(request, context) {
        await arrived("ListAgents", request, context);
        return { agents: [...fleet.agents.values()] };
      },
      async *watchAgents(request, context) {
        await arrived("WatchAgents", request, context);
        yield* fleet.watch(context.signal);
      },
    });
    router.service(BlobService, {
      async uploadBlob(requests, context) {
        await arrived("UploadBlob", undefined, context);
        return await receiveBlob(blobs, requests);
      },
      async *downloadBlob(request, context) {
        await arrived("DownloadBlob", request, context);
        yield* sendBlob(blobs, request.blobId);
      },
    });
  }, options);
  const fake: Omit<FakeCoordinator, keyof CuttableServer> = {
    calls,
    tasks,
    agents: fleet.agents,
    blobs,
    count: (method) => calls.filter((call) => call.method === method).length,
    failNext: (method, ...failures) => cues.set(method, [...(cues.get(method) ?? []), ...failures]),
    stallAfter: (sequence) => (stall = sequence),
    dropSequence: (sequence) => (dropped = sequence),
    complete(taskId, result) {
      const found = find(taskId);
      found.task.result = create(PayloadSchema, {
        kind: { case: "json", value: { kind: { case: "stringValue", value: result } } },
      });
      end(found, TaskState.COMPLETED);
      changed();
    },
    tellAgents: (change, agent) => fleet.tell(change, agent),
  };
  return Object.assign(server, fake);
}

/** The error of a server that cannot answer for the moment. */
export function unavailable(reason = "BROKER_UNAVAILABLE", retryDelayMs?: number): ConnectError {
  const delay = retryDelayMs === undefined ? {} : { retryDelayMs };
  return richError({ code: Code.Unavailable, reason, message: "the broker does not answer", ...delay });
}

function itemOf(submit: () => { taskId: string; status: TaskStatus; existing: boolean }) {
  try {
    return { case: "submitted" as const, value: submit() };
  } catch (error) {
    const failure = ConnectError.from(error);
    const { reason = "INVALID_REQUEST", retryDelayMs } = readDetails(failure);
    const delay = retryDelayMs === undefined ? {} : { retryDelay: durationFromMs(retryDelayMs) };
    return { case: "error" as const, value: { code: failure.code, reason, message: failure.rawMessage, ...delay } };
  }
}

function refuse(error: ConnectError): never {
  throw error;
}

async function gone(signal: AbortSignal): Promise<void> {
  if (!signal.aborted) await once(signal, "abort");
}
