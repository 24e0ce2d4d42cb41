// The floor: what the same tasks cost JetStream alone. The same streams, consumers, publishes, reports and acknowledgements, the same
// number of processes; no RPC, no validation, no state machine. This process is the submitter.

import { jetstreamManager } from "@nats-io/jetstream";
import { DEFAULT_LEASE_MS, DEFAULT_RETENTION_MS } from "../../../lib/core/limits.ts";
import { type NatsConnection, openNats } from "../../../lib/nats/connection.ts";
import { Lanes } from "../../../lib/nats/lanes.ts";
import { type PublishOutcome, type StreamMessage, StreamPublisher } from "../../../lib/nats/stream-publisher.ts";
import { ensureTopology } from "../../../lib/nats/topology.ts";
import { dispatchFilter, dispatchSubject, TASKS_STREAM } from "../../../lib/wire/subjects.ts";
import { BenchError } from "../../support/bench-error.ts";
import {
  type Contender,
  type ContenderOptions,
  type QueueName,
  QUEUES,
  STREAM_WINDOW,
  TENANT,
} from "../../support/contender.ts";
import { openBenchNats } from "../../support/nats-server.ts";
import { startProcess } from "../../support/process.ts";
import { watchTaskEnds } from "../../support/task-ends.ts";
import { type TrackedTasks, TaskTracker } from "../../support/task-tracker.ts";
import { Window } from "../../support/window.ts";
import type { MessageSizes } from "../mesh/sizes.ts";
import { EMPTY_SUBJECT, PRIORITY } from "./subjects.ts";

/** How the floor is started. */
export interface FloorOptions extends ContenderOptions {
  readonly sizes: MessageSizes;
}

/** What the floor can do: all but RPC. */
export type Floor = Required<Omit<Contender, "unaryCalls">>;

const AGENT_TTL_MS = 30_000;

/** Starts everything. */
export async function openFloor({ environment, durability, sizes }: FloorOptions): Promise<Floor> {
  await using stack = new AsyncDisposableStack();
  const nats = stack.use(await openBenchNats(environment, durability));
  const connection = stack.adopt(await openNats({ servers: nats.url, name: "bench" }), (opened) => opened.close());
  const manager = await ensureTopology(connection, {
    replicas: 1,
    retentionMs: DEFAULT_RETENTION_MS,
    maxBytes: -1,
    agentTtlMs: AGENT_TTL_MS,
  });
  const lanesOptions = { leaseMs: DEFAULT_LEASE_MS, depthLimit: Number.MAX_SAFE_INTEGER, maxQueues: 10 };
  const lanes = new Lanes({ connection, manager }, lanesOptions, () => performance.now());
  for (const queue of Object.values(QUEUES)) await lanes.lanesOf(TENANT, queue);
  const reporterArgs = [nats.url, String(sizes.event), String(sizes.answer)];
  const reporter = stack.use(
    await startProcess({ entry: "bench/contenders/floor/reporter.ts", args: reporterArgs, env: environment }),
  );
  const worker = stack.use(
    await startProcess({
      entry: "bench/contenders/floor/worker.ts",
      args: [nats.url, String(sizes.report)],
      env: environment,
    }),
  );
  const floor = new FloorContender(connection, sizes);
  const failed = Promise.race([reporter.failed, worker.failed]);
  failed.catch(() => undefined);
  const started = stack.move();
  return Object.assign(floor, {
    title: `raw JetStream on nats-server ${connection.info?.version ?? "unknown"}, ${nats.setting}`,
    pids: { client: process.pid, server: reporter.pid, worker: worker.pid, store: nats.pid },
    failed,
    [Symbol.asyncDispose]: () => started.disposeAsync(),
  });
}

class FloorContender {
  readonly id = "floor";
  readonly #connection: NatsConnection;
  readonly #publisher: StreamPublisher;
  readonly #sizes: MessageSizes;
  readonly #bodies = new Map<number, Uint8Array>();
  readonly #tracker = new TaskTracker();

  constructor(connection: NatsConnection, sizes: MessageSizes) {
    this.#connection = connection;
    this.#publisher = new StreamPublisher(connection);
    this.#sizes = sizes;
    watchTaskEnds(connection, this.#tracker);
  }

  track(prefix: string): TrackedTasks {
    return this.#tracker.track(prefix);
  }

  async submitBulk(ids: readonly string[], inputBytes: number): Promise<void> {
    stored(await this.#publisher.publishBatch(ids.map((id) => this.#dispatch(id, "served", inputBytes))));
  }

  async submitStream(ids: AsyncIterable<string>, inputBytes: number): Promise<void> {
    const window = new Window(STREAM_WINDOW);
    for await (const id of ids) await window.add(this.submitOne(id, "served", inputBytes));
    await window.drain();
  }

  async submitOne(id: string, queue: QueueName, inputBytes: number): Promise<void> {
    stored(await this.#publisher.publish(this.#dispatch(id, queue, inputBytes)));
  }

  async runOne(id: string, inputBytes: number): Promise<number> {
    const ended = this.track(id.slice(0, id.lastIndexOf("-"))).reach(1);
    const startMs = performance.now();
    const [endMs] = await Promise.all([ended, this.submitOne(id, "served", inputBytes)]);
    return endMs - startMs;
  }

  async emptyCall(): Promise<void> {
    await this.#connection.request(EMPTY_SUBJECT, undefined, { timeout: 10_000 });
  }

  async storedMessages(): Promise<number> {
    return (await (await jetstreamManager(this.#connection)).streams.info(TASKS_STREAM)).state.messages;
  }

  /** Nothing follows the log here. */
  async settle(): Promise<void> {
    await this.#connection.flush();
  }

  #dispatch(id: string, queue: QueueName, inputBytes: number): StreamMessage {
    return {
      subject: dispatchSubject(TENANT, id, QUEUES[queue], PRIORITY),
      body: this.#bodyOf(inputBytes),
      expected: 0,
      filter: dispatchFilter(TENANT, id),
    };
  }

  #bodyOf(inputBytes: number): Uint8Array {
    const known = this.#bodies.get(inputBytes);
    if (known !== undefined) return known;
    const body = new Uint8Array(this.#sizes.dispatch + Math.max(0, inputBytes - this.#sizes.input));
    this.#bodies.set(inputBytes, body);
    return body;
  }
}

function stored(outcome: PublishOutcome): void {
  if (outcome.kind !== "stored") throw new BenchError(`a publish of the floor was not stored: ${outcome.kind}`);
}
