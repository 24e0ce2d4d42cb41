// One face of two meshes: the product's log, lanes and timers on a real nats-server, and the same over the simulation's broker in memory.
// What the contract's tests say of one, they say of both.
import { create } from "@bufbuild/protobuf";
import type { NatsConnection } from "@nats-io/nats-core";
import type { JetStreamManager } from "@nats-io/jetstream";
import { TaskSchema } from "../../../gen/mycel/v1/task_pb.ts";
import { DEFAULT_TENANT } from "../../../lib/core/names.ts";
import type { EventDraft } from "../../../lib/core/event.ts";
import { Lanes } from "../../../lib/nats/lanes.ts";
import { OutputLog } from "../../../lib/nats/output-log.ts";
import type { StreamPublisher } from "../../../lib/nats/stream-publisher.ts";
import { type DispatchDraft, TaskLog } from "../../../lib/nats/task-log.ts";
import { type DueTimer, dueTimer, Timers } from "../../../lib/nats/timers.ts";
import { pause } from "../../../lib/time/pause.ts";
import {
  laneConsumer,
  parseDeliverySubject,
  TASKS_STREAM,
  TIMERS_CONSUMER,
  TIMERS_FIRED,
  TIMERS_STREAM,
} from "../../../lib/wire/subjects.ts";
import { encodeDispatch, type EventContext } from "../../../lib/wire/task-codec.ts";
import { openMeshLog } from "../../support/mesh-log.ts";
import { MemoryBroker } from "../broker/memory-broker.ts";
import { type MemoryPorts, openMemoryPorts } from "../broker/memory-ports.ts";
import { quickWire } from "../broker/quick-wire.ts";

/** How long a delivery is its agent's, here, in milliseconds. */
export const LEASE_MS = 1_500;

/** What an agent or a coordinator gets. */
export interface Delivered {
  readonly subject: string;
  readonly data: Uint8Array;
  readonly reply: string;
  readonly sequence: number;
  readonly deliveries: number;
}

/** A mesh to which the contract applies. */
export interface ContractMesh extends AsyncDisposable {
  readonly taskLog: TaskLog;
  readonly outputLog: OutputLog;
  readonly timers: Timers;
  readonly lanes: Lanes;
  readonly manager: JetStreamManager;
  readonly publisher: StreamPublisher;
  /** The next publish is carried out or not, and gets no answer. */
  loseNextAnswer(carriedOut: boolean): void;
  /** Something happens before the leader answers the next question about a subject. */
  interruptNextRead(subject: string, work: () => Promise<unknown>): void;
  /** Waits for the next delivery of a queue at normal priority; undefined if none comes within so many milliseconds. */
  pull(queue: string, withinMs: number): Promise<Delivered | undefined>;
  /** The same for timers that are due. */
  pullTimer(withinMs: number): Promise<(Delivered & { readonly timer: DueTimer }) | undefined>;
  /** Answers a delivery; resolves once the broker has it. */
  answer(delivered: Delivered, body: "+ACK" | "-NAK" | "+WPI"): Promise<void>;
  /** Waits until the broker's clock shows another time. */
  letTimePass(): Promise<void>;
  /** The broker's clock, in milliseconds since 1970. */
  nowMs(): number;
}

