// What the product holds of NATS, over a broker in memory: a connection, a manager of JetStream, a publisher and a reader. Each request
// travels over a wire that decides when it arrives, whether at all, and what becomes of its answer.
import {
  type ConsumerConfig,
  type ConsumerInfo,
  JetStreamApiError,
  type JetStreamManager,
  type StreamInfo,
} from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/nats-core";
import { readUnavailable } from "../../../lib/nats/broker-errors.ts";
import type { DirectQuery, DirectReader, StoredMessage } from "../../../lib/nats/direct-reader.ts";
import type { LeaderQuery } from "../../../lib/nats/stream-leader.ts";
import type { PublishOutcome, StreamMessage, StreamPublisher } from "../../../lib/nats/stream-publisher.ts";
import { EXPECTED_LAST_SUBJECT_SEQUENCE } from "../../../lib/wire/headers.ts";
import type { MemoryBroker } from "./memory-broker.ts";
import type { MemoryConsumer } from "./memory-consumer.ts";
import type { MemoryMessage } from "./memory-stream.ts";

/** Something that is asked of the broker. */
export interface BrokerCall<T> {
  /** What it is, for people. */
  readonly label: () => string;
  /** Whether it changes anything: then it may still arrive after its sender gave it up. */
  readonly writes: boolean;
  /** Does it at the broker; throws what the broker refuses it with. */
  readonly apply: () => T;
  /** What its sender makes of an answer that does not come; throws where the sender does. */
  readonly unanswered: () => T;
}

/** How a process reaches the broker. */
export interface Wire {
  /** Sends a request; resolves when its answer comes, or is given up. */
  call<T>(call: BrokerCall<T>): Promise<T>;
  /** Sends what has no answer. */
  send(subject: string, body: Uint8Array): void;
  /** Answers what an operator's tools would be asked: at once, or throws. */
  manage<T>(answer: () => T): Promise<T>;
  /** How far the replica has come that answers a read now; undefined for the newest version. */
  replicaVersion(stream: string): number | undefined;
  /** Whether the log takes nothing now. */
  isFull(subject: string): boolean;
}

/** What the product holds of NATS. */
export interface MemoryPorts {
  readonly connection: NatsConnection;
  readonly manager: JetStreamManager;
  readonly publisher: StreamPublisher;
  readonly reader: DirectReader;
}

const LEADER_READ = "$JS.API.STREAM.MSG.GET.";
const LEADER_INFO = "$JS.API.STREAM.INFO.";
const NO_MESSAGE = 10037;
const NOT_REMOVED = { code: 500, err_code: 10057, description: "stream store EOF" };

/** The connection itself never breaks here, and says nothing of its servers: what is lost by that, the wire loses. */
const NO_NEWS: AsyncIterable<never> = {
  [Symbol.asyncIterator]: () => ({ next: () => new Promise(() => undefined) }),
};

const FULL: PublishOutcome = { kind: "full" };

/** Opens the ports of one process. */
export function openMemoryPorts(broker: MemoryBroker, wire: Wire): MemoryPorts {
  return {
    connection: memoryConnection(broker, wire),
    manager: memoryManager(broker, wire),
    publisher: memoryPublisher(broker, wire),
    reader: memoryReader(broker, wire),
  };
}

function memoryPublisher(broker: MemoryBroker, wire: Wire): StreamPublisher {
  const unanswered = (): PublishOutcome => ({ kind: "unknown", cause: new Error("no answer") });
  const publisher: Pick<StreamPublisher, "publish" | "publishBatch"> = {
    publish: (message) =>
      wire.call({
        label: () => `publish ${described(message)}`,
        writes: true,
        apply: () => (wire.isFull(message.subject) ? FULL : broker.publish(message)),
        unanswered,
      }),
    publishBatch: (messages) =>
      wire.call({
        label: () => `publish a batch of ${messages.map(described).join(", ")}`,
        writes: true,
        apply: () => broker.publishBatch(messages),
        unanswered,
      }),
  };
  return publisher as StreamPublisher;
}

function described({ subject, expected }: StreamMessage): string {
  return expected === undefined ? subject : `${subject} after ${expected}`;
}

function memoryReader(broker: MemoryBroker, wire: Wire): DirectReader {
  const reader: Pick<DirectReader, "read"> = {
    read: (stream: string, query: DirectQuery): Promise<StoredMessage[]> =>
      wire.call({
        label: () => `read ${stream} ${JSON.stringify(query)}`,
        writes: false,
        apply: () => broker.read(stream, query, wire.replicaVersion(stream)),
        unanswered: () => {
          throw readUnavailable("no answer to a read");
        },
      }),
  };
  return reader as DirectReader;
}

