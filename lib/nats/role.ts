// A role that one process of many holds at a time: a lease in a key-value bucket whose entries the broker itself lets expire.
//
// The broker's clock decides. A holder's own clock may only make it stop sooner: it trusts its lease for a margin less than the time to
// live, counted from before the last renewal was sent. A role is for what is wasteful to do twice, never for what would be wrong: a
// process that was frozen may believe for a moment that it still holds.

import { Kvm, type KV } from "@nats-io/kv";
import type { NatsConnection, Subscription } from "@nats-io/nats-core";
import { nuid } from "@nats-io/nats-core";
import type { Clock } from "../core/clock.ts";
import { ROLES_BUCKET, roleSubject } from "../wire/subjects.ts";
import { pause } from "../time/pause.ts";

/** What a candidate needs. */
export interface RoleOptions {
  readonly connection: NatsConnection;
  /** The role. */
  readonly name: string;
  /** Who applies, for people who look into the bucket. */
  readonly holderId: string;
  readonly clock: Clock;
  /** Called when the role is this process's, once each time. */
  readonly onAcquired: () => void;
  /** Called when it is no longer, once for each time it was acquired, on disposal too. */
  readonly onLost: () => void;
  /** Hears of what went wrong. The candidate goes on. */
  readonly onTrouble: (error: unknown) => void;
  /** How long an entry of the bucket lives, in milliseconds. Default ROLE_TTL_MS, as ensureTopology makes it. */
  readonly ttlMs?: number;
}

/** A candidate for a role, or its holder. */
export interface Role extends AsyncDisposable {
  /** Whether this process holds the role now. */
  readonly held: boolean;
  /** Resolves when it was looked for the first time whether the role is to be had, with or without an answer. */
  readonly looked: Promise<void>;
}

/** How long an entry of the roles bucket lives, in milliseconds. */
export const ROLE_TTL_MS = 10_000;

/** How often a candidate looks whether the holder has vanished, in milliseconds. */
const LOOK_MS = 1_000;

/** Applies for a role until it is disposed; lays it down then, so that another takes it at once. */
export async function openRole(options: RoleOptions): Promise<Role> {
  const role = new Candidate(options, await new Kvm(options.connection).open(ROLES_BUCKET));
  role.start();
  return role;
}

class Candidate implements Role {
  readonly #options: RoleOptions;
  readonly #kv: KV;
  readonly #ttlMs: number;
  /** Unlike any other candidate's, so that a write whose answer got lost is recognised. */
  readonly #mark: string;
  readonly #stopping = new AbortController();
  readonly #looked = Promise.withResolvers<void>();
  #vacant = new AbortController();
  #subscription: Subscription | undefined;
  #loop: Promise<void> | undefined;
  #revision = 0;
  #held = false;
  #trustedUntilMs = 0;

  constructor(options: RoleOptions, kv: KV) {
    this.#options = options;
    this.#kv = kv;
    this.#ttlMs = options.ttlMs ?? ROLE_TTL_MS;
    this.#mark = `${options.holderId}.${nuid.next()}`;
  }

  get held(): boolean {
    return this.#held;
  }

  get looked(): Promise<void> {
    return this.#looked.promise;
  }

  start(): void {
    const { connection, name } = this.#options;
    this.#subscription = connection.subscribe(roleSubject(name), {
      callback: () => {
        this.#vacant.abort();
        this.#vacant = new AbortController();
      },
    });
    this.#loop = this.#run();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping.abort();
    await this.#loop;
    this.#subscription?.unsubscribe();
    if (!this.#held) return;
    this.#lose();
    const { connection, name } = this.#options;
    try {
      await this.#kv.delete(name, { previousSeq: this.#revision });
      connection.publish(roleSubject(name));
    } catch {
      // Nobody can be told; the entry expires.
    }
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      try {
        if (this.#held) await this.#renew();
        else await this.#apply();
      } catch (error) {
        if (!signal.aborted) this.#options.onTrouble(error);
      }
      this.#looked.resolve();
      if (this.#held && this.#options.clock.monotonicMs() >= this.#trustedUntilMs) this.#lose();
      if (this.#held) await pause(this.#renewMs(), signal);
      else await pause(LOOK_MS, signal, this.#vacant.signal);
    }
  }

  /** Three renewals fit into a lease; once one has failed, the rest of the trust is used in smaller steps. */
  #renewMs(): number {
    const left = this.#trustedUntilMs - this.#options.clock.monotonicMs();
    return Math.max(0, Math.min(this.#ttlMs * 0.3, left / 2));
  }

  async #apply(): Promise<void> {
    const { name } = this.#options;
    const entry = await this.#kv.get(name);
    const taken = entry !== null && entry.operation === "PUT";
    if (taken && entry.string() !== this.#mark) return;
    await this.#write(entry?.revision ?? 0);
  }

  async #renew(): Promise<void> {
    const { name } = this.#options;
    try {
      await this.#write(this.#revision);
    } catch (error) {
      const entry = await this.#kv.get(name);
      const ours = entry !== null && entry.operation === "PUT" && entry.string() === this.#mark;
      // A renewal whose answer got lost has moved the revision on.
      if (ours) this.#revision = entry.revision;
      else this.#lose();
      throw error;
    }
  }

  async #write(expected: number): Promise<void> {
    const { name, clock } = this.#options;
    const beforeMs = clock.monotonicMs();
    try {
      this.#revision = await this.#kv.put(name, this.#mark, { previousSeq: expected });
    } catch (error) {
      // Another candidate was faster.
      if (!this.#held && isConflict(error)) return;
      throw error;
    }
    this.#trustedUntilMs = beforeMs + this.#ttlMs * 0.8;
    if (this.#held) return;
    this.#held = true;
    this.#options.onAcquired();
  }

  #lose(): void {
    if (!this.#held) return;
    this.#held = false;
    this.#options.onLost();
  }
}

function isConflict(error: unknown): boolean {
  return error instanceof Error && "code" in error && (error.code === 10071 || error.code === 10164);
}
