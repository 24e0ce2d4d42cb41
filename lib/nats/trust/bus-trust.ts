// What a coordinator can do by the trust that the broker puts in it: give agents credentials, and take them back.
//
// A credential is taken back by the JWT of the agents' account, which names keys whose credentials are void. The truth is the record that
// coordinators share; the JWT is made of it, by whoever changed it and by whoever finds servers that have an older one.

import type { NatsConnection } from "@nats-io/nats-core";
import type { Clock } from "../../core/clock.ts";
import { MeshError } from "../../core/mesh-error.ts";
import { pause } from "../../time/pause.ts";
import { brokerUnavailable } from "../broker-errors.ts";
import type { NatsTlsOptions } from "../nats-tls.ts";
import { agentsAccountClaims, EVERY_KEY } from "./accounts.ts";
import { type AgentCredentialRequest, issueAgentCredential } from "./agent-credential.ts";
import { readClaims, signClaims } from "./claims.ts";
import { ClaimsDesk } from "./claims-desk.ts";
import type { CoordinatorTrust } from "./trust-folder.ts";
import {
  MAX_AGENT_CREDENTIAL_MS,
  type Revocation,
  type TrustRecord,
  TrustRecords,
  withRevoked,
} from "./trust-record.ts";

/** A key whose credentials are to end. */
export interface KeyToRevoke {
  readonly publicKey: string;
  /** When the newest of them was issued, by whichever coordinator's clock, in milliseconds since 1970. Undefined: until now. */
  readonly issuedMs?: number | undefined;
  /** When the last of them ends: the revocation is forgotten then. Undefined: as late as can be. */
  readonly expiresMs?: number | undefined;
}

/** A coordinator's power over agents' credentials. Where the broker asks for no credentials, there is none. */
export interface BusTrust extends AsyncDisposable {
  /**
   * Issues a credential: a user JWT, good for nothing without the private part of the key. Throws a RangeError when it would live for
   * longer than {@link MAX_AGENT_CREDENTIAL_MS}, and for names and keys that are none.
   */
  issueAgentCredential(request: AgentCredentialRequest): string;
  /**
   * Ends all credentials that some keys got until now, all at once. Resolves when at least one broker has closed their connections; the
   * others follow within seconds, or when they are back. What is issued for a key after this second is good, and after the second of its
   * newest credential if a coordinator whose clock is ahead has issued that. Throws MeshError BROKER_UNAVAILABLE; the revocation is then in
   * force as soon as any coordinator reaches the brokers, if it was kept at all.
   */
  revoke(keys: readonly KeyToRevoke[]): Promise<void>;
  /** Ends all agents' credentials that were issued until now: agents that run get new ones when they register again. See `revoke`. */
  revokeAll(): Promise<void>;
}

/** What it needs. */
export interface BusTrustOptions {
  readonly trust: CoordinatorTrust;
  /** A connection of a coordinator, whose topology stands. */
  readonly connection: NatsConnection;
  /** Where the servers are. */
  readonly servers: string | readonly string[];
  /** How they are spoken to by TLS. */
  readonly tls?: NatsTlsOptions | undefined;
  /** The broker's time: it judges credentials. */
  readonly clock: Pick<Clock, "now">;
  /** Hears of what went wrong and is tried again. */
  readonly onTrouble: (error: unknown) => void;
}

/** How often it is looked whether the servers have what they should, in milliseconds. */
const LOOK_MS = 5_000;

/** For how long a revocation tries to be kept, and then to reach the servers before it leaves that to the next look, in milliseconds. */
const PATIENCE_MS = 8_000;
const RETRY_MS = 250;

/** Opens it. Until it is disposed, it looks after the servers' idea of the agents' account. */
export function openBusTrust(options: BusTrustOptions): BusTrust {
  return new Trust(options);
}

class Trust implements BusTrust {
  readonly #options: BusTrustOptions;
  readonly #records: TrustRecords;
  readonly #desk: ClaimsDesk;
  readonly #stopping = new AbortController();
  readonly #loop: Promise<void>;

