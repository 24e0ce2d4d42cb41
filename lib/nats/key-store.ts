// API keys, and the secrets that sign stream tokens: a bucket that only coordinators write, and that each of them follows, so that a key
// is looked up without asking anybody and its revocation is heard of at once. Knows neither the keys themselves nor what they allow.

import { create } from "@bufbuild/protobuf";
import type { NatsConnection } from "@nats-io/nats-core";
import type { ApiKey } from "../../gen/mycel/v1/api_key_pb.ts";
import {
  type ApiKeyRecord,
  ApiKeyRecordSchema,
  type KeyRecord,
  KeyRecordSchema,
  StreamTokenSecretSchema,
} from "../../gen/mycel/v1/key_records_pb.ts";
import { isName } from "../core/names.ts";
import { KEYS_BUCKET } from "../wire/subjects.ts";
import { isTimestamp, timestampFromMs } from "../wire/time-codec.ts";
import { RecordBucket } from "./record-bucket.ts";

/** Who is told of what went wrong. */
export interface KeyStoreObserver {
  /** The watch broke; it is opened again. */
  readonly onError: (error: unknown) => void;
  /** What stands under a key of the bucket can't be read; it is left out. */
  readonly onGarbage: (key: string) => void;
}

/** A key as it stands. */
export interface StoredKey {
  readonly key: ApiKey;
  /** SHA-256 of the key as it is presented: 32 bytes. */
  readonly secretSha256: Uint8Array;
}

/** Hears what became of something. Must not throw. */
export interface KeyStoreListener {
  /** A key was revoked, or is gone. */
  readonly onKeyEnded?: (keyId: string) => void;
  /** The secrets of stream tokens are others than before. */
  readonly onSecretsChanged?: () => void;
}

const API = "api.";
const SIGNING = "signing.";
const DIGEST_BYTES = 32;
const SECRET_BYTES = 32;

/** The keys, as the bucket has them; kept up to date by a watch. Every method that asks the broker throws MeshError BROKER_UNAVAILABLE. */
export class KeyStore implements AsyncDisposable {
  readonly #bucket: RecordBucket<typeof KeyRecordSchema>;
  readonly #listeners: Set<KeyStoreListener>;

  private constructor(bucket: RecordBucket<typeof KeyRecordSchema>, listeners: Set<KeyStoreListener>) {
    this.#bucket = bucket;
    this.#listeners = listeners;
  }

  /** Opens the store; resolves when every key is known. */
  static async open(connection: NatsConnection, observer: KeyStoreObserver): Promise<KeyStore> {
    const listeners = new Set<KeyStoreListener>();
    const onChange = (key: string, record: KeyRecord | undefined, before: KeyRecord | undefined): void => {
      if (key.startsWith(SIGNING)) for (const { onSecretsChanged } of listeners) onSecretsChanged?.();
      const keyId = key.slice(API.length);
      if (!key.startsWith(API) || !isLive(soundKey(before, keyId)) || isLive(soundKey(record, keyId))) return;
      for (const { onKeyEnded } of listeners) onKeyEnded?.(keyId);
    };
    const bucket = await RecordBucket.open({
      connection,
      bucket: KEYS_BUCKET,
      schema: KeyRecordSchema,
      ...observer,
      onChange,
    });
    return new KeyStore(bucket, listeners);
  }

