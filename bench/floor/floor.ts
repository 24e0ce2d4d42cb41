// The floor: what the same tasks cost JetStream alone. The same streams, consumers, publishes, reports and acknowledgements, the same
// number of processes; no RPC, no validation, no state machine. This process is the submitter.

import { jetstreamManager } from "@nats-io/jetstream";
import { DEFAULT_LEASE_MS, DEFAULT_RETENTION_MS } from "../../lib/core/limits.ts";
import { type NatsConnection, openNats } from "../../lib/nats/connection.ts";
import { Lanes } from "../../lib/nats/lanes.ts";
import { type PublishOutcome, type StreamMessage, StreamPublisher } from "../../lib/nats/stream-publisher.ts";
import { ensureTopology } from "../../lib/nats/topology.ts";
import { dispatchFilter, dispatchSubject, TASKS_STREAM } from "../../lib/wire/subjects.ts";
import type { MessageSizes } from "../mesh/sizes.ts";
import { BenchError } from "../support/bench-error.ts";
import { Completions } from "../support/completions.ts";
import { openBenchNats } from "../support/nats-server.ts";
import { startProcess } from "../support/process.ts";
import { type QueueName, QUEUES, type Side, STREAM_WINDOW, TENANT } from "../support/side.ts";
import { Window } from "../support/window.ts";
import { EMPTY_SUBJECT, PRIORITY } from "./floor-subjects.ts";

/** How the floor is started. */
export interface FloorOptions {
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly sizes: MessageSizes;
}

const AGENT_TTL_MS = 30_000;

/** Starts everything. */
export async function openFloor({ environment, sizes }: FloorOptions): Promise<Side & AsyncDisposable> {
  await using stack = new AsyncDisposableStack();
  const nats = stack.use(await openBenchNats(environment));
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
    await startProcess({ entry: "bench/floor/reporter.ts", args: reporterArgs, env: environment }),
  );
  const worker = stack.use(
    await startProcess({
      entry: "bench/floor/worker.ts",
      args: [nats.url, String(sizes.report)],
      env: environment,
    }),
  );
  const pids = { client: process.pid, coordinator: reporter.pid, agent: worker.pid, "nats-server": nats.pid };
  const side = new FloorSide(connection, sizes.dispatch, pids);
  const started = stack.move();
  return Object.assign(side, { [Symbol.asyncDispose]: () => started.disposeAsync() });
}

class FloorSide implements Side {
  readonly name = "floor";
  readonly completions: Completions;
  readonly pids: Readonly<Record<string, number>>;
  readonly #connection: NatsConnection;
  readonly #publisher: StreamPublisher;
  readonly #body: Uint8Array;

  constructor(connection: NatsConnection, dispatchBytes: number, pids: Readonly<Record<string, number>>) {
    this.#connection = connection;
    this.#publisher = new StreamPublisher(connection);
    this.#body = new Uint8Array(dispatchBytes);
    this.pids = pids;
    this.completions = new Completions(connection);
  }

  async submitBulk(ids: readonly string[]): Promise<void> {
    stored(await this.#publisher.publishBatch(ids.map((id) => this.#dispatch(id, "served"))));
  }

  async submitStream(ids: AsyncIterable<string>): Promise<void> {
    const window = new Window(STREAM_WINDOW);
    for await (const id of ids) await window.add(this.submitOne(id, "served"));
    await window.drain();
  }

  async submitOne(id: string, queue: QueueName): Promise<void> {
    stored(await this.#publisher.publish(this.#dispatch(id, queue)));
  }

  async runOne(id: string): Promise<number> {
    const ended = this.completions.track(id.slice(0, id.lastIndexOf("-"))).reach(1);
    const startMs = performance.now();
    const [endMs] = await Promise.all([ended, this.submitOne(id, "served")]);
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

  #dispatch(id: string, queue: QueueName): StreamMessage {
    return {
      subject: dispatchSubject(TENANT, id, QUEUES[queue], PRIORITY),
      body: this.#body,
      expected: 0,
      filter: dispatchFilter(TENANT, id),
    };
  }
}

function stored(outcome: PublishOutcome): void {
  if (outcome.kind !== "stored") throw new BenchError(`a publish of the floor was not stored: ${outcome.kind}`);
}