  constructor(options: BusTrustOptions) {
    this.#options = options;
    this.#records = new TrustRecords(options.connection);
    this.#desk = new ClaimsDesk({
      servers: options.servers,
      tls: options.tls,
      credentialsFile: options.trust.systemFile,
    });
    this.#loop = this.#look();
  }

  issueAgentCredential(request: AgentCredentialRequest): string {
    const { trust, clock } = this.#options;
    const nowMs = clock.now();
    if (request.expiresMs > nowMs + MAX_AGENT_CREDENTIAL_MS) {
      throw new RangeError(`expiresMs is more than ${MAX_AGENT_CREDENTIAL_MS} ms from now`);
    }
    return issueAgentCredential(request, { signingKey: trust.agentsSigning, account: trust.ids.agents, nowMs });
  }

  async revoke(keys: readonly KeyToRevoke[]): Promise<void> {
    if (keys.length === 0) return;
    const nowMs = this.#options.clock.now();
    const more = Object.fromEntries(keys.map((key) => [key.publicKey, revocationOf(key, nowMs)]));
    try {
      // Both may be done twice: an answer that got lost does no harm.
      await patiently(() =>
        this.#records.change(nowMs, (revoked) => withRevoked(revoked, more, Math.floor(nowMs / 1_000))),
      );
      await patiently(() => this.#push());
    } catch (error) {
      throw error instanceof MeshError ? error : brokerUnavailable(error);
    }
  }

  async revokeAll(): Promise<void> {
    await this.revoke([{ publicKey: EVERY_KEY }]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping.abort();
    await this.#loop;
    await this.#desk[Symbol.asyncDispose]();
  }

  async #look(): Promise<void> {
    const { signal } = this.#stopping;
    let known = false;
    do {
      try {
        // Once: coordinators with another key, which are about to be replaced, must not take turns with this one.
        if (!known) await this.#makeKnown();
        known = true;
        await this.#settle();
      } catch (error) {
        if (!signal.aborted) this.#options.onTrouble(error);
      }
    } while (await pause(LOOK_MS, signal));
  }

  /** Has the servers take credentials that are signed by this coordinator's key, and by no other. */
  async #makeKnown(): Promise<void> {
    const { trust, clock } = this.#options;
    const standing = readClaims(await this.#desk.lookUp(trust.ids.agents))?.nats["signing_keys"];
    if (JSON.stringify(standing) === JSON.stringify([trust.agentsSigning.publicKey])) return;
    await this.#records.change(clock.now(), (revoked) => revoked);
    await this.#push();
  }

  /** Pushes what stands in the record unless the servers know of everything that it revokes. */
  async #settle(): Promise<void> {
    const { trust } = this.#options;
    const known = readClaims(await this.#desk.lookUp(trust.ids.agents));
    const record = await this.#records.read();
    const told = revocationsIn(known?.nats["revocations"]);
    if (Object.entries(record.revoked).every(([key, { untilS }]) => (told.get(key) ?? 0) >= untilS)) return;
    // Somebody made the account anew, of a later date: servers would keep it, and give it to each other.
    const atLeastMs = ((known?.issuedAtS ?? 0) + 1) * 1_000;
    if (atLeastMs > record.issuedAtS * 1_000) {
      await this.#records.change(Math.max(this.#options.clock.now(), atLeastMs), (revoked) => revoked);
    }
    await this.#push();
  }

  /** Another coordinator may have pushed something newer meanwhile, which this has replaced: until nothing is newer, it is pushed again. */
  async #push(): Promise<void> {
    for (let record = await this.#records.read(); ;) {
      await this.#desk.push(this.#jwtOf(record));
      const now = await this.#records.read();
      if (now.issuedAtS === record.issuedAtS) return;
      record = now;
    }
  }

  #jwtOf({ issuedAtS, revoked }: TrustRecord): string {
    const { ids, agentsSigning, operatorSigning } = this.#options.trust;
    const signingKeys = [agentsSigning.publicKey];
    const times = Object.fromEntries(Object.entries(revoked).map(([key, { untilS }]) => [key, untilS]));
    return signClaims(agentsAccountClaims(ids, { signingKeys, revoked: times, issuedAtS }), operatorSigning);
  }
}

function revocationOf({ issuedMs = 0, expiresMs }: KeyToRevoke, nowMs: number): Revocation {
  const untilMs = Math.max(nowMs, issuedMs);
  const endMs = Math.max(untilMs, expiresMs ?? untilMs + MAX_AGENT_CREDENTIAL_MS);
  return { untilS: Math.floor(untilMs / 1_000), endS: Math.ceil(endMs / 1_000) };
}

function revocationsIn(value: unknown): ReadonlyMap<string, number> {
  return new Map(Object.entries(typeof value === "object" && value !== null ? value : {}));
}

async function patiently(act: () => Promise<unknown>): Promise<void> {
  const untilMs = performance.now() + PATIENCE_MS;
  for (;;) {
    try {
      await act();
      return;
    } catch (error) {
      if (performance.now() > untilMs) throw error;
      await pause(RETRY_MS);
    }
  }
}
