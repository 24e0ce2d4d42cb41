// What coordinators agree on about agents' credentials: which were taken back, and which JWT of the agents' account is the newest. One record,
// changed by compare-and-set, so that of two coordinators that revoke at the same time neither loses what the other wrote.

import { Kvm, type KV } from "@nats-io/kv";
import type { NatsConnection } from "@nats-io/nats-core";
import { pause } from "../../time/pause.ts";
import { bucketStream, bucketSubject, TRUST_BUCKET } from "../../wire/subjects.ts";
import { readFromLeader } from "../stream-leader.ts";
import { EVERY_KEY, type RevokedKeys } from "./accounts.ts";

/** What is agreed on. */
export interface TrustRecord {
  /** When the newest JWT of the agents' account was issued, in seconds since 1970: grows with each change, and may run ahead of clocks. */
  readonly issuedAtS: number;
  /** Credentials of these keys that were issued until then are void. */
  readonly revoked: RevokedKeys;
}

const KEY = "agents";
const EMPTY: TrustRecord = { issuedAtS: 0, revoked: {} };

/** JetStream's codes for a record that somebody else has changed. */
const CONFLICTS: ReadonlySet<unknown> = new Set([10071, 10164]);
const MAX_TRIES = 50;
const MAX_PAUSE_MS = 100;

/** The most keys of a record: it must fit into one message, and so must the account's JWT that is made of it. */
const MAX_KEYS = 4_000;

/** The record in its bucket, which {@link ensureTopology} makes. */
export class TrustRecords {
  readonly #connection: NatsConnection;
  #opened: Promise<KV> | undefined;

  constructor(connection: NatsConnection) {
    this.#connection = connection;
  }

  /** The record as the bucket's leader has it. Throws MeshError BROKER_UNAVAILABLE. */
  async read(): Promise<TrustRecord> {
    return (await this.#read()).record;
  }

  /** Changes the record, and stamps it. Resolves with what stands then. `nowMs` is the time by the wall clock. */
  async change(nowMs: number, edit: (revoked: RevokedKeys) => RevokedKeys): Promise<TrustRecord> {
    const bucket = await this.#bucket();
    for (let tries = 1; ; tries += 1) {
      const { record, revision } = await this.#read();
      const issuedAtS = Math.max(Math.floor(nowMs / 1_000), record.issuedAtS + 1);
      const next = { issuedAtS, revoked: edit(record.revoked) };
      try {
        await bucket.put(KEY, JSON.stringify(next), { previousSeq: revision });
        return next;
      } catch (error) {
        if (tries === MAX_TRIES || !isConflict(error)) throw error;
        await pause(Math.random() * MAX_PAUSE_MS);
      }
    }
  }

  async #bucket(): Promise<KV> {
    this.#opened ??= new Kvm(this.#connection).open(TRUST_BUCKET);
    try {
      return await this.#opened;
    } catch (error) {
      this.#opened = undefined;
      throw error;
    }
  }

  async #read(): Promise<{ readonly record: TrustRecord; readonly revision: number }> {
    const query = { last_by_subj: bucketSubject(TRUST_BUCKET, KEY) };
    const found = await readFromLeader(this.#connection, bucketStream(TRUST_BUCKET), query);
    return { record: found === undefined ? EMPTY : recordIn(found.body), revision: found?.sequence ?? 0 };
  }
}

/**
 * The keys with one more revoked, without those whose credentials have all expired by `forgetS`. When there are too many, all keys are
 * revoked until the time of the oldest that are left out: whoever is revoked stays so, and the others register again.
 */
export function withRevoked(revoked: RevokedKeys, key: string, untilS: number, forgetS: number): RevokedKeys {
  const all = { ...revoked, [key]: Math.max(untilS, revoked[key] ?? 0) };
  const everybodyS = all[EVERY_KEY] ?? 0;
  const kept = Object.entries(all)
    .filter(([name, atS]) => atS >= forgetS && (name === EVERY_KEY || atS > everybodyS))
    .sort(([, a], [, b]) => b - a);
  const dropped = kept.splice(MAX_KEYS);
  const newest = dropped.find(([name]) => name !== EVERY_KEY)?.[1];
  return newest === undefined
    ? Object.fromEntries(kept)
    : { ...Object.fromEntries(kept), [EVERY_KEY]: Math.max(newest, everybodyS) };
}

/** Throws for a body that is none: to go on as if nothing were revoked would let everybody in again. */
function recordIn(body: Uint8Array): TrustRecord {
  const value: unknown = JSON.parse(Buffer.from(body).toString("utf8"));
  if (typeof value === "object" && value !== null && "issuedAtS" in value && "revoked" in value) {
    const { issuedAtS, revoked } = value;
    if (typeof issuedAtS === "number" && isTimes(revoked)) return { issuedAtS, revoked };
  }
  throw new Error(`the record in ${TRUST_BUCKET} can't be read`);
}

function isTimes(value: unknown): value is RevokedKeys {
  if (typeof value !== "object" || value === null) return false;
  return Object.values(value).every((atS) => typeof atS === "number");
}

function isConflict(error: unknown): boolean {
  return error instanceof Error && "code" in error && CONFLICTS.has(error.code);
}
