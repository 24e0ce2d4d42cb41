// A coordinator of a few lines for tests of the agent SDK: real nats-server, real RPC, fences kept in memory. It speaks the wire and lets
// a test decide every answer.
import { createHash } from "node:crypto";
import { once } from "node:events";
import http2 from "node:http2";
import { create, fromBinary, fromJson, type JsonValue, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { ValueSchema } from "@bufbuild/protobuf/wkt";
import type { ConnectRouter } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import { AckPolicy, jetstream, jetstreamManager } from "@nats-io/jetstream";
import { connect, headers, type NatsConnection, type Subscription } from "@nats-io/transport-node";
import {
  AgentSignalSchema,
  HeartbeatRequestSchema,
  HeartbeatResponseSchema,
  type Report,
  ReportRequestSchema,
  ReportResponseSchema,
  ReportResultSchema,
  ReportSchema,
} from "../../../gen/mycel/v1/agent_protocol_pb.ts";
import { AgentService, type RegisterAgentRequest } from "../../../gen/mycel/v1/agent_service_pb.ts";
import { BlobService } from "../../../gen/mycel/v1/blob_service_pb.ts";
import { type Output, OutputBatchSchema } from "../../../gen/mycel/v1/output_pb.ts";
import { type BlobRef, BlobRefSchema, type Payload, PayloadSchema } from "../../../gen/mycel/v1/payload_pb.ts";
import { DispatchSchema } from "../../../gen/mycel/v1/task_log_pb.ts";
import { type Priority, TaskSchema } from "../../../gen/mycel/v1/task_pb.ts";
import type { Timestamp } from "@bufbuild/protobuf/wkt";
import { durationFromMs, timestampFromMs } from "../../../lib/wire/time-codec.ts";
import type { RunAgentOptions } from "../../../sdk/agent/index.ts";
import { silentLogger } from "../../../lib/core/logger.ts";
import { openTestNats, type TestNats } from "../../support/nats.ts";

/** An answer to one report. */
export type Answer = NonNullable<MessageInitShape<typeof ReportResultSchema>["outcome"]>;

/** What the fake knows of a task. */
export interface FakeTask {
  fence: bigint;
  attempt: number;
  /** Who began the attempt, or undefined. */
  owner: string | undefined;
  /** The report that ended it. */
  ended: Report | undefined;
  /** The last accepted report and its answer: a copy of it gets the same answer. */
  accepted: { readonly bytes: string; readonly answer: Answer } | undefined;
}

/** A report as it came in. */
export interface SeenReport {
  readonly agentId: string;
  readonly report: Report;
  readonly traceparent: string;
  readonly batchSize: number;
}

/** What a test may set when it submits. */
export interface Submission {
  readonly taskId: string;
  readonly type?: string;
  readonly priority?: Priority;
  readonly input?: JsonValue;
  readonly payload?: Payload;
  readonly beginRequired?: boolean;
  readonly task?: MessageInitShape<typeof TaskSchema>;
  readonly traceparent?: string;
}

const PRIORITIES: readonly Priority[] = [15, 10, 5, 1];
const TENANT = "default";

/** How the fake behaves. */
export interface FakeMeshOptions {
  readonly leaseMs?: number;
  readonly heartbeatMs?: number;
}

/** Opens a fake mesh. */
export async function openFakeMesh(options: FakeMeshOptions = {}): Promise<FakeMesh> {
  const nats = await openTestNats();
  const nc = await connect({ servers: nats.url, maxReconnectAttempts: -1, reconnectTimeWait: 50, noAsyncTraces: true });
  const jsm = await jetstreamManager(nc);
  await jsm.streams.add({ name: "MYCEL_TASKS", subjects: ["task.>"] });
  await jsm.streams.add({ name: "MYCEL_OUTPUT", subjects: ["out.>"] });
  const mesh = new FakeMesh(nats, nc, options);
  await mesh.listen();
  return mesh;
}

export class FakeMesh implements AsyncDisposable {
  readonly nats: TestNats;
  readonly nc: NatsConnection;
  readonly tasks: Map<string, FakeTask> = new Map<string, FakeTask>();
  readonly reports: SeenReport[] = [];
  readonly heartbeats: { readonly agentId: string; readonly running: number; readonly draining: boolean }[] = [];
  readonly registrations: RegisterAgentRequest[] = [];
  readonly deregistered: string[] = [];
  readonly blobs: Map<string, { readonly ref: BlobRef; readonly data: Uint8Array }> = new Map();
  /** Answers in the place of the fake's own rules; undefined leaves it to them. */
  answer: ((report: Report, agentId: string) => Answer | undefined) | undefined;
  /** Whether heartbeats are answered with `registered`. */
  registered: boolean = true;
  url: string = "";
  readonly #leaseMs: number;
  readonly #heartbeatMs: number;
  readonly #server: http2.Http2Server;
  readonly #sessions = new Set<http2.ServerHttp2Session>();
  readonly #waiters = new Set<() => void>();
  #reportSub: Subscription | undefined;
  #counter = 0;
  #fences = 100n;

  constructor(nats: TestNats, nc: NatsConnection, options: FakeMeshOptions) {
    this.nats = nats;
    this.nc = nc;
    this.#leaseMs = options.leaseMs ?? 5_000;
    this.#heartbeatMs = options.heartbeatMs ?? 1_000;
    this.#server = http2.createServer(connectNodeAdapter({ routes: (router) => this.#routes(router) }));
    this.#server.on("session", (session) => {
      this.#sessions.add(session);
      session.on("close", () => this.#sessions.delete(session));
    });
  }

  async listen(): Promise<void> {
    this.#server.listen(0, "127.0.0.1");
    await once(this.#server, "listening");
    const address = this.#server.address();
    if (address === null || typeof address === "string") throw new Error("the server listens on no port");
    this.url = `http://127.0.0.1:${address.port}`;
    this.serveReports();
    this.nc.subscribe("mycel.agent.*.*.heartbeat", {
      callback: (_error, msg) => {
        const beat = fromBinary(HeartbeatRequestSchema, msg.data);
        this.heartbeats.push({ agentId: agentOf(msg.subject), running: beat.running, draining: beat.draining });
        msg.respond(
          toBinary(HeartbeatResponseSchema, create(HeartbeatResponseSchema, { registered: this.registered })),
        );
        this.notify();
      },
    });
    await this.nc.flush();
  }

  /** The options with which an agent runs against this mesh. */
  agentOptions(more: RunAgentOptions = {}): RunAgentOptions {
    return { url: this.url, logger: silentLogger, handleSignals: false, containRejections: false, ...more };
  }

  /** Answers reports (again). */
  serveReports(): void {
    this.#reportSub = this.nc.subscribe("mycel.agent.*.*.report", {
      callback: (_error, msg) => {
        const agentId = agentOf(msg.subject);
        const { reports } = fromBinary(ReportRequestSchema, msg.data);
        const results = reports.map((report) => {
          const traceparent = msg.headers?.get("traceparent") ?? "";
          this.reports.push({ agentId, report, traceparent, batchSize: reports.length });
          return { outcome: this.answer?.(report, agentId) ?? this.#rule(report, agentId) };
        });
        msg.respond(
          toBinary(
            ReportResponseSchema,
            create(ReportResponseSchema, { results: results.map((result) => create(ReportResultSchema, result)) }),
          ),
        );
        this.notify();
      },
    });
  }

  /** Leaves reports unanswered: nobody serves the subject. */
  async stopReports(): Promise<void> {
    this.#reportSub?.unsubscribe();
    await this.nc.flush();
  }

  /** Submits a task. */
  async submit(submission: Submission): Promise<void> {
    const {
      taskId,
      type = "echo",
      priority = 5,
      input,
      payload,
      beginRequired = false,
      task,
      traceparent,
    } = submission;
    const json = input === undefined ? undefined : fromJson(ValueSchema, input);
    const given = json === undefined ? payload : create(PayloadSchema, { kind: { case: "json", value: json } });
    const dispatch = create(DispatchSchema, {
      task: create(TaskSchema, {
        taskId,
        type,
        queue: type,
        priority,
        createTime: timestampFromMs(Date.now()),
        ...(given === undefined ? {} : { input: given }),
        ...task,
      }),
      attempt: 1,
      fence: 0n,
      beginRequired,
    });
    this.tasks.set(taskId, { fence: 0n, attempt: 1, owner: undefined, ended: undefined, accepted: undefined });
    const hdrs = headers();
    if (traceparent !== undefined) hdrs.set("traceparent", traceparent);
    const subject = `task.${TENANT}.${taskId}.q.${type}.${priority}`;
    await jetstream(this.nc).publish(subject, toBinary(DispatchSchema, dispatch), { headers: hdrs });
  }

  /** Creates the consumers of a task type, as a registration does; for tasks submitted before any agent. */
  async prepare(type: string): Promise<void> {
    await this.#lanes([type]);
  }

  /** Deletes the consumers of a task type, as an operator's mistake would. */
  async deleteConsumers(type: string): Promise<void> {
    const jsm = await jetstreamManager(this.nc);
    for (const priority of PRIORITIES) await jsm.consumers.delete("MYCEL_TASKS", `${TENANT}_${type}_${priority}`);
  }

  /** Takes a delivery as an agent that dies without a word would; the message comes again when its lease ends. */
  async takeAndForget(type: string, priority: number): Promise<void> {
    const inbox = `_INBOX.forget${(this.#counter += 1)}`;
    const taken = this.nc.subscribe(inbox, { max: 1 });
    this.nc.publish(`$JS.API.CONSUMER.MSG.NEXT.MYCEL_TASKS.${TENANT}_${type}_${priority}`, "1", { reply: inbox });
    for await (const _ of taken) break;
  }

  /** Tells an agent that a task ended elsewhere. */
  cancel(agentId: string, taskId: string, attempt: number, reason: string): void {
    const signal = create(AgentSignalSchema, { kind: { case: "cancel", value: { taskId, attempt, reason } } });
    this.nc.publish(`mycel.signal.${agentId}`, toBinary(AgentSignalSchema, signal));
  }

  /** Resolves when the condition holds; checked whenever something came in. */
  async until(condition: () => boolean): Promise<void> {
    while (!condition()) {
      await new Promise<void>((resolve) => {
        const done = (): void => {
          this.#waiters.delete(done);
          resolve();
        };
        this.#waiters.add(done);
      });
    }
  }

  /** Resolves with the report that ended the task. */
  async ended(taskId: string): Promise<Report> {
    await this.until(() => this.tasks.get(taskId)?.ended !== undefined);
    return this.tasks.get(taskId)!.ended!;
  }

  /** The reports of a kind on a task. */
  reportsOf(taskId: string, kind?: Report["kind"]["case"]): Report[] {
    return this.reports
      .map((seen) => seen.report)
      .filter((report) => report.taskId === taskId && (kind === undefined || report.kind.case === kind));
  }

  /** What an attempt streamed, in stored order, with the sequence of each batch. */
  async outputs(taskId: string): Promise<{ readonly sequence: number; readonly outputs: Output[] }[]> {
    const jsm = await jetstreamManager(this.nc);
    const { state } = await jsm.streams.info("MYCEL_OUTPUT");
    const found = [];
    for (let seq = state.first_seq; seq <= state.last_seq && seq > 0; seq++) {
      const msg = await jsm.streams.getMessage("MYCEL_OUTPUT", { seq });
      if (msg === null || msg.subject.split(".")[2] !== taskId) continue;
      found.push({ sequence: msg.seq, outputs: fromBinary(OutputBatchSchema, msg.data).outputs });
    }
    return found;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const session of this.#sessions) session.destroy();
    this.#server.close();
    await this.nc.close();
    await this.nats[Symbol.asyncDispose]();
  }

  /** Checks what tests wait for. */
  notify(): void {
    for (const waiter of this.#waiters) waiter();
  }

  #rule(report: Report, agentId: string): Answer {
    const task = this.tasks.get(report.taskId);
    if (task === undefined) return { case: "dropped", value: { reason: "TASK_NOT_FOUND" } };
    const bytes = agentId + Buffer.from(toBinary(ReportSchema, report)).toString("base64");
    if (task.accepted?.bytes === bytes) return task.accepted.answer;
    const answer = this.#decide(task, report, agentId);
    if (answer.case === "accepted") task.accepted = { bytes, answer };
    return answer;
  }

  #decide(task: FakeTask, report: Report, agentId: string): Answer {
    if (report.kind.case === "begin") {
      if (task.ended !== undefined) {
        this.nc.publish(report.delivery, "+ACK");
        return { case: "dropped", value: { reason: "TASK_ENDED" } };
      }
      if (report.kind.value.redelivery) task.attempt = task.owner === undefined ? task.attempt : task.attempt + 1;
      else if (report.fence !== task.fence)
        return { case: "refused", value: { reason: "LEASE_LOST", message: "stale" } };
      task.owner = agentId;
      task.fence = this.#fences += 1n;
      return { case: "accepted", value: { fence: task.fence, attempt: task.attempt } };
    }
    if (task.ended !== undefined || report.fence !== task.fence) {
      return { case: "refused", value: { reason: "LEASE_LOST", message: "another attempt has the lease" } };
    }
    task.fence = this.#fences += 1n;
    if (report.kind.case === "handBack") {
      task.owner = undefined;
      this.nc.publish(report.delivery, "-NAK");
    } else {
      task.ended = report;
      this.nc.publish(report.delivery, "+ACK");
    }
    return { case: "accepted", value: { fence: task.fence, attempt: report.attempt } };
  }

  #routes(router: ConnectRouter): void {
    const { blobs } = this;
    router.service(AgentService, {
      registerAgent: async (request) => {
        this.registrations.push(request);
        const agentId = request.agentId === "" ? `agent-${(this.#counter += 1)}` : request.agentId;
        const lanes = await this.#lanes(request.capabilities.map((one) => one.queue || one.type));
        const now = timestampFromMs(Date.now() - 60_000);
        this.notify();
        return {
          agent: {
            agentId,
            name: request.name,
            concurrency: request.concurrency,
            registerTime: now,
            heartbeatTime: now,
          },
          session: {
            natsUrls: [this.nats.url],
            lanes,
            inboxPrefix: `_INBOX_${agentId}`,
            reportSubject: `mycel.agent.${TENANT}.${agentId}.report`,
            heartbeatSubject: `mycel.agent.${TENANT}.${agentId}.heartbeat`,
            signalSubject: `mycel.signal.${agentId}`,
            outputSubjectTemplate: `out.${TENANT}.{task_id}.${agentId}.{attempt}`,
            leaseDuration: durationFromMs(this.#leaseMs),
            heartbeatInterval: durationFromMs(this.#heartbeatMs),
            createTime: timestampFromMs(Date.now()),
            tenant: TENANT,
          },
        };
      },
      deregisterAgent: ({ agentId }) => {
        this.deregistered.push(agentId);
        this.notify();
        return {};
      },
    });
    router.service(BlobService, {
      uploadBlob: async (requests) => {
        const chunks: Uint8Array[] = [];
        let contentType = "";
        for await (const { part } of requests) {
          if (part.case === "open") contentType = part.value.contentType;
          else if (part.case === "chunk") chunks.push(part.value);
        }
        return { blob: this.storeBlob(Buffer.concat(chunks), contentType) };
      },
      downloadBlob: async function* ({ blobId }) {
        const blob = blobs.get(blobId)!;
        await Promise.resolve();
        yield { part: { case: "blob" as const, value: blob.ref } };
        yield { part: { case: "chunk" as const, value: blob.data } };
      },
    });
  }

  /** Keeps a blob and returns its reference. */
  storeBlob(data: Uint8Array, contentType: string): BlobRef {
    const blobId = `blob-${(this.#counter += 1)}`;
    const sha256 = createHash("sha256").update(data).digest();
    const ref = create(BlobRefSchema, { blobId, sha256, sizeBytes: BigInt(data.length), contentType });
    this.blobs.set(blobId, { ref, data });
    return ref;
  }

  async #lanes(
    queues: readonly string[],
  ): Promise<{ queue: string; priority: Priority; stream: string; consumer: string; createTime: Timestamp }[]> {
    const jsm = await jetstreamManager(this.nc);
    const lanes = [];
    for (const queue of new Set(queues)) {
      for (const priority of PRIORITIES) {
        const consumer = `${TENANT}_${queue}_${priority}`;
        const { created } = await jsm.consumers.add("MYCEL_TASKS", {
          durable_name: consumer,
          filter_subject: `task.${TENANT}.*.q.${queue}.${priority}`,
          ack_policy: AckPolicy.Explicit,
          ack_wait: this.#leaseMs * 1_000_000,
          max_ack_pending: 10_000,
        });
        lanes.push({
          queue,
          priority,
          stream: "MYCEL_TASKS",
          consumer,
          createTime: timestampFromMs(Date.parse(created)),
        });
      }
    }
    return lanes;
  }
}

function agentOf(subject: string): string {
  return subject.split(".")[3] ?? "";
}
