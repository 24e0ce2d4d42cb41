// The mesh as it is measured: nats-server, one coordinator and one agent as processes of their own; this process is the client.

import { setTimeout as sleep } from "node:timers/promises";
import { create, toBinary } from "@bufbuild/protobuf";
import { timestampMs, ValueSchema } from "@bufbuild/protobuf/wkt";
import { type Client, createClient as createRpcClient } from "@connectrpc/connect";
import { createGrpcTransport as createConnectTransport } from "@connectrpc/connect-node";
import { jetstreamManager } from "@nats-io/jetstream";
import { Health, HealthCheckRequestSchema } from "../../../gen/health/v1/health_pb.ts";
import {
  AgentService,
  BatchSubmitTasksRequestSchema,
  type SubmitTaskRequest,
  SubmitTaskRequestSchema,
  type SubmitTaskStreamRequest,
  SubmitTaskStreamRequestSchema,
} from "../../../gen/mycel/v1/agent_service_pb.ts";
import { type Payload, PayloadSchema } from "../../../gen/mycel/v1/payload_pb.ts";
import { TaskState } from "../../../gen/mycel/v1/task_pb.ts";
import { type NatsConnection, openNats } from "../../../lib/nats/connection.ts";
import { ClientSession } from "../../../lib/rpc/client-session.ts";
import { TASKS_STREAM } from "../../../lib/wire/subjects.ts";
import { createGrpcTransport } from "../../../sdk/client/grpc/grpc-transport.ts";
import { createClient as createMycelClient, type MycelClient } from "../../../sdk/client/index.ts";
import { BenchError } from "../../support/bench-error.ts";
import {
  type Contender,
  type ContenderOptions,
  type Durability,
  type QueueName,
  QUEUES,
  type UnaryCalls,
} from "../../support/contender.ts";
import type { UnaryCall } from "../../support/grpc-caller.ts";
import { openBenchNats } from "../../support/nats-server.ts";
import { startProcess } from "../../support/process.ts";
import { watchTaskEnds } from "../../support/task-ends.ts";
import { type TrackedTasks, TaskTracker } from "../../support/task-tracker.ts";
import { emptyCallTo } from "../echo-server.ts";
import { type MessageSizes, measureSizes } from "./sizes.ts";

/** A broker that runs already, of which the caller takes care. */
export interface GivenNats {
  readonly url: string;
  readonly pid: number;
  readonly replicas: number;
  /** How it is set, for the report. */
  readonly setting: string;
}

/** How the mesh is started. */
export interface MeshOptions extends Omit<ContenderOptions, "durability"> {
  /** A broker that runs already, or how durable one of its own is to be. */
  readonly nats: GivenNats | Durability;
}

/** What the mesh can do: everything. */
export interface Mesh extends Required<Contender> {
  readonly natsVersion: string;
  /** What a task's messages weigh, for the floor. */
  readonly sizes: MessageSizes;
}

const AGENT_ID = "bench-agent";
const SETTLE_POLL_MS = 100;
const SETTLE_WITHIN_MS = 30_000;

/** Starts everything. */
export async function openMesh(options: MeshOptions): Promise<Mesh> {
  const { environment, profileDir } = options;
  await using stack = new AsyncDisposableStack();
  const nats =
    typeof options.nats === "string" ? stack.use(await openOwnNats(environment, options.nats)) : options.nats;
  const coordinator = stack.use(
    await startProcess({
      entry: "services/coordinator/main.ts",
      nodeArgs: profiling(profileDir, "coordinator"),
      env: {
        ...environment,
        NATS_URL: nats.url,
        MYCEL_REPLICAS: String(nats.replicas),
        MYCEL_LISTEN: "127.0.0.1:0",
        // Parked tasks pile up on purpose.
        MYCEL_QUEUE_LIMIT: "10000000",
      },
    }),
  );
  const url = String(coordinator.ready["url"]);
  const agent = stack.use(
    await startProcess({
      entry: "bench/contenders/mesh/agent.ts",
      args: [url, AGENT_ID],
      nodeArgs: profiling(profileDir, "agent"),
      env: environment,
    }),
  );
  const connection = stack.adopt(await openNats({ servers: nats.url, name: "bench" }), (opened) => opened.close());
  const client = stack.use(createMycelClient({ url }));
  const natsVersion = connection.info?.version ?? "unknown";
  const mesh = new MeshContender({
    connection,
    client,
    health: stack.use(openHealthClient(url)),
  });
  const sizes = await measureSizes(connection, AGENT_ID, "sizes-0", (bytes) => mesh.runOne("sizes-0", bytes));
  const failed = Promise.race([coordinator.failed, agent.failed]);
  failed.catch(() => undefined);
  const started = stack.move();
  return Object.assign(mesh, {
    title: `the mesh on nats-server ${natsVersion}, ${nats.setting}`,
    unaryCalls: unaryCallsOf(url),
    pids: { client: process.pid, server: coordinator.pid, worker: agent.pid, store: nats.pid },
    natsVersion,
    sizes,
    failed,
    [Symbol.asyncDispose]: () => started.disposeAsync(),
  });
}

async function openOwnNats(
  environment: ContenderOptions["environment"],
  durability: Durability,
): Promise<GivenNats & AsyncDisposable> {
  return Object.assign(await openBenchNats(environment, durability), { replicas: 1 });
}

