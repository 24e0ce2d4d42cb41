// A coordinator of a few lines for tests of the agent SDK: real nats-server, real RPC, rules in memory. It speaks the wire and lets a test
// decide every answer.
import { create, fromBinary, fromJson, type JsonValue, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { ValueSchema } from "@bufbuild/protobuf/wkt";
import type { ConnectRouter } from "@connectrpc/connect";
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
} from "../../../gen/mycel/v1/agent_protocol_pb.ts";
import { AgentService, type RegisterAgentRequest } from "../../../gen/mycel/v1/agent_service_pb.ts";
import { BlobService } from "../../../gen/mycel/v1/blob_service_pb.ts";
import { type Output, OutputBatchSchema } from "../../../gen/mycel/v1/output_pb.ts";
import { type BlobRef, type Payload, PayloadSchema } from "../../../gen/mycel/v1/payload_pb.ts";
import { DispatchSchema } from "../../../gen/mycel/v1/task_log_pb.ts";
import { type Priority, TaskSchema } from "../../../gen/mycel/v1/task_pb.ts";
import type { Timestamp } from "@bufbuild/protobuf/wkt";
import { SIGNAL } from "../../../lib/wire/headers.ts";
import { durationFromMs, timestampFromMs } from "../../../lib/wire/time-codec.ts";
import type { RunAgentOptions } from "../../../sdk/agent/index.ts";
import { silentLogger } from "../../../lib/core/logger.ts";
import { type CuttableServer, openCuttableServer } from "../../support/cuttable-server.ts";
import { type FakeBlobs, receiveBlob, sendBlob, storeBlob } from "../../support/fake-blobs.ts";
import { openTestNats, type TestNats } from "../../support/nats.ts";
import { type Answer, FakeFences, type FakeTask } from "./fake-fences.ts";

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
  readonly reports: SeenReport[] = [];
  readonly heartbeats: { readonly agentId: string; readonly running: number; readonly draining: boolean }[] = [];
  readonly registrations: RegisterAgentRequest[] = [];
  readonly deregistered: string[] = [];
  readonly blobs: FakeBlobs = new Map();
  /** Answers in the place of the fake's own rules; undefined leaves it to them. */
  answer: ((report: Report, agentId: string) => Answer | undefined) | undefined;
  /** Whether heartbeats are answered with `registered`. */
  registered: boolean = true;
  url: string = "";
  readonly #leaseMs: number;
  readonly #heartbeatMs: number;
  readonly #fences: FakeFences;
  readonly #waiters = new Set<() => void>();
  #reportSub: Subscription | undefined;
  #server: CuttableServer | undefined;
  #counter = 0;

  constructor(nats: TestNats, nc: NatsConnection, options: FakeMeshOptions) {
    this.nats = nats;
    this.nc = nc;
    this.#leaseMs = options.leaseMs ?? 5_000;
    this.#heartbeatMs = options.heartbeatMs ?? 1_000;
    this.#fences = new FakeFences((delivery, answer) => nc.publish(delivery, answer));
  }

  /** What is known of each task. */
  get tasks(): ReadonlyMap<string, FakeTask> {
    return this.#fences.tasks;
  }

  async listen(): Promise<void> {
    this.#server = await openCuttableServer((router) => this.#routes(router));
    this.url = this.#server.url;
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
          return { outcome: this.answer?.(report, agentId) ?? this.#fences.judge(report, agentId) };
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
    this.#fences.add(taskId);
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

  /** Sends an agent what looks like a signal, as an answer looks that another agent had sent there. */
  misdirect(agentId: string, taskId: string, attempt: number, reason: string): void {
    const signal = create(AgentSignalSchema, { kind: { case: "cancel", value: { taskId, attempt, reason } } });
    this.nc.publish(`mycel.signal.${agentId}`, toBinary(AgentSignalSchema, signal));
  }

  /** Tells an agent that a task ended elsewhere. */
  cancel(agentId: string, taskId: string, attempt: number, reason: string): void {
    const signal = create(AgentSignalSchema, { kind: { case: "cancel", value: { taskId, attempt, reason } } });
    const header = headers();
    header.set(SIGNAL, "1");
    this.nc.publish(`mycel.signal.${agentId}`, toBinary(AgentSignalSchema, signal), { headers: header });
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
    await this.#server?.stop();
    await this.nc.close();
    await this.nats[Symbol.asyncDispose]();
  }

  /** Checks what tests wait for. */
  notify(): void {
    for (const waiter of this.#waiters) waiter();
  }

  #routes(router: ConnectRouter): void {
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
      uploadBlob: (requests) => receiveBlob(this.blobs, requests),
      downloadBlob: ({ blobId }) => sendBlob(this.blobs, blobId),
    });
  }

  /** Keeps a blob and returns its reference. */
  storeBlob(data: Uint8Array, contentType: string): BlobRef {
    return storeBlob(this.blobs, data, contentType);
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
