// Gives agents their credentials for the broker and takes them back. What was issued is recorded before it is handed out, so that whoever
// takes credentials back knows of every one that may still be valid.

import { create, equals } from "@bufbuild/protobuf";
import { IssuedCredentialSchema, IssuedCredentialsSchema } from "../../../gen/mycel/v1/agent_log_pb.ts";
import type { Clock } from "../../../lib/core/clock.ts";
import { MeshError } from "../../../lib/core/mesh-error.ts";
import type { AgentIdentity } from "../../../lib/nats/agent-requests.ts";
import type { RecordBucket } from "../../../lib/nats/record-bucket.ts";
import type { BusTrust } from "../../../lib/nats/trust/bus-trust.ts";
import { msFromTimestamp, timestampFromMs } from "../../../lib/wire/time-codec.ts";

/** What the desk needs. */
export interface CredentialDeskParts {
  readonly trust: BusTrust;
  /** What was issued to each agent. */
  readonly issued: RecordBucket<typeof IssuedCredentialsSchema>;
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

/** How many keys may have valid credentials under one agent's id: a process that starts again every two seconds needs no more. */
const MAX_KEYS = 512;
const RETRY_MS = 5_000;

/** Issues and revokes credentials. */
export class CredentialDesk {
  readonly #parts: CredentialDeskParts;

  constructor(parts: CredentialDeskParts) {
    this.#parts = parts;
  }

  /** Records and issues a credential. Throws BROKER_UNAVAILABLE, and RATE_LIMITED for an id that is given out to too many keys. */
  async issue({ tenant, agentId, publicKey, principal, lanes }: Bearer): Promise<Credential> {
    const { trust, issued, clock, credentialMs } = this.#parts;
    const nowMs = clock.now();
    // A credential ends with a whole second.
    const expiresMs = Math.floor((nowMs + credentialMs) / 1_000) * 1_000;
    await issued.change(keyOf({ tenant, agentId }), (standing) => {
      const others = (standing?.credentials ?? []).filter(
        (each) => each.publicKey !== publicKey && (msFromTimestamp(each.expireTime) ?? 0) > nowMs,
      );
      if (others.length >= MAX_KEYS) {
        throw new MeshError("RATE_LIMITED", `agent ${agentId} has ${others.length} keys already`, {
          retryDelayMs: RETRY_MS,
        });
      }
      const own = create(IssuedCredentialSchema, { publicKey, principal, expireTime: timestampFromMs(expiresMs) });
      return create(IssuedCredentialsSchema, { credentials: [...others, own] });
    });
    return { jwt: trust.issueAgentCredential({ tenant, agentId, publicKey, lanes, expiresMs }), expiresMs };
  }

  /**
   * Ends every credential of an agent, or those that a principal got for it. Resolves when a broker has closed its connections. Throws
   * BROKER_UNAVAILABLE.
   */
  async revoke(agent: AgentIdentity, principal?: string): Promise<void> {
    const { trust, issued } = this.#parts;
    const standing = await issued.read(keyOf(agent));
    const ended = (standing?.credentials ?? []).filter(
      (each) => principal === undefined || each.principal === principal,
    );
    for (const { publicKey } of ended) await trust.revoke(publicKey);
    if (ended.length === 0) return;
    // Only now: whoever is cut off before this begins again. What was issued meanwhile is another one.
    await issued.change(keyOf(agent), (now) => {
      const left = (now?.credentials ?? []).filter(
        (each) => !ended.some((one) => equals(IssuedCredentialSchema, one, each)),
      );
      return left.length === 0 ? undefined : create(IssuedCredentialsSchema, { credentials: left });
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
          credentials.some((each) => each.principal === principal && (msFromTimestamp(each.expireTime) ?? 0) > nowMs),
      )
      .map(([key]) => ({ tenant, agentId: key.slice(prefix.length) }));
  }
}

function keyOf({ tenant, agentId }: AgentIdentity): string {
  return `${tenant}.${agentId}`;
}