interface Connections {
  readonly connection: NatsConnection;
  readonly client: MycelClient;
  readonly health: Client<typeof Health>;
}

class MeshContender {
  readonly id = "mesh";
  readonly #connection: NatsConnection;
  readonly #client: MycelClient;
  readonly #tasks: Client<typeof AgentService>;
  readonly #health: Client<typeof Health>;
  readonly #tracker = new TaskTracker();

  constructor({ connection, client, health }: Connections) {
    this.#connection = connection;
    this.#client = client;
    this.#tasks = client.rpc;
    this.#health = health;
    watchTaskEnds(connection, this.#tracker);
  }

  track(prefix: string): TrackedTasks {
    return this.#tracker.track(prefix);
  }

  async submitBulk(ids: readonly string[], inputBytes: number): Promise<void> {
    const tasks = ids.map((id) => requestOf(id, "served", inputBytes));
    await this.#tasks.batchSubmitTasks(create(BatchSubmitTasksRequestSchema, { tasks, atomic: true }));
  }

  async submitStream(ids: AsyncIterable<string>, inputBytes: number): Promise<void> {
    for await (const { result } of this.#tasks.submitTaskStream(streamed(ids, inputBytes))) {
      if (result.case === "error") throw new BenchError(`a submission was refused: ${result.value.message}`);
    }
  }

  async submitOne(id: string, queue: QueueName, inputBytes: number): Promise<void> {
    await this.#client.submit(QUEUES[queue], textOf(inputBytes), { taskId: id });
  }

  async runOne(id: string, inputBytes: number): Promise<number> {
    const startMs = performance.now();
    let tookMs = 0;
    for await (const { kind } of this.#tasks.runTask({ task: requestOf(id, "served", inputBytes) })) {
      if (kind.case !== "result") continue;
      const message = kind.value.kind;
      const state = message.case === "stateChange" ? message.value.status?.state : undefined;
      if (state === TaskState.COMPLETED) tookMs = performance.now() - startMs;
    }
    if (tookMs === 0) throw new BenchError(`task ${id} did not complete`);
    return tookMs;
  }

  async emptyCall(): Promise<void> {
    await this.#health.check(create(HealthCheckRequestSchema));
  }

  async storedMessages(): Promise<number> {
    return (await (await jetstreamManager(this.#connection)).streams.info(TASKS_STREAM)).state.messages;
  }

  /** Waits for the index, which follows the log at its own pace. */
  async settle(): Promise<void> {
    const nowMs = Date.now();
    const endMs = performance.now() + SETTLE_WITHIN_MS;
    while (performance.now() < endMs) {
      const { asOfTime } = await this.#tasks.countTasks({});
      if (asOfTime !== undefined && timestampMs(asOfTime) >= nowMs) return;
      await sleep(SETTLE_POLL_MS);
    }
    throw new BenchError(`the index has not seen all tasks after ${SETTLE_WITHIN_MS / 1_000} s`);
  }
}

/** Calls the health check in the way in which the client of the mesh makes its calls. */
function openHealthClient(url: string): Client<typeof Health> & Disposable {
  const session = new ClientSession(url);
  const clientStreams = createConnectTransport({ baseUrl: url, sessionManager: session });
  const transport = createGrpcTransport({
    baseUrl: url,
    session,
    headers: {},
    interceptors: [],
    compressFromBytes: Infinity,
    clientStreams,
  });
  return Object.assign(createRpcClient(Health, transport), { [Symbol.dispose]: () => session.abort() });
}

function unaryCallsOf(url: string): UnaryCalls {
  const path = `/${AgentService.typeName}/${AgentService.method.submitTask.name}`;
  const submission = (inputBytes: number): UnaryCall => {
    const request = create(SubmitTaskRequestSchema, { type: QUEUES.parked, input: inputOf(inputBytes) });
    return { url, path, message: toBinary(SubmitTaskRequestSchema, request) };
  };
  return { empty: emptyCallTo(url), submission };
}

const texts = new Map<number, string>();
const inputs = new Map<number, Payload>();

/** A text of so many bytes; made once for each size, so that making it is not charged to the mesh. */
function textOf(bytes: number): string {
  const text = texts.get(bytes) ?? "x".repeat(bytes);
  texts.set(bytes, text);
  return text;
}

/** The same as JSON. */
function inputOf(bytes: number): Payload {
  const known = inputs.get(bytes);
  if (known !== undefined) return known;
  const value = create(ValueSchema, { kind: { case: "stringValue", value: textOf(bytes) } });
  const input = create(PayloadSchema, { kind: { case: "json", value } });
  inputs.set(bytes, input);
  return input;
}

function requestOf(id: string, queue: QueueName, inputBytes: number): SubmitTaskRequest {
  return create(SubmitTaskRequestSchema, { taskId: id, type: QUEUES[queue], input: inputOf(inputBytes) });
}

async function* streamed(ids: AsyncIterable<string>, inputBytes: number): AsyncGenerator<SubmitTaskStreamRequest> {
  for await (const id of ids) {
    yield create(SubmitTaskStreamRequestSchema, { task: requestOf(id, "served", inputBytes) });
  }
}

function profiling(dir: string | undefined, name: string): readonly string[] {
  if (dir === undefined) return [];
  return ["--cpu-prof", `--cpu-prof-dir=${dir}`, `--cpu-prof-name=${name}.cpuprofile`];
}
