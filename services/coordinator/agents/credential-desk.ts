// Gives agents their credentials for the broker and takes them back. What was issued is recorded before it is handed out, so that whoever
// takes credentials back knows of every one that may still be valid.

import { create, equals } from "@bufbuild/protobuf";
import {
  type IssuedCredential,
  IssuedCredentialSchema,
  IssuedCredentialsSchema,
} from "../../../gen/mycel/v1/agent_log_pb.ts";
import type { Clock } from "../../../lib/core/clock.ts";
import { MeshError } from "../../../lib/core/mesh-error.ts";
import type { AgentIdentity } from "../../../lib/nats/agent-requests.ts";
import type { RecordBucket } from "../../../lib/nats/record-bucket.ts";
import type { BusTrust } from "../../../lib/nats/trust/bus-trust.ts";
import { msFromTimestamp, timestampFromMs } from "../../../lib/wire/time-codec.ts";
import type { KeyHolders } from "./key-holders.ts";

/** What the desk needs. */
export interface CredentialDeskParts {
  readonly trust: BusTrust;
  /** What was issued to each agent. */
  readonly issued: RecordBucket<typeof IssuedCredentialsSchema>;
  /** The same by key; follows `issued`. */
  readonly holders: KeyHolders;
  readonly clock: Clock;
  /** How long a credential lives, in milliseconds. */
  readonly credentialMs: number;
}

/** Whom a credential is for. */
export interface Bearer extends AgentIdentity {
  readonly publicKey: string;
  /** Who registered the agent. */
  readonly principal: string;
  readonly lanes: readonly { readonly stream: string; readonly consumer: string }[];
}

/** A credential, and when it ends. */
export interface Credential {
  readonly jwt: string;
  readonly expiresMs: number;
}

/** How many keys may have valid credentials under one agent's id: as many as an agent that starts anew once a minute needs. */
const MAX_KEYS = 16;

/**
 * How many keys of one tenant may be on record, valid or revoked, where there are others: fewer than half of those that the broker can be
 * told of one by one. Beyond that it would have to send everybody's agents away.
 */
const MAX_KEYS_OF_TENANT = 3_600;
const RETRY_MS = 5_000;

/** Issues and revokes credentials. */
export class CredentialDesk {
  readonly #parts: CredentialDeskParts;

  constructor(parts: CredentialDeskParts) {
    this.#parts = parts;
  }

  /**
   * Whether a credential may be issued, as far as this process has heard. Throws INVALID_REQUEST for a key that somebody else goes by, and
   * RATE_LIMITED for a tenant that has too many keys.
   */
  check({ tenant, agentId, publicKey, principal }: Omit<Bearer, "lanes">): void {
    const { holders } = this.#parts;
    const own = keyOf({ tenant, agentId });
    const nowMs = this.#parts.clock.now();
    // Nobody has to prove that a key is its own: whoever names another's could have that revoked. One principal may use a key for several
    // agents: one whose registration went unanswered asks for an id once more.
    const isForeign = holders
      .of(publicKey)
      .some(
        ({ agent, credential }) =>
          agent !== own &&
          endMsOf(credential) > nowMs &&
          !(agent.startsWith(`${tenant}.`) && credential.principal === principal),
      );
    if (isForeign) {
      const violation = { field: "public_key", description: "must be the agent's own: another one goes by it" };
      throw new MeshError("INVALID_REQUEST", `${violation.field}: ${violation.description}`, {
        violations: [violation],
      });
    }
    if (holders.tenants < 2 || holders.countOf(tenant) < MAX_KEYS_OF_TENANT) return;
    if (holders.of(publicKey).some(({ agent }) => agent === own)) return;
    throw new MeshError("RATE_LIMITED", `the agents of tenant ${tenant} have too many keys`, {
      retryDelayMs: RETRY_MS,
    });
  }