/** Opens the mesh on a real nats-server. */
export async function openJetStreamMesh(): Promise<ContractMesh> {
  const log = await openMeshLog();
  const { connection, manager } = log;
  const deaf = new DeafPublisher(log.publisher);
  const publisher = deaf as unknown as StreamPublisher;
  const slow = interruptible(connection);
  const pull = async (stream: string, consumer: string, withinMs: number): Promise<Delivered | undefined> => {
    const subject = `$JS.API.CONSUMER.MSG.NEXT.${stream}.${consumer}`;
    const request = JSON.stringify({ batch: 1, expires: withinMs * 1_000_000 });
    const message = await connection.request(subject, request, { timeout: withinMs + 5_000, noMux: true });
    return message.headers === undefined || message.headers.code === 0
      ? delivered(message.subject, message.data, message.reply ?? "")
      : undefined;
  };
  return {
    ...partsOf({ connection: slow.connection, manager, publisher, reader: log.reader }, () => performance.now()),
    interruptNextRead: slow.interruptNextRead,
    loseNextAnswer: (carriedOut) => deaf.loseNext(carriedOut),
    pull: (queue, withinMs) => pull(TASKS_STREAM, laneConsumer(DEFAULT_TENANT, queue, 5), withinMs),
    pullTimer: async (withinMs) => withTimer(await pull(TIMERS_STREAM, TIMERS_CONSUMER, withinMs)),
    answer: async ({ reply }, body) => {
      await connection.request(reply, body, { timeout: 5_000 });
    },
    letTimePass: async () => void (await pause(2)),
    nowMs: () => Date.now(),
    [Symbol.asyncDispose]: () => log[Symbol.asyncDispose](),
  };
}

/** Opens the mesh in memory, where time passes only while somebody waits. */
export async function openMemoryMesh(): Promise<ContractMesh> {
  let nowMs = Date.UTC(2026, 0, 1);
  const broker = new MemoryBroker({ nowMs: () => nowMs });
  broker.consumer(TIMERS_STREAM, { name: TIMERS_CONSUMER, filter: TIMERS_FIRED, ackWaitMs: LEASE_MS });
  const ports = openMemoryPorts(broker, quickWire(broker));
  const deaf = new DeafPublisher(ports.publisher);
  const publisher = deaf as unknown as StreamPublisher;
  const slow = interruptible(ports.connection);
  const passUntil = (untilMs: number): void => {
    for (const schedule of broker.schedules.values()) if (schedule.atMs <= untilMs) broker.fire(schedule);
    for (const consumer of broker.consumers.values()) consumer.expireUntil(untilMs);
    nowMs = Math.max(nowMs, untilMs);
  };
  const pull = async (stream: string, name: string, withinMs: number): Promise<Delivered | undefined> => {
    const consumer = broker.consumers.get(`${stream}/${name}`);
    for (const untilMs = nowMs + withinMs; ;) {
      passUntil(nowMs);
      const item = consumer?.available(nowMs)[0];
      if (item !== undefined) {
        const { subject, data, reply } = consumer!.deliver(item, nowMs);
        return delivered(subject, data, reply);
      }
      const next = [...broker.schedules.values()].map(({ atMs }) => atMs);
      for (const { leasedUntilMs } of consumer?.items.values() ?? []) next.push(leasedUntilMs);
      const nextMs = Math.min(...next, Infinity);
      if (nextMs > untilMs) {
        passUntil(untilMs);
        return undefined;
      }
      passUntil(nextMs);
    }
  };
  return {
    ...partsOf({ ...ports, connection: slow.connection, publisher }, () => nowMs),
    interruptNextRead: slow.interruptNextRead,
    loseNextAnswer: (carriedOut) => deaf.loseNext(carriedOut),
    pull: (queue, withinMs) => pull(TASKS_STREAM, laneConsumer(DEFAULT_TENANT, queue, 5), withinMs),
    pullTimer: async (withinMs) => withTimer(await pull(TIMERS_STREAM, TIMERS_CONSUMER, withinMs)),
    answer: async ({ reply }, body) => broker.answer(reply, body),
    letTimePass: async () => void (nowMs += 1),
    nowMs: () => nowMs,
    [Symbol.asyncDispose]: async () => undefined,
  };
}

type Parts = Pick<ContractMesh, "taskLog" | "outputLog" | "timers" | "lanes" | "manager" | "publisher">;

function partsOf({ connection, manager, publisher, reader }: MemoryPorts, monotonicMs: () => number): Parts {
  const options = { leaseMs: LEASE_MS, depthLimit: 1_000, maxQueues: 10 };
  return {
    taskLog: new TaskLog({ connection, manager, publisher, reader }),
    outputLog: new OutputLog({ connection, publisher, reader }),
    timers: new Timers(publisher),
    lanes: new Lanes({ connection, manager }, options, monotonicMs),
    manager,
    publisher,
  };
}

