// A bucket of records of one kind, written by compare-and-set and followed by every coordinator. Knows nothing of what the records mean.

import { type DescMessage, fromBinary, type MessageShape, toBinary } from "@bufbuild/protobuf";
import { jetstream, JetStreamApiError, type JetStreamClient } from "@nats-io/jetstream";
import { headers, type NatsConnection } from "@nats-io/nats-core";
import { MeshError } from "../core/mesh-error.ts";
import { pause } from "../time/pause.ts";
import { OPERATION } from "../wire/headers.ts";
import { bucketStream, bucketSubject } from "../wire/subjects.ts";
import { brokerUnavailable } from "./broker-errors.ts";
import { type BucketChange, watchBucket } from "./bucket-watch.ts";
import { askThrough } from "./interruptions.ts";
import { readFromLeader } from "./stream-leader.ts";

/** What a bucket of records needs. */
export interface RecordBucketOptions<Desc extends DescMessage> {
  readonly connection: NatsConnection;
  readonly bucket: string;
  /** What stands under each key. */
  readonly schema: Desc;
  /** The watch broke; it is opened again. */
  readonly onError: (error: unknown) => void;
  /** What stands under a key can't be read; it is left out. */
  readonly onGarbage: (key: string) => void;
  /** Hears of every change, by whomever, with what stood there before; undefined for what is not there. Must not throw. */
  readonly onChange?: (
    key: string,
    record: MessageShape<Desc> | undefined,
    before: MessageShape<Desc> | undefined,
  ) => void;
}

/** How long to wait before a watch that broke is opened again, in milliseconds. */
const RETRY_MS = 500;

/** How often the first watch is tried: while a cluster elects its leaders it may break before it has told anything. */
const MAX_OPENINGS = 10;

/** How often a change is decided anew because somebody else made one in between. */
const MAX_CONFLICTS = 10;

/** JetStream's codes for a message that does not follow the one it was to follow. */
const WRONG_LAST_SEQUENCE: ReadonlySet<number> = new Set([10071, 10164]);

const NOTHING = new Uint8Array();

/** The records of a bucket; kept up to date by a watch. */
export class RecordBucket<Desc extends DescMessage> implements AsyncDisposable {
  readonly #options: RecordBucketOptions<Desc>;
  readonly #client: JetStreamClient;
  readonly #records = new Map<string, MessageShape<Desc>>();
  /** The latest revision known of each key, gone or not. */
  readonly #revisions = new Map<string, number>();
  readonly #stopping = new AbortController();
  #loop: Promise<void> = Promise.resolve();

  private constructor(options: RecordBucketOptions<Desc>) {
    this.#options = options;
    this.#client = jetstream(options.connection);
  }

  /** Opens the bucket; resolves when everything that stands in it is known. */
  static async open<Desc extends DescMessage>(options: RecordBucketOptions<Desc>): Promise<RecordBucket<Desc>> {
    const bucket = new RecordBucket(options);
    const { promise: synced, resolve, reject } = Promise.withResolvers<void>();
    bucket.#loop = bucket.#watch(resolve, reject);
    await synced;
    return bucket;
  }

  /** What stands under a key as this process knows it: what others write it hears a little later. */
  get(key: string): MessageShape<Desc> | undefined {
    return this.#records.get(key);
  }

  /** Everything, as this process knows it. */
  entries(): IterableIterator<[key: string, record: MessageShape<Desc>]> {
    return this.#records.entries();
  }