function memoryConnection(broker: MemoryBroker, wire: Wire): NatsConnection {
  const inboxes = new Map<string, (error: Error | null, message: unknown) => void>();
  const read = (stream: string, body: string, reply: string): void => {
    const answered = wire.call({
      label: () => `ask the leader of ${stream} for ${body}`,
      writes: false,
      apply: () => leaderAnswer(broker.ask(stream, JSON.parse(body) as LeaderQuery)),
      unanswered: () => undefined,
    });
    void answered.then((answer) => {
      // What has no answer is answered at once with nothing: nobody here waits for a time to run out.
      const data = answer === undefined ? "" : JSON.stringify(answer);
      const message = { subject: reply, data: Buffer.from(data), json: () => answer };
      for (const [inbox, hear] of inboxes) if (reply.startsWith(inbox)) hear(null, message);
    });
  };
  const connection = {
    publish: (subject: string, body: Uint8Array | string, { reply = "" } = {}): void => {
      if (!subject.startsWith(LEADER_READ)) wire.send(subject, Buffer.from(body));
      else read(subject.slice(LEADER_READ.length), String(body), reply);
    },
    status: () => NO_NEWS,
    closed: () => new Promise(() => undefined),
    isClosed: () => false,
    subscribe: (subject: string, { callback }: { callback: (error: Error | null, message: unknown) => void }) => {
      inboxes.set(subject.slice(0, -1), callback);
      return { unsubscribe: () => undefined };
    },
    request: (subject: string): Promise<unknown> => {
      // It is a single server, which nobody else could lead.
      if (subject.startsWith(LEADER_INFO)) return Promise.resolve({ json: () => ({}) });
      throw new Error(`nobody answers ${subject}`);
    },
    flush: (): Promise<void> =>
      wire.call({ label: () => "flush", writes: false, apply: () => undefined, unanswered: () => undefined }),
  };
  return connection as unknown as NatsConnection;
}

/** As the server's JSON has it: the body and the headers in base64. */
function leaderAnswer(message: MemoryMessage | undefined): unknown {
  if (message === undefined) return { error: { err_code: NO_MESSAGE, description: "no message found" } };
  const { subject, sequence, body, expected, storeMs } = message;
  const headers = Object.entries(message.headers).filter(([, value]) => value !== "");
  if (expected !== undefined) headers.push([EXPECTED_LAST_SUBJECT_SEQUENCE, String(expected)]);
  const lines = ["NATS/1.0", ...headers.map(([name, value]) => `${name}: ${value}`), "", ""];
  const hdrs = Buffer.from(lines.join("\r\n")).toString("base64");
  const time = new Date(storeMs).toISOString();
  return { message: { subject, seq: sequence, data: Buffer.from(body).toString("base64"), hdrs, time } };
}

function memoryManager(broker: MemoryBroker, wire: Wire): JetStreamManager {
  const manager = {
    streams: {
      info: (name: string): Promise<Pick<StreamInfo, "state" | "config">> =>
        wire.manage(() => {
          const info = { state: { bytes: 0, messages: broker.stream(name).size }, config: { max_bytes: -1 } };
          return info as unknown as StreamInfo;
        }),
      deleteMessage: (name: string, sequence: number): Promise<boolean> =>
        wire.call({
          label: () => `delete ${sequence} of ${name}`,
          writes: true,
          apply: () => {
            if (!broker.remove(name, sequence)) throw new JetStreamApiError(NOT_REMOVED);
            return true;
          },
          unanswered: timedOut,
        }),
      purge: (name: string, { filter = ">", seq = Infinity }: { filter?: string; seq?: number }): Promise<unknown> =>
        wire.call<unknown>({
          label: () => `purge ${filter} below ${seq} of ${name}`,
          writes: true,
          apply: () => ({ purged: broker.purge(name, filter, seq) }),
          unanswered: timedOut,
        }),
    },
    consumers: {
      add: (stream: string, config: Partial<ConsumerConfig>): Promise<ConsumerInfo> =>
        wire.manage(() =>
          infoOf(
            broker.consumer(stream, {
              name: config.durable_name ?? "",
              filter: config.filter_subject ?? ">",
              ackWaitMs: (config.ack_wait ?? 0) / 1_000_000,
            }),
          ),
        ),
      info: (stream: string, name: string): Promise<ConsumerInfo> =>
        wire.manage(() => {
          const consumer = broker.consumers.get(`${stream}/${name}`);
          if (consumer === undefined) throw new Error(`there is no consumer ${name}`);
          return infoOf(consumer);
        }),
    },
  };
  return manager as unknown as JetStreamManager;
}

function timedOut(): never {
  throw new Error("timeout");
}

function infoOf(consumer: MemoryConsumer): ConsumerInfo {
  const { name, createMs } = consumer.settings;
  const { pending, unacknowledged } = consumer;
  const info = {
    name,
    created: new Date(createMs).toISOString(),
    num_pending: pending,
    num_ack_pending: unacknowledged,
  };
  return info as ConsumerInfo;
}
