// What coordinators agree on about agents' credentials: which were taken back, and which JWT of the agents' account is the newest. One record,
// changed by compare-and-set, so that of two coordinators that revoke at the same time neither loses what the other wrote.

import { Kvm, type KV } from "@nats-io/kv";
import type { NatsConnection } from "@nats-io/nats-core";
import { pause } from "../../time/pause.ts";
import { bucketStream, bucketSubject, TRUST_BUCKET } from "../../wire/subjects.ts";
import { readFromLeader } from "../stream-leader.ts";
import { EVERY_KEY } from "./accounts.ts";

/** How long any agent's credential may live, in milliseconds: a revocation is kept for so long, if it is not known how long it must be. */
export const MAX_AGENT_CREDENTIAL_MS: number = 24 * 3_600_000;

/** Credentials of a key that were issued until `untilS` are void, and have all ended at `endS`; both in seconds since 1970. */
export interface Revocation {
  readonly untilS: number;
  readonly endS: number;
}

/** What is revoked, by public key; `*` for everybody's. */
export type Revocations = Readonly<Record<string, Revocation>>;

/** What is agreed on. */
export interface TrustRecord {
  /** When the newest JWT of the agents' account was issued, in seconds since 1970: grows with each change, and may run ahead of clocks. */
  readonly issuedAtS: number;
  readonly revoked: Revocations;
}

const KEY = "agents";
const EMPTY: TrustRecord = { issuedAtS: 0, revoked: {} };

/** JetStream's codes for a record that somebody else has changed. */
const CONFLICTS: ReadonlySet<unknown> = new Set([10071, 10164]);
const MAX_TRIES = 50;
const MAX_PAUSE_MS = 100;

/** The most keys of a record: it must fit into one message, and so must the account's JWT that is made of it. */
const MAX_KEYS = 8_000;

/** Clocks of coordinators and servers may differ by so much, in seconds, before a revocation is forgotten too soon. */
const SKEW_S = 60;

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
  async change(nowMs: number, edit: (revoked: Revocations) => Revocations): Promise<TrustRecord> {
    const bucket = await this.#bucket();
    for (let tries = 1; ; tries += 1) {
      const { record, revision } = await this.#read();
      const issuedAtS = Math.max(Math.floor(nowMs / 1_000), record.issuedAtS + 1);
      const next = { issuedAtS, revoked: edit(record.revoked) };
      try {
        await bucket.put(KEY, textOf(next), { previousSeq: revision });
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
 * What is revoked with more of it, without what has ended by `nowS`. When there is too much, all keys are revoked until the time of the
 * oldest that are left out: whoever is revoked stays so, and the others register again.
 */
export function withRevoked(revoked: Revocations, more: Revocations, nowS: number): Revocations {
  const all: Record<string, Revocation> = { ...revoked };
  for (const [key, revocation] of Object.entries(more)) all[key] = later(revocation, all[key]);
  const everybody = all[EVERY_KEY];
  const kept = Object.entries(all)
    .filter(([, { endS }]) => endS + SKEW_S >= nowS)
    .filter(([key, { untilS }]) => key === EVERY_KEY || untilS > (everybody?.untilS ?? 0))
    .sort(([, a], [, b]) => b.untilS - a.untilS);
  const dropped = kept.splice(MAX_KEYS);
  if (dropped.length === 0) return Object.fromEntries(kept);
  return { ...Object.fromEntries(kept), [EVERY_KEY]: dropped.reduce((a, [, b]) => later(b, a), NEVER) };
}

const NEVER: Revocation = { untilS: 0, endS: 0 };

function later(a: Revocation, b: Revocation = NEVER): Revocation {
  return { untilS: Math.max(a.untilS, b.untilS), endS: Math.max(a.endS, b.endS) };
}

/** The record as it is kept: as short as can be, for there may be thousands of keys. */
function textOf({ issuedAtS, revoked }: TrustRecord): string {
  const times = Object.entries(revoked).map(([key, { untilS, endS }]) => [key, [untilS, endS - untilS]]);
  return JSON.stringify({ issuedAtS, revoked: Object.fromEntries(times) });
}

/** Throws for a body that is none: to go on as if nothing were revoked would let everybody in again. */
function recordIn(body: Uint8Array): TrustRecord {
  const value: unknown = JSON.parse(Buffer.from(body).toString("utf8"));
  if (typeof value === "object" && value !== null && "issuedAtS" in value && "revoked" in value) {
    const { issuedAtS, revoked } = value;
    if (typeof issuedAtS === "number" && typeof revoked === "object" && revoked !== null) {
      const entries = Object.entries(revoked).map(([key, times]) => [key, revocationIn(times)] as const);
      return { issuedAtS, revoked: Object.fromEntries(entries) };
    }
  }
  throw unreadable();
}

/** Records from before say only until when credentials are void. */
function revocationIn(times: unknown): Revocation {
  if (typeof times === "number") return { untilS: times, endS: times + MAX_AGENT_CREDENTIAL_MS / 1_000 };
  const [untilS, lastsS]: readonly unknown[] = Array.isArray(times) ? times : [];
  if (typeof untilS !== "number" || typeof lastsS !== "number") throw unreadable();
  return { untilS, endS: untilS + lastsS };
}

function unreadable(): Error {
  return new Error(`the record in ${TRUST_BUCKET} can't be read`);
}

function isConflict(error: unknown): boolean {
  return error instanceof Error && "code" in error && CONFLICTS.has(error.code);
}
