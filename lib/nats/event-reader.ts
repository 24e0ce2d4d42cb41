// Reading the state chain of a task as a sequence, without a consumer.

import type { NatsConnection } from "@nats-io/nats-core";
import { eventSubject, TASKS_STREAM } from "../wire/subjects.ts";
import type { DirectReader, StoredMessage } from "./direct-reader.ts";
import { readFromLeader } from "./stream-leader.ts";

/** The most that one read brings, in messages and in bytes. */
const READ_BATCH = 16;
const READ_BYTES = 65_536;

/** Reads state chains. Every method throws MeshError BROKER_UNAVAILABLE when the broker does not answer. */
export class EventReader {
  readonly #connection: NatsConnection;
  readonly #reader: DirectReader;

  constructor(parts: { readonly connection: NatsConnection; readonly reader: DirectReader }) {
    this.#connection = parts.connection;
    this.#reader = parts.reader;
  }

  /** The events of a task from a stream sequence on, oldest first: as many as fit into one read, none if there are no more. */
  async read(tenant: string, taskId: string, from: number): Promise<StoredMessage[]> {
    const subject = eventSubject(tenant, taskId);
    const query = { seq: Math.max(from, 1), next_by_subj: subject, batch: READ_BATCH, max_bytes: READ_BYTES };
    return await this.#reader.read(TASKS_STREAM, query);
  }

  /** The sequence of the task's last event by the leader's word; 0 if there is none. */
  async last(tenant: string, taskId: string): Promise<number> {
    const query = { last_by_subj: eventSubject(tenant, taskId) };
    const message = await readFromLeader(this.#connection, TASKS_STREAM, query);
    return message?.sequence ?? 0;
  }
}
