// What operators have set of queues: a bucket that only coordinators write, by compare-and-set, and that each of them follows. An entry
// that is removed leaves its marker, so whoever begins to follow hears of what ended, too. Does not touch the queues themselves.

import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { jetstream, JetStreamApiError, type JetStreamClient } from "@nats-io/jetstream";
import { headers, type NatsConnection } from "@nats-io/nats-core";
import { type QueueSettings as StoredSettings, QueueSettingsSchema } from "../../gen/mycel/v1/queue_settings_pb.ts";
import { MeshError } from "../core/mesh-error.ts";
import { isName } from "../core/names.ts";
import type { QueuePause } from "../core/queue-pause.ts";
import { pause } from "../time/pause.ts";
import { OPERATION } from "../wire/headers.ts";
import { pauseFromWire, pauseToWire } from "../wire/queue-codec.ts";
import { bucketStream, bucketSubject, QUEUES_BUCKET } from "../wire/subjects.ts";
import { brokerUnavailable } from "./broker-errors.ts";
import { type BucketChange, watchBucket } from "./bucket-watch.ts";
import { askThrough } from "./interruptions.ts";
import { readFromLeader } from "./stream-leader.ts";

/** Who is told of what went wrong. */
export interface QueueSettingsObserver {
  /** The watch broke; it is opened again. */
  readonly onError: (error: unknown) => void;
  /** What stands under a key can't be read; it is left out. */
  readonly onGarbage: (key: string) => void;
}

/** Hears that a queue's pause may be another one. Must not throw. */
export type QueueSettingsListener = (tenant: string, queue: string) => void;

/** How long to wait before a watch that broke is opened again, in milliseconds. */
const RETRY_MS = 500;

/** How often the first watch is tried: while a cluster elects its leaders it may break before it has told anything. */
const MAX_OPENINGS = 10;

/** How often a change is decided anew because somebody else made one in between. */
const MAX_CONFLICTS = 10;

/** JetStream's codes for a message that does not follow the one it was to follow. */
const WRONG_LAST_SEQUENCE: ReadonlySet<number> = new Set([10071, 10164]);

const NOTHING = new Uint8Array();

/** The settings of queues, as the bucket has them; kept up to date by a watch. */
export class QueueSettings implements AsyncDisposable {
  readonly #connection: NatsConnection;
  readonly #client: JetStreamClient;
  readonly #observer: QueueSettingsObserver;
  readonly #pauses = new Map<string, QueuePause>();
  readonly #revisions = new Map<string, number>();
  readonly #listeners = new Set<QueueSettingsListener>();
  readonly #stopping = new AbortController();
  #loop: Promise<void> = Promise.resolve();

  private constructor(connection: NatsConnection, observer: QueueSettingsObserver) {
    this.#connection = connection;
    this.#client = jetstream(connection);
    this.#observer = observer;
  }

  /** Opens the settings; resolves when they show everything that is set. */
  static async open(connection: NatsConnection, observer: QueueSettingsObserver): Promise<QueueSettings> {
    const settings = new QueueSettings(connection, observer);
    const { promise: synced, resolve, reject } = Promise.withResolvers<void>();
    settings.#loop = settings.#watch(resolve, reject);
    await synced;
    return settings;
  }

  /** The pause that is kept of a queue, if any. It may be over by now. */
  pauseOf(tenant: string, queue: string): QueuePause | undefined {
    return this.#pauses.get(keyOf(tenant, queue));
  }

