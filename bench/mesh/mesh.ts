// The mesh as it is measured: nats-server, one coordinator and one agent as processes of their own; this process is the client.

import { setTimeout as sleep } from "node:timers/promises";
import { create } from "@bufbuild/protobuf";
import { ValueSchema } from "@bufbuild/protobuf/wkt";
import { type Client, createClient } from "@connectrpc/connect";
import { createGrpcTransport, Http2SessionManager } from "@connectrpc/connect-node";
import { jetstreamManager } from "@nats-io/jetstream";
import { Health, HealthCheckRequestSchema } from "../../gen/health/v1/health_pb.ts";
import {
  AgentService,
  BatchSubmitTasksRequestSchema,
  type SubmitTaskRequest,
  SubmitTaskRequestSchema,
  SubmitTaskStreamRequestSchema,
} from "../../gen/mycel/v1/agent_service_pb.ts";
import { PayloadSchema } from "../../gen/mycel/v1/payload_pb.ts";
import { TaskState } from "../../gen/mycel/v1/task_pb.ts";
import { type NatsConnection, openNats } from "../../lib/nats/connection.ts";
import { TASKS_STREAM } from "../../lib/wire/subjects.ts";
import { BenchError } from "../support/bench-error.ts";
import { Completions } from "../support/completions.ts";
import { openBenchNats } from "../support/nats-server.ts";
import { startProcess } from "../support/process.ts";
import { INPUT_BYTES, type QueueName, QUEUES, type Side } from "../support/side.ts";
import { type MessageSizes, measureSizes } from "./sizes.ts";

/** How the mesh is started. */
export interface MeshOptions {
  /** The environment for its processes, without settings of Mycel and OpenTelemetry. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** A folder for CPU profiles of coordinator and agent. None are taken if undefined. */
  readonly profileDir: string | undefined;
  /** A broker that runs already, of which the caller takes care; a nats-server with its defaults if left out. */
  readonly nats?: { readonly url: string; readonly pid: number; readonly replicas: number };
}

/** The running mesh. */
export interface Mesh extends Side, AsyncDisposable {
  readonly natsVersion: string;
  /** What a task's messages weigh, for the floor. */
  readonly sizes: MessageSizes;
  /** Rejects when one of its processes ends unasked. */
  readonly failed: Promise<never>;
}

const AGENT_ID = "bench-agent";
const INPUT = create(PayloadSchema, {
  kind: {
    case: "json",
    value: create(ValueSchema, { kind: { case: "stringValue", value: "x".repeat(INPUT_BYTES) } }),
  },
});
const SETTLE_POLL_MS = 20;
const SETTLE_WITHIN_MS = 30_000;

/** Starts everything. */
export async function openMesh({ environment, profileDir, nats: given }: MeshOptions): Promise<Mesh> {
  await using stack = new AsyncDisposableStack();
  const nats = given ?? stack.use(await openBenchNats(environment));
  const coordinator = stack.use(
    await startProcess({
      entry: "services/coordinator/main.ts",
      nodeArgs: profiling(profileDir, "coordinator"),
      env: {
        ...environment,
        NATS_URL: nats.url,
        MYCEL_REPLICAS: String(given?.replicas ?? 1),
        MYCEL_LISTEN: "127.0.0.1:0",
        // Parked tasks pile up on purpose.
        MYCEL_QUEUE_LIMIT: "10000000",
      },
    }),
  );
  const url = String(coordinator.ready["url"]);
  const agent = stack.use(
    await startProcess({
      entry: "bench/mesh/agent.ts",
      args: [url, AGENT_ID],
      nodeArgs: profiling(profileDir, "agent"),
      env: environment,
    }),
  );
  const connection = stack.adopt(await openNats({ servers: nats.url, name: "bench" }), (opened) => opened.close());
  const sessionManager = stack.adopt(new Http2SessionManager(url), (opened) => opened.abort());
  const transport = createGrpcTransport({ baseUrl: url, sessionManager });
  const pids = { client: process.pid, coordinator: coordinator.pid, agent: agent.pid, "nats-server": nats.pid };
  const side = new MeshSide(connection, createClient(AgentService, transport), createClient(Health, transport), pids);
  const sizes = await measureSizes(connection, AGENT_ID, "sizes-0", () => side.runOne("sizes-0"));
  const started = stack.move();
  return Object.assign(side, {
    natsVersion: connection.info?.version ?? "unknown",
    sizes,
    failed: Promise.race([coordinator.failed, agent.failed]),
    [Symbol.asyncDispose]: () => started.disposeAsync(),
  });
}

class MeshSide implements Side {
  readonly name = "mesh";
  readonly completions: Completions;
  readonly pids: Readonly<Record<string, number>>;
  readonly #connection: NatsConnection;
  readonly #tasks: Client<typeof AgentService>;
  readonly #health: Client<typeof Health>;
  #accepted = 0;

  constructor(
    connection: NatsConnection,
    tasks: Client<typeof AgentService>,
    health: Client<typeof Health>,
    pids: Readonly<Record<string, number>>,
  ) {
    this.#connection = connection;
    this.#tasks = tasks;
    this.#health = health;
    this.pids = pids;
    this.completions = new Completions(connection);
  }

  async submitBulk(ids: readonly string[]): Promise<void> {
    const tasks = ids.map((id) => requestOf(id, "served"));
    await this.#tasks.batchSubmitTasks(create(BatchSubmitTasksRequestSchema, { tasks, atomic: true }));
    this.#accepted += ids.length;
  }

  async submitStream(ids: AsyncIterable<string>): Promise<void> {
    for await (const { result } of this.#tasks.submitTaskStream(streamed(ids))) {
      if (result.case === "error") throw new BenchError(`a submission was refused: ${result.value.message}`);
      this.#accepted += 1;
    }
  }

  async submitOne(id: string, queue: QueueName): Promise<void> {
    await this.#tasks.submitTask(requestOf(id, queue));
    this.#accepted += 1;
  }

  async runOne(id: string): Promise<number> {
    const startMs = performance.now();
    let tookMs = 0;
    for await (const { kind } of this.#tasks.runTask({ task: requestOf(id, "served") })) {
      if (kind.case !== "result") continue;
      const message = kind.value.kind;
      const state = message.case === "stateChange" ? message.value.status?.state : undefined;
      if (state === TaskState.COMPLETED) tookMs = performance.now() - startMs;
    }
    if (tookMs === 0) throw new BenchError(`task ${id} did not complete`);
    this.#accepted += 1;
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
    const endMs = performance.now() + SETTLE_WITHIN_MS;
    while (performance.now() < endMs) {
      const { totalCount } = await this.#tasks.countTasks({});
      if (totalCount >= this.#accepted) return;
      await sleep(SETTLE_POLL_MS);
    }
    throw new BenchError(`the index has not seen all tasks after ${SETTLE_WITHIN_MS / 1_000} s`);
  }
}

function requestOf(id: string, queue: QueueName): SubmitTaskRequest {
  return create(SubmitTaskRequestSchema, { taskId: id, type: QUEUES[queue], input: INPUT });
}

async function* streamed(ids: AsyncIterable<string>): AsyncGenerator<ReturnType<typeof streamRequest>> {
  for await (const id of ids) yield streamRequest(id);
}

function streamRequest(id: string) {
  return create(SubmitTaskStreamRequestSchema, { task: requestOf(id, "served") });
}

function profiling(dir: string | undefined, name: string): readonly string[] {
  if (dir === undefined) return [];
  return ["--cpu-prof", `--cpu-prof-dir=${dir}`, `--cpu-prof-name=${name}.cpuprofile`];
}