  /** A key, revoked and expired ones too; undefined if there is none, as far as this process has heard. */
  get(keyId: string): StoredKey | undefined {
    return soundKey(this.#bucket.get(API + keyId), keyId);
  }

  /** The keys of a tenant, revoked and expired ones too, ordered by id. */
  list(tenant: string): readonly ApiKey[] {
    const keys: ApiKey[] = [];
    for (const [name, record] of this.#bucket.entries()) {
      const stored = name.startsWith(API) ? soundKey(record, name.slice(API.length)) : undefined;
      if (stored?.key.tenant === tenant) keys.push(stored.key);
    }
    return keys.sort((a, b) => (a.keyId < b.keyId ? -1 : 1));
  }

  /** Adds a key; false if there is one of its id. */
  async add({ key, secretSha256 }: StoredKey): Promise<boolean> {
    let added = false;
    await this.#bucket.change(API + key.keyId, (standing) => {
      added = standing === undefined;
      return standing ?? recordOf({ key, secretSha256 });
    });
    return added;
  }

  /**
   * Decides what is said of a key from what was said; the same object changes nothing. Returns what stands then; undefined if there is no
   * such key. Throws CONFLICT, and what `decide` throws.
   */
  async change(keyId: string, decide: (standing: ApiKey) => ApiKey): Promise<ApiKey | undefined> {
    let changed: ApiKey | undefined;
    await this.#bucket.change(API + keyId, (record) => {
      const standing = soundKey(record, keyId);
      changed = standing === undefined ? undefined : decide(standing.key);
      if (standing === undefined || changed === undefined || changed === standing.key) return record;
      return recordOf({ ...standing, key: changed });
    });
    return changed;
  }

  /** Forgets a key for good. */
  async remove(keyId: string): Promise<void> {
    await this.#bucket.change(API + keyId, () => undefined);
  }

  /** The secret that signs the stream tokens of a day, counted from 1970; undefined if there is none, as far as this process has heard. */
  secret(day: number): Uint8Array | undefined {
    const record = this.#bucket.get(SIGNING + day);
    const secret = record?.kind.case === "streamTokenSecret" ? record.kind.value.secret : undefined;
    return secret?.length === SECRET_BYTES ? secret : undefined;
  }

  /** The days of which there is a secret, or something else in its place. */
  get secretDays(): readonly number[] {
    const names = [...this.#bucket.entries()].map(([name]) => name);
    return names.filter((name) => name.startsWith(SIGNING)).map((name) => Number(name.slice(SIGNING.length)));
  }

  /** Gives a day a secret, unless it has one. */
  async addSecret(day: number, secret: Uint8Array, nowMs: number): Promise<void> {
    await this.#bucket.change(SIGNING + day, (standing) => {
      const value = create(StreamTokenSecretSchema, { secret, createTime: timestampFromMs(nowMs) });
      return standing ?? create(KeyRecordSchema, { kind: { case: "streamTokenSecret", value } });
    });
  }

  /** Forgets the secret of a day: what it has signed is worth nothing any more. */
  async removeSecret(day: number): Promise<void> {
    await this.#bucket.change(SIGNING + day, () => undefined);
  }

  /** Hears from now on; returns how to stop. */
  listen(listener: KeyStoreListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#bucket[Symbol.asyncDispose]();
  }
}

function recordOf({ key, secretSha256 }: StoredKey): KeyRecord {
  const value = create(ApiKeyRecordSchema, { key, secretSha256 });
  return create(KeyRecordSchema, { kind: { case: "apiKey", value } });
}

/** A record in which everything is as it must be; whatever else stands there is no key. */
function soundKey(record: KeyRecord | undefined, keyId: string): StoredKey | undefined {
  const stored = record?.kind.case === "apiKey" ? record.kind.value : undefined;
  return stored !== undefined && isSound(stored) && stored.key.keyId === keyId ? stored : undefined;
}

function isSound(record: ApiKeyRecord): record is ApiKeyRecord & { readonly key: ApiKey } {
  const { key, secretSha256 } = record;
  if (key === undefined || secretSha256.length !== DIGEST_BYTES || !isName(key.tenant)) return false;
  const times = [key.createTime, key.expireTime, key.lastUseTime, key.revokeTime];
  return times.every((time) => time === undefined || isTimestamp(time));
}

function isLive(stored: StoredKey | undefined): boolean {
  return stored !== undefined && stored.key.revokeTime === undefined;
}