  /**
   * Records and issues a credential. What another principal got for the same agent ends. Throws BROKER_UNAVAILABLE, and RATE_LIMITED for an
   * id that is given out to too many keys.
   */
  async issue({ tenant, agentId, publicKey, principal, lanes }: Bearer): Promise<Credential> {
    const { trust, issued, clock, credentialMs } = this.#parts;
    const nowMs = clock.now();
    // A credential ends with a whole second.
    const expiresMs = Math.floor((nowMs + credentialMs) / 1_000) * 1_000;
    let former: readonly IssuedCredential[] = [];
    await issued.change(keyOf({ tenant, agentId }), (standing) => {
      const known = (standing?.credentials ?? []).filter((each) => endMsOf(each) > nowMs);
      const others = known.filter((each) => each.publicKey !== publicKey);
      const valid = others.filter(isValid);
      former = valid.filter((each) => each.principal !== "" && each.principal !== principal);
      if (valid.length - former.length >= MAX_KEYS) {
        throw new MeshError("RATE_LIMITED", `agent ${agentId} has ${valid.length} keys already`, {
          retryDelayMs: RETRY_MS,
        });
      }
      const before = known.find((each) => each.publicKey === publicKey);
      const own = create(IssuedCredentialSchema, {
        publicKey,
        principal,
        expireTime: timestampFromMs(Math.max(expiresMs, before === undefined ? 0 : endMsOf(before))),
        issueTime: timestampFromMs(Math.max(nowMs, before === undefined ? 0 : (issueMsOf(before) ?? 0))),
      });
      return create(IssuedCredentialsSchema, { credentials: [...others, own] });
    });
    await this.#end({ tenant, agentId }, former);
    return { jwt: trust.issueAgentCredential({ tenant, agentId, publicKey, lanes, expiresMs }), expiresMs };
  }

  /**
   * Ends every credential of an agent, or those that a principal got for it. Resolves when a broker has closed its connections. Throws
   * BROKER_UNAVAILABLE.
   */
  async revoke(agent: AgentIdentity, principal?: string): Promise<void> {
    const nowMs = this.#parts.clock.now();
    const standing = await this.#parts.issued.read(keyOf(agent));
    const ended = (standing?.credentials ?? []).filter(
      (each) => isValid(each) && endMsOf(each) > nowMs && (principal === undefined || each.principal === principal),
    );
    await this.#end(agent, ended);
  }

  async #end(agent: AgentIdentity, ended: readonly IssuedCredential[]): Promise<void> {
    if (ended.length === 0) return;
    const { trust, issued, clock } = this.#parts;
    // All at once: one of them may be in use, and it must not matter how many others there are.
    await trust.revoke(
      ended.map((each) => ({ publicKey: each.publicKey, issuedMs: issueMsOf(each), expiresMs: endMsOf(each) })),
    );
    // Only now: whoever is cut off before this begins again. What was issued meanwhile is another one.
    const revokeTime = timestampFromMs(clock.now());
    await issued.change(keyOf(agent), (now) => {
      if (now === undefined) return undefined;
      const credentials = now.credentials.map((each) =>
        ended.some((one) => equals(IssuedCredentialSchema, one, each))
          ? create(IssuedCredentialSchema, { ...each, revokeTime })
          : each,
      );
      return create(IssuedCredentialsSchema, { credentials });
    });
  }

  /** The agents that a principal of a tenant holds credentials for, as far as this process has heard. */
  heldBy(tenant: string, principal: string): readonly AgentIdentity[] {
    const prefix = `${tenant}.`;
    const nowMs = this.#parts.clock.now();
    return [...this.#parts.issued.entries()]
      .filter(
        ([key, { credentials }]) =>
          key.startsWith(prefix) &&
          credentials.some((each) => each.principal === principal && isValid(each) && endMsOf(each) > nowMs),
      )
      .map(([key]) => ({ tenant, agentId: key.slice(prefix.length) }));
  }
}

function keyOf({ tenant, agentId }: AgentIdentity): string {
  return `${tenant}.${agentId}`;
}

/** Whether a key was not revoked; it may have ended. */
function isValid({ revokeTime }: IssuedCredential): boolean {
  return revokeTime === undefined;
}

function endMsOf({ expireTime }: IssuedCredential): number {
  return msFromTimestamp(expireTime) ?? 0;
}

function issueMsOf({ issueTime }: IssuedCredential): number | undefined {
  return msFromTimestamp(issueTime);
}
