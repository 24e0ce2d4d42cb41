// The log of streamed outputs: reading the outputs of one attempt, and fencing an attempt whose lease is taken away.

import type { NatsConnection } from "@nats-io/nats-core";
import { decodeOutputBatch, encodeOutputBatch } from "../wire/output-codec.ts";
import { OUTPUT_STREAM, outputSubject } from "../wire/subjects.ts";
import type { DirectReader, StoredMessage } from "./direct-reader.ts";
import { type LeaderMessage, type LeaderQuery, readFromLeader } from "./stream-leader.ts";
import type { StreamPublisher } from "./stream-publisher.ts";
import { brokerUnavailable } from "./broker-errors.ts";

/** Which task. */
export interface TaskKey {
  readonly tenant: string;
  readonly taskId: string;
}

/** The most that one read brings, in messages and in bytes: what a reader that stands still holds. */
const READ_BATCH = 32;
const READ_BYTES = 65_536;

/** How often a fence is tried by compare-and-set before it is put down wherever it falls. */
const FENCE_TRIES = 8;

/** Reads and fences outputs. Every method throws MeshError BROKER_UNAVAILABLE when the broker does not answer. */
export class OutputLog {
  readonly #connection: NatsConnection;
  readonly #publisher: StreamPublisher;
  readonly #reader: DirectReader;

  constructor(parts: {
    readonly connection: NatsConnection;
    readonly publisher: StreamPublisher;
    readonly reader: DirectReader;
  }) {
    this.#connection = parts.connection;
    this.#publisher = parts.publisher;
    this.#reader = parts.reader;
  }

  /**
   * Takes the output subject away from an attempt: returns the stream sequence of the last output before the fence, 0 if there is
   * none. What the attempt publishes from now on counts only if the event that ends it names a later output. Safe to repeat.
   */
  async fence(task: TaskKey, agentId: string, attempt: number): Promise<number> {
    const subject = outputSubject(task.tenant, task.taskId, agentId, attempt);
    const body = encodeOutputBatch({ fence: true });
    for (let tries = 0; tries < FENCE_TRIES; tries += 1) {
      const last = await this.#leader({ last_by_subj: subject });
      if (last !== undefined && decodeOutputBatch(last.body).fence) return await this.#before(subject, last);
      const outcome = await this.#publisher.publish({ subject, body, expected: last?.sequence ?? 0 });
      // A full log takes no outputs either: the last one stays the last without a fence.
      if (outcome.kind === "stored" || outcome.kind === "full") return last?.sequence ?? 0;
    }
    // The agent publishes faster than we can look: it must not escape its fence by that.
    const outcome = await this.#publisher.publish({ subject, body });
    if (outcome.kind !== "stored") throw brokerUnavailable(outcome.kind === "unknown" ? outcome.cause : outcome.kind);
    return await this.#lastBelow(subject, outcome.sequence);
  }

  /** The outputs of an attempt after a stream sequence, oldest first: as many as fit into one read, none if there are no more. */
  async read(task: TaskKey, agentId: string, attempt: number, after: number): Promise<StoredMessage[]> {
    const subject = outputSubject(task.tenant, task.taskId, agentId, attempt);
    const query = { seq: after + 1, next_by_subj: subject, batch: READ_BATCH, max_bytes: READ_BYTES };
    return await this.#reader.read(OUTPUT_STREAM, query);
  }

  /** Whether a stream sequence is an output of an attempt, by the leader's word. */
  async holds(task: TaskKey, agentId: string, attempt: number, sequence: number): Promise<boolean> {
    const message = await this.#leader({ seq: sequence });
    return message?.subject === outputSubject(task.tenant, task.taskId, agentId, attempt);
  }

  /** The message before a fence. Whoever wrote the fence by compare-and-set had to name it. */
  async #before(subject: string, fence: LeaderMessage): Promise<number> {
    return fence.expected ?? (await this.#lastBelow(subject, fence.sequence));
  }

  /** The last message of a subject below a sequence, 0 if there is none, by halving: the leader only tells what comes next. */
  async #lastBelow(subject: string, bound: number): Promise<number> {
    let found = 0;
    let end = bound;
    while (found + 1 < end) {
      const middle = Math.floor((found + 1 + end) / 2);
      const next = await this.#leader({ seq: middle, next_by_subj: subject });
      if (next !== undefined && next.sequence < bound) found = next.sequence;
      else end = middle;
    }
    return found;
  }

  async #leader(query: LeaderQuery): Promise<LeaderMessage | undefined> {
    return await readFromLeader(this.#connection, OUTPUT_STREAM, query);
  }
}
