// A coordinator of a measurement as a process, started as an operator starts it, and the benchmark's connections to it.

import { setTimeout as sleep } from "node:timers/promises";
import { create } from "@bufbuild/protobuf";
import { ValueSchema } from "@bufbuild/protobuf/wkt";
import { type Client, Code, ConnectError, createClient } from "@connectrpc/connect";
import { createGrpcTransport, Http2SessionManager } from "@connectrpc/connect-node";
import {
  AgentService,
  BatchSubmitTasksRequestSchema,
  type SubmitTaskRequest,
  SubmitTaskRequestSchema,
} from "../../../gen/mycel/v1/agent_service_pb.ts";
import { PayloadSchema } from "../../../gen/mycel/v1/payload_pb.ts";
import { msFromTimestamp } from "../../../lib/wire/time-codec.ts";
import { BenchError } from "../../support/bench-error.ts";
import { type BenchProcess, startProcess } from "../../support/process.ts";
import type { ScaleOptions } from "../figure.ts";
import type { Broker } from "./broker.ts";

/** The contract as a client calls it. */
export type TasksClient = Client<typeof AgentService>;

/** One connection to a coordinator. Disposing it ends its calls. */
export interface Connection extends Disposable {
  readonly tasks: TasksClient;
}

/** A running coordinator. */
export interface Coordinator extends AsyncDisposable {
  readonly url: string;
  readonly process: BenchProcess;
  /** The benchmark's usual connection. */
  readonly tasks: TasksClient;
  /** Opens a connection of its own. */
  connect(): Connection;
  /** Submits up to 1,000 tasks in one call, all or none. */
  submitAll(ids: readonly string[], type: string): Promise<void>;
  /** Resolves when its index shows everything that is in the log now. */
  settle(): Promise<void>;
}

/** How to start one. */
export interface CoordinatorOptions extends ScaleOptions {
  readonly broker: Broker;
  /** Settings besides those that every measurement needs. */
  readonly settings?: Readonly<Record<string, string>>;
  readonly nodeArgs?: readonly string[];
  /** Hears what it sends over its channel. */
  readonly onMessage?: (message: unknown) => void;
}

const INPUT_BYTES = 200;
const INPUT = create(PayloadSchema, {
  kind: {
    case: "json",
    value: create(ValueSchema, { kind: { case: "stringValue", value: "x".repeat(INPUT_BYTES) } }),
  },
});
const SETTLE_POLL_MS = 50;
/** A million tasks are indexed within a few minutes on a slow machine. */
const SETTLE_WITHIN_MS = 600_000;

/** Starts it. */
export async function openCoordinator(options: CoordinatorOptions): Promise<Coordinator> {
  const { broker, environment, settings, nodeArgs, onMessage } = options;
  await using stack = new AsyncDisposableStack();
  const process = stack.use(
    await startProcess({
      entry: "services/coordinator/main.ts",
      env: {
        ...environment,
        NATS_URL: broker.url,
        MYCEL_LISTEN: "127.0.0.1:0",
        // Tasks pile up on purpose.
        MYCEL_QUEUE_LIMIT: "10000000",
        ...settings,
      },
      ...(nodeArgs === undefined ? {} : { nodeArgs }),
      ...(onMessage === undefined ? {} : { onMessage }),
    }),
  );
  const url = String(process.ready["url"]);
  const connect = (): Connection => connectTo(url);
  const { tasks } = stack.use(connect());
  const started = stack.move();
  return {
    url,
    process,
    tasks,
    connect,
    async submitAll(ids, type) {
      const request = { tasks: ids.map((id) => submission(id, type)), atomic: true };
      await tasks.batchSubmitTasks(create(BatchSubmitTasksRequestSchema, request));
    },
    settle: () => settled(tasks),
    [Symbol.asyncDispose]: () => started.disposeAsync(),
  };
}

/** A task with an input of 200 bytes. */
export function submission(taskId: string, type: string): SubmitTaskRequest {
  return create(SubmitTaskRequestSchema, { taskId, type, input: INPUT });
}

function connectTo(url: string): Connection {
  const sessionManager = new Http2SessionManager(url);
  const tasks = createClient(AgentService, createGrpcTransport({ baseUrl: url, sessionManager }));
  return { tasks, [Symbol.dispose]: () => sessionManager.abort() };
}

/** The coordinator's clock and this one are the same: both are on this machine. */
async function settled(tasks: TasksClient): Promise<void> {
  const sinceMs = Date.now();
  while (Date.now() - sinceMs < SETTLE_WITHIN_MS) {
    const asOfMs = await tasks.countTasks({}).then(({ asOfTime }) => msFromTimestamp(asOfTime), beingBuilt);
    if ((asOfMs ?? 0) >= sinceMs) return;
    await sleep(SETTLE_POLL_MS);
  }
  throw new BenchError(`the index has not caught up with the log within ${SETTLE_WITHIN_MS / 1_000} s`);
}

function beingBuilt(error: unknown): undefined {
  if (ConnectError.from(error).code !== Code.Unavailable) throw error;
}