  /** Every queue of which something was ever set, whether or not it still is. */
  get known(): readonly { readonly tenant: string; readonly queue: string }[] {
    return [...this.#revisions.keys()].map(partsOf);
  }

  /**
   * Decides the pause of a queue from the one that stands, and keeps it. Returns what stands then. The same object, or undefined for
   * undefined, changes nothing. Throws BROKER_UNAVAILABLE and CONFLICT.
   */
  async change(
    tenant: string,
    queue: string,
    decide: (standing: QueuePause | undefined) => QueuePause | undefined,
  ): Promise<QueuePause | undefined> {
    const key = keyOf(tenant, queue);
    for (let tries = 0; tries < MAX_CONFLICTS; tries += 1) {
      const standing = await this.#read(key);
      const wanted = decide(standing.pause);
      if (wanted === standing.pause) return wanted;
      const revision = await this.#write(key, wanted, standing.revision);
      if (revision === undefined) continue;
      this.#apply(key, revision, wanted);
      return wanted;
    }
    throw new MeshError("CONFLICT", `queue ${queue} changes too fast to be set now`, { retryDelayMs: 100 });
  }

  /** Makes sure that what is known of a queue is no older than this call, whatever the watch has told. Throws BROKER_UNAVAILABLE. */
  async refresh(tenant: string, queue: string): Promise<void> {
    await this.#read(keyOf(tenant, queue));
  }

  /** Hears of every change from now on; returns how to stop. */
  listen(listener: QueueSettingsListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping.abort();
    await this.#loop;
  }

  async #watch(onOpen: () => void, onFailed: (error: unknown) => void): Promise<void> {
    const { signal } = this.#stopping;
    let open = false;
    for (let openings = 1; !signal.aborted; openings += 1) {
      // The stream may be another one: its revisions begin anew.
      this.#revisions.clear();
      try {
        await watchBucket({
          connection: this.#connection,
          bucket: QUEUES_BUCKET,
          signal,
          onChange: (change) => this.#take(change),
          onSynced: () => {
            open = true;
            onOpen();
          },
        });
      } catch (error) {
        if (!open && openings >= MAX_OPENINGS) return onFailed(error);
        this.#observer.onError(error);
        await pause(RETRY_MS, signal);
      }
    }
  }

  #take({ key, revision, kind, value }: BucketChange): void {
    const stored = kind === "put" ? settingsIn(value) : create(QueueSettingsSchema);
    const { tenant, queue } = partsOf(key);
    const named = isName(tenant) && isName(queue) && key === keyOf(tenant, queue);
    // What can't be read is no reason to let go of what was paused, nor to pause anything.
    if (stored === undefined || !named) this.#observer.onGarbage(key);
    else this.#apply(key, revision, pauseFromWire(stored.pause));
  }

  #apply(key: string, revision: number, wanted: QueuePause | undefined): void {
    if (revision <= (this.#revisions.get(key) ?? 0)) return;
    this.#revisions.set(key, revision);
    if (wanted === undefined) this.#pauses.delete(key);
    else this.#pauses.set(key, wanted);
    const { tenant, queue } = partsOf(key);
    for (const listener of this.#listeners) listener(tenant, queue);
  }

  /** What the leader says of a key; revision 0 if nothing was ever written. It is known from then on: the watch may be behind. */
  async #read(key: string): Promise<{ readonly pause: QueuePause | undefined; readonly revision: number }> {
    const query = { last_by_subj: bucketSubject(QUEUES_BUCKET, key) };
    const message = await readFromLeader(this.#connection, bucketStream(QUEUES_BUCKET), query);
    if (message === undefined) return { pause: undefined, revision: 0 };
    // A marker has no body, which reads as nothing set.
    const stored = settingsIn(message.body);
    // What can't be read is written over.
    if (stored === undefined) return { pause: undefined, revision: message.sequence };
    const standing = pauseFromWire(stored.pause);
    this.#apply(key, message.sequence, standing);
    return { pause: standing, revision: message.sequence };
  }

  /** Writes upon what stands; undefined if somebody else was faster. */
  async #write(key: string, wanted: QueuePause | undefined, upon: number): Promise<number | undefined> {
    const subject = bucketSubject(QUEUES_BUCKET, key);
    const body = wanted === undefined ? NOTHING : toBinary(QueueSettingsSchema, settingsWith(wanted));
    const header = headers();
    if (wanted === undefined) header.set(OPERATION, "DEL");
    try {
      const { seq } = await askThrough(this.#connection, () =>
        this.#client.publish(subject, body, { headers: header, expect: { lastSubjectSequence: upon } }),
      );
      return seq;
    } catch (error) {
      // Asked twice, it may have been its own first try that was faster: it reads then what it wrote.
      if (error instanceof JetStreamApiError && WRONG_LAST_SEQUENCE.has(error.code)) return undefined;
      throw brokerUnavailable(error);
    }
  }
}

function settingsIn(body: Uint8Array): StoredSettings | undefined {
  try {
    return fromBinary(QueueSettingsSchema, body);
  } catch {
    return undefined;
  }
}

function settingsWith(wanted: QueuePause): StoredSettings {
  return create(QueueSettingsSchema, { pause: pauseToWire(wanted) });
}

function keyOf(tenant: string, queue: string): string {
  return `${tenant}.${queue}`;
}

function partsOf(key: string): { readonly tenant: string; readonly queue: string } {
  const [tenant = "", queue = ""] = key.split(".");
  return { tenant, queue };
}