  /** What stands under a key, by the word of the leader. Throws BROKER_UNAVAILABLE. */
  async read(key: string): Promise<MessageShape<Desc> | undefined> {
    return (await this.#read(key)).record;
  }

  /**
   * Decides what stands under a key from what stood there, and keeps it; undefined removes it. The same object, or undefined for
   * undefined, changes nothing. Throws BROKER_UNAVAILABLE and CONFLICT, and what `decide` throws.
   */
  async change(
    key: string,
    decide: (standing: MessageShape<Desc> | undefined) => MessageShape<Desc> | undefined,
  ): Promise<void> {
    for (let tries = 0; tries < MAX_CONFLICTS; tries += 1) {
      const { record: standing, revision: upon } = await this.#read(key);
      const wanted = decide(standing);
      if (wanted === standing) return;
      const revision = await this.#write(key, wanted, upon);
      if (revision === undefined) continue;
      this.#apply(key, revision, wanted);
      return;
    }
    throw new MeshError("CONFLICT", `${key} changes too fast to be written now`, { retryDelayMs: 100 });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping.abort();
    await this.#loop;
  }

  async #watch(onOpen: () => void, onFailed: (error: unknown) => void): Promise<void> {
    const { signal } = this.#stopping;
    const { connection, bucket, onError } = this.#options;
    let open = false;
    for (let openings = 1; !signal.aborted; openings += 1) {
      // The stream may be another one: its revisions begin anew. What it does not tell of may be gone, and is read when it matters.
      this.#revisions.clear();
      const before = new Set(this.#records.keys());
      try {
        await watchBucket({
          connection,
          bucket,
          signal,
          onChange: (change) => {
            before.delete(change.key);
            this.#take(change);
          },
          onSynced: () => {
            open = true;
            for (const key of before) if (!this.#revisions.has(key)) this.#set(key, undefined);
            onOpen();
          },
        });
      } catch (error) {
        if (!open && openings >= MAX_OPENINGS) return onFailed(error);
        onError(error);
        await pause(RETRY_MS, signal);
      }
    }
  }

  #take({ key, revision, kind, value }: BucketChange): void {
    const record = kind === "put" ? this.#decode(value) : undefined;
    if (kind === "put" && record === undefined) this.#options.onGarbage(key);
    else this.#apply(key, revision, record);
    // Nothing that is older can come any more.
    if (kind === "expired" && !this.#records.has(key)) this.#revisions.delete(key);
  }

  #apply(key: string, revision: number, record: MessageShape<Desc> | undefined): void {
    if (revision <= (this.#revisions.get(key) ?? 0)) return;
    this.#revisions.set(key, revision);
    this.#set(key, record);
  }

  #set(key: string, record: MessageShape<Desc> | undefined): void {
    const before = this.#records.get(key);
    if (record === undefined) this.#records.delete(key);
    else this.#records.set(key, record);
    if (record !== undefined || before !== undefined) this.#options.onChange?.(key, record, before);
  }

  /** What the leader says of a key; revision 0 if nothing was ever written. It is known from then on: the watch may be behind. */
  async #read(key: string): Promise<{ readonly record: MessageShape<Desc> | undefined; readonly revision: number }> {
    const { connection, bucket } = this.#options;
    const message = await readFromLeader(connection, bucketStream(bucket), {
      last_by_subj: bucketSubject(bucket, key),
    });
    if (message === undefined) return { record: undefined, revision: 0 };
    // A marker has no body, and a record that says nothing is none.
    const record = message.body.length === 0 ? undefined : this.#decode(message.body);
    this.#apply(key, message.sequence, record);
    return { record, revision: message.sequence };
  }

  /** Writes upon what stands; undefined if somebody else was faster. */
  async #write(key: string, wanted: MessageShape<Desc> | undefined, upon: number): Promise<number | undefined> {
    const { connection, bucket, schema } = this.#options;
    const body = wanted === undefined ? NOTHING : toBinary(schema, wanted);
    const header = headers();
    if (wanted === undefined) header.set(OPERATION, "DEL");
    try {
      const { seq } = await askThrough(connection, () =>
        this.#client.publish(bucketSubject(bucket, key), body, {
          headers: header,
          expect: { lastSubjectSequence: upon },
        }),
      );
      return seq;
    } catch (error) {
      // Asked twice, it may have been its own first try that was faster: it reads then what it wrote.
      if (error instanceof JetStreamApiError && WRONG_LAST_SEQUENCE.has(error.code)) return undefined;
      throw brokerUnavailable(error);
    }
  }

  #decode(body: Uint8Array): MessageShape<Desc> | undefined {
    try {
      return fromBinary(this.#options.schema, body);
    } catch {
      return undefined;
    }
  }
}