function delivered(subject: string, data: Uint8Array, reply: string): Delivered {
  const facts = parseDeliverySubject(reply);
  if (facts === undefined) throw new Error(`${reply} does not name a delivery`);
  return { subject, data, reply, sequence: facts.sequence, deliveries: facts.deliveries };
}

function withTimer(found: Delivered | undefined): (Delivered & { readonly timer: DueTimer }) | undefined {
  if (found === undefined) return undefined;
  const timer = dueTimer(found.subject, found.data);
  if (timer === undefined) throw new Error(`${found.subject} is not a timer`);
  return { ...found, timer };
}

/** A connection over which something can happen before a question is asked. */
function interruptible(
  connection: NatsConnection,
): Pick<ContractMesh, "interruptNextRead"> & { readonly connection: NatsConnection } {
  let next: { readonly subject: string; readonly work: () => Promise<unknown> } | undefined;
  const publish: NatsConnection["publish"] = (subject, payload, options) => {
    const due = next !== undefined && String(payload).includes(`"${next.subject}"`) ? next : undefined;
    const send = (): void => connection.publish(subject, payload, options);
    if (due === undefined) return send();
    next = undefined;
    void due.work().then(send);
  };
  const proxy = new Proxy(connection, {
    get: (of, key) => {
      if (key === "publish") return publish;
      const value: unknown = Reflect.get(of, key, of);
      return typeof value === "function" ? value.bind(of) : value;
    },
  });
  return { connection: proxy, interruptNextRead: (subject, work) => void (next = { subject, work }) };
}

/** A publisher that does not hear the answer to one publish. */
class DeafPublisher {
  readonly #publisher: StreamPublisher;
  #lost: { readonly carriedOut: boolean } | undefined;

  constructor(publisher: StreamPublisher) {
    this.#publisher = publisher;
  }

  loseNext(carriedOut: boolean): void {
    this.#lost = { carriedOut };
  }

  publish: StreamPublisher["publish"] = (message) => this.#unheard(() => this.#publisher.publish(message));

  publishBatch: StreamPublisher["publishBatch"] = (messages) =>
    this.#unheard(() => this.#publisher.publishBatch(messages));

  async #unheard(publish: () => ReturnType<StreamPublisher["publish"]>): ReturnType<StreamPublisher["publish"]> {
    const lost = this.#lost;
    this.#lost = undefined;
    if (lost?.carriedOut !== false) {
      const outcome = await publish();
      if (lost === undefined) return outcome;
    }
    return { kind: "unknown", cause: new Error("the answer is lost") };
  }
}

/** A task as the contract's tests dispatch it. */
export function aDispatch(
  taskId: string,
  change: Partial<DispatchDraft> = {},
  digest = "1",
  body: { readonly attempt?: number; readonly fence?: bigint; readonly beginRequired?: boolean } = {},
): DispatchDraft {
  return {
    tenant: DEFAULT_TENANT,
    taskId,
    queue: "work",
    priority: 5,
    body: encodeDispatch({
      task: create(TaskSchema, { taskId, type: "work" }),
      attempt: 1,
      fence: 0n,
      requestDigest: new TextEncoder().encode(digest),
      ...body,
    }),
    trace: { traceparent: "", tracestate: "" },
    ...change,
  };
}

/** An event as the contract's tests write it. */
export function anEvent(change: Partial<EventDraft> = {}): EventDraft {
  return {
    state: "working",
    attempt: 1,
    nextAttempt: 2,
    agentId: "agent",
    attemptStartMs: undefined,
    nextAttemptMs: undefined,
    failure: undefined,
    cancelReason: "",
    ended: undefined,
    dispatchSequence: 0,
    deliveries: 1,
    ...change,
  };
}

/** Who writes an event. */
export function by(operationId: string): EventContext {
  return { eventMs: 1_000, operationId, outputSequence: 0, result: undefined };
}
