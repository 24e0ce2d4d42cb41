// The logs of a mesh on a real nats-server, for tests that write tasks, events and outputs as coordinators and agents do.
import { create } from "@bufbuild/protobuf";
import { ValueSchema } from "@bufbuild/protobuf/wkt";
import type { JetStreamManager } from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/nats-core";
import { type Payload, PayloadSchema } from "../../gen/mycel/v1/payload_pb.ts";
import { TaskSchema } from "../../gen/mycel/v1/task_pb.ts";
import type { EndedAttempt, EventDraft } from "../../lib/core/event.ts";
import { openNats } from "../../lib/nats/connection.ts";
import { DirectReader } from "../../lib/nats/direct-reader.ts";
import { OutputLog } from "../../lib/nats/output-log.ts";
import { StreamPublisher } from "../../lib/nats/stream-publisher.ts";
import { TaskLog } from "../../lib/nats/task-log.ts";
import { ensureTopology } from "../../lib/nats/topology.ts";
import { encodeOutputBatch } from "../../lib/wire/output-codec.ts";
import { outputSubject } from "../../lib/wire/subjects.ts";
import { encodeDispatch } from "../../lib/wire/task-codec.ts";
import { timestampFromMs } from "../../lib/wire/time-codec.ts";
import { openTestNats, type TestNats, type TestNatsSettings } from "./nats.ts";

/** The tenant of all tests here. */
export const TENANT = "default";

/** The logs, and one connection to them. */
export interface MeshLog extends AsyncDisposable {
  readonly nats: TestNats;
  readonly connection: NatsConnection;
  readonly manager: JetStreamManager;
  readonly publisher: StreamPublisher;
  readonly reader: DirectReader;
  readonly taskLog: TaskLog;
  readonly outputLog: OutputLog;
}

/** Starts a server with the mesh's streams and opens the logs. */
export async function openMeshLog(settings: TestNatsSettings = {}): Promise<MeshLog> {
  const nats = await openTestNats(settings);
  const connection = await openNats({ servers: nats.url, credentialsFile: nats.credentialsFile, name: "test" });
  const manager = await ensureTopology(connection, {
    replicas: 1,
    retentionMs: 600_000,
    maxBytes: -1,
    agentTtlMs: 5_000,
  });
  const publisher = new StreamPublisher(connection);
  const reader = new DirectReader(connection);
  return {
    nats,
    connection,
    manager,
    publisher,
    reader,
    taskLog: new TaskLog({ connection, manager, publisher, reader }),
    outputLog: new OutputLog({ connection, publisher, reader }),
    async [Symbol.asyncDispose]() {
      reader[Symbol.dispose]();
      await connection.close();
      await nats[Symbol.asyncDispose]();
    },
  };
}

/** Writes one task into the logs, step by step, as its coordinators and agents would. */
export class TaskWriter {
  readonly #log: MeshLog;
  readonly task: { readonly tenant: string; readonly taskId: string };
  /** The sequence of the last event. */
  last = 0;
  #operations = 0;
  #webhookEndpoint: string | undefined;
  readonly #indexes = new Map<string, number>();

  constructor(log: MeshLog, taskId: string) {
    this.#log = log;
    this.task = { tenant: TENANT, taskId };
  }

  /** Submits the task; with a webhook, if one is named. */
  async submit(webhookEndpoint?: string): Promise<number> {
    this.#webhookEndpoint = webhookEndpoint;
    return await this.dispatch(0);
  }

  /** Dispatches the task: the submission if nothing was dispatched before. */
  async dispatch(expected: number): Promise<number> {
    const endpointId = this.#webhookEndpoint;
    const task = create(TaskSchema, {
      taskId: this.task.taskId,
      type: "echo",
      createTime: timestampFromMs(1_000),
      ...(endpointId === undefined ? {} : { webhook: { endpointId } }),
    });
    const outcome = await this.#log.taskLog.dispatch(
      {
        ...this.task,
        queue: "echo",
        priority: 5,
        body: encodeDispatch({ task, attempt: 1, fence: BigInt(this.last) }),
        trace: { traceparent: "", tracestate: "" },
      },
      expected,
    );
    if (outcome.kind !== "stored") throw new Error("the task was dispatched by somebody else");
    return outcome.sequence;
  }

  /** Writes an event after the last one. */
  async event(change: Partial<EventDraft>, outputSequence = 0, result?: Payload): Promise<number> {
    this.#operations += 1;
    const draft: EventDraft = {
      state: "working",
      attempt: 1,
      nextAttempt: 0,
      agentId: "",
      attemptStartMs: undefined,
      nextAttemptMs: undefined,
      failure: undefined,
      cancelReason: "",
      ended: undefined,
      dispatchSequence: 0,
      deliveries: 0,
      ...change,
    };
    const context = { eventMs: 2_000, operationId: `op-${this.#operations}`, outputSequence, result };
    const outcome = await this.#log.taskLog.append(this.task, draft, context, this.last);
    if (outcome.kind !== "stored") throw new Error("somebody else wrote an event");
    this.last = outcome.sequence;
    return this.last;
  }

  /** An agent begins an attempt, which may end another. */
  async begin(agentId: string, attempt: number, ended?: EndedAttempt, outputSequence = 0): Promise<number> {
    this.#indexes.set(`${agentId} ${attempt}`, 0);
    return await this.event({ state: "working", agentId, attempt, ended }, outputSequence);
  }

  /** The attempt ends the task. */
  async complete(agentId: string, attempt: number, outputSequence: number): Promise<number> {
    const ended = { agentId, attempt, outputSequence };
    return await this.event({ state: "completed", agentId, attempt, ended }, outputSequence, text("the result"));
  }

  /** An attempt streams outputs in one batch; returns the batch's sequence. */
  async output(agentId: string, attempt: number, ...texts: string[]): Promise<number> {
    const key = `${agentId} ${attempt}`;
    const outputs = texts.map((value) => {
      const index = (this.#indexes.get(key) ?? 0) + 1;
      this.#indexes.set(key, index);
      return { index: BigInt(index), kind: { case: "chunk" as const, value: text(value) } };
    });
    const subject = outputSubject(this.task.tenant, this.task.taskId, agentId, attempt);
    const outcome = await this.#log.publisher.publish({ subject, body: encodeOutputBatch({ outputs }) });
    if (outcome.kind !== "stored") throw new Error("the output was not stored");
    return outcome.sequence;
  }

  /** A coordinator takes the lease from an attempt; returns its last output's sequence. */
  async fence(agentId: string, attempt: number): Promise<number> {
    return await this.#log.outputLog.fence(this.task, agentId, attempt);
  }
}

/** A JSON text as a payload. */
export function text(value: string): Payload {
  return create(PayloadSchema, {
    kind: { case: "json", value: create(ValueSchema, { kind: { case: "stringValue", value } }) },
  });
}
