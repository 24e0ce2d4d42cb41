// The stream of the audit log: appends to a chain, by compare-and-set behind what its writer knows, and reads what is stored. Neither makes
// entries nor judges them.

import type { JetStreamManager } from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/nats-core";
import type { AuditEntry as AuditEntryMessage } from "../../gen/mycel/v1/audit_pb.ts";
import { type AuditEntry, type AuditLink, type ChainName, linkTo } from "../wire/audit-chain.ts";
import { auditEntryIn, decodeAuditEntries, encodeAuditEntries } from "../wire/audit-codec.ts";
import { AUDIT_STREAM, auditedFilter, auditFilter, auditSubject } from "../wire/subjects.ts";
import { brokerUnavailable } from "./broker-errors.ts";
import type { DirectQuery, DirectReader } from "./direct-reader.ts";
import { askThrough } from "./interruptions.ts";
import { readFromLeader } from "./stream-leader.ts";
import type { PublishOutcome, StreamPublisher } from "./stream-publisher.ts";

/** The last entry of a message, and the message's sequence. */
export interface StoredLink {
  /** Undefined if the message holds no entry: then it is none of the log's own, which whoever checks the log will see. */
  readonly link: AuditLink | undefined;
  readonly sequence: number;
}

/** A message of the stream. */
export interface StoredAuditEntries {
  readonly sequence: number;
  /** When it was stored, in milliseconds since 1970. */
  readonly storeMs: number;
  readonly entries: readonly AuditEntryMessage[];
}

/** How full the stream is, and how far it reaches. */
export interface AuditStreamState {
  readonly firstSequence: number;
  readonly lastSequence: number;
  readonly bytes: number;
  /** -1 for no limit. */
  readonly maxBytes: number;
  /** How long entries are kept, in milliseconds; 0 for ever. */
  readonly maxAgeMs: number;
}

/** What reading and writing the log needs. */
export interface AuditStreamParts {
  readonly connection: NatsConnection;
  readonly manager: JetStreamManager;
  readonly publisher: Pick<StreamPublisher, "publish">;
  readonly reader: Pick<DirectReader, "read">;
}

/** The most that one read brings, in messages and in bytes. */
const BATCH = 500;
const MAX_BATCH_BYTES = 4 * 1024 * 1024;

const NANOS_PER_MS = 1_000_000;

/** Appends to the log and reads it. Every method but `append` throws MeshError BROKER_UNAVAILABLE when the broker does not answer. */
export class AuditStream {
  readonly #parts: AuditStreamParts;

  constructor(parts: AuditStreamParts) {
    this.#parts = parts;
  }

  /** The last entry of a tenant's log, by the leader's word; undefined for a log without any. */
  async lastOfTenant(tenant: string): Promise<StoredLink | undefined> {
    return await this.#last(auditFilter(tenant));
  }

  /** The last entry of a chain, by the leader's word; undefined for one that has not begun. */
  async lastOfChain({ tenant, writer }: ChainName): Promise<StoredLink | undefined> {
    return await this.#last(auditSubject(tenant, writer));
  }

  /**
   * Appends entries that follow one another to their chain, in one message, if its last one has the sequence `expected`. To begin a chain,
   * `expected` is the sequence of the last one in the tenant's whole log.
   */
  async append(entries: readonly AuditEntry[], expected: number): Promise<PublishOutcome> {
    const [first] = entries;
    if (first === undefined) throw new RangeError("there is nothing to append");
    const message = { subject: auditSubject(first.tenant, first.writer), body: encodeAuditEntries(entries), expected };
    const begins = first.number === 1;
    return await this.#parts.publisher.publish(begins ? { ...message, filter: auditFilter(first.tenant) } : message);
  }

  /** Reads a tenant's messages from a sequence on, the oldest first; none if there are none yet. What can't be read is left out. */
  async read(tenant: string, sequence: number, batch: number = BATCH): Promise<readonly StoredAuditEntries[]> {
    const query = { seq: sequence, next_by_subj: auditFilter(tenant), batch, max_bytes: MAX_BATCH_BYTES };
    return await this.#read(query);
  }

  /** Where a tenant's messages begin that were stored at a time or later; undefined if there are none. */
  async sequenceAt(tenant: string, timeMs: number): Promise<number | undefined> {
    const query = { start_time: new Date(timeMs).toISOString(), next_by_subj: auditFilter(tenant), batch: 1 };
    return (await this.#read(query))[0]?.sequence;
  }

  async #read(query: DirectQuery): Promise<readonly StoredAuditEntries[]> {
    const messages = await this.#parts.reader.read(AUDIT_STREAM, query);
    return messages.map(({ sequence, storeMs, body }) => ({
      sequence,
      storeMs,
      entries: decodeAuditEntries(body) ?? [],
    }));
  }

  /** How full it is, and how far it reaches. */
  async state(): Promise<AuditStreamState> {
    const { connection, manager } = this.#parts;
    try {
      const { state, config } = await askThrough(connection, () => manager.streams.info(AUDIT_STREAM));
      return {
        firstSequence: state.first_seq,
        lastSequence: state.last_seq,
        bytes: state.bytes,
        maxBytes: config.max_bytes,
        maxAgeMs: config.max_age / NANOS_PER_MS,
      };
    } catch (cause) {
      throw brokerUnavailable(cause);
    }
  }

  /** Has a function called whenever something of a tenant may have been stored. Some calls may get lost with a connection. */
  listen(tenant: string, onStored: () => void): Disposable {
    const subscription = this.#parts.connection.subscribe(auditedFilter(tenant), { callback: onStored });
    return { [Symbol.dispose]: () => subscription.unsubscribe() };
  }

  async #last(filter: string): Promise<StoredLink | undefined> {
    const message = await readFromLeader(this.#parts.connection, AUDIT_STREAM, { last_by_subj: filter });
    if (message === undefined) return undefined;
    const last = decodeAuditEntries(message.body)?.at(-1);
    return { link: last === undefined ? undefined : linkTo(auditEntryIn(last)), sequence: message.sequence };
  }
}
