// Who is shut out: agents that were revoked, and agents whose principal was. A coordinator knows it without asking, so that reports cost
// nothing more; whoever registers is looked up with the leader.

import { create } from "@bufbuild/protobuf";
import { RevokedAgentSchema } from "../../../gen/mycel/v1/agent_log_pb.ts";
import { type Agent, AgentRevocationSchema, AgentSchema, AgentState } from "../../../gen/mycel/v1/agent_pb.ts";
import type { Clock } from "../../../lib/core/clock.ts";
import type { Logger } from "../../../lib/core/logger.ts";
import { MeshError } from "../../../lib/core/mesh-error.ts";
import type { AgentIdentity } from "../../../lib/nats/agent-requests.ts";
import type { RecordBucket } from "../../../lib/nats/record-bucket.ts";
import type { Registry } from "../../../lib/nats/registry.ts";
import { timestampFromMs } from "../../../lib/wire/time-codec.ts";
import type { CredentialDesk } from "./credential-desk.ts";

/** What revoking needs. */
export interface RevocationParts {
  readonly revoked: RecordBucket<typeof RevokedAgentSchema>;
  readonly registry: Registry;
  /** Undefined where the broker asks agents for no credentials. */
  readonly credentials: CredentialDesk | undefined;
  /** Gives the work of an agent to others; must not throw. */
  readonly takeBack: (agent: Agent, from: AgentIdentity) => void;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Why an agent is shut out. */
export interface Verdict {
  readonly reason: string;
  /** Who says so. */
  readonly principal: string;
  /** Whether it may come back by registering. */
  readonly untilRegistered: boolean;
}

/** Shuts agents out, and lets them in again. */
export class Revocations {
  readonly #parts: RevocationParts;

  constructor(parts: RevocationParts) {
    this.#parts = parts;
  }

  /** Whether nothing of an agent counts, as far as this process has heard. */
  isShutOut({ tenant, agentId }: AgentIdentity): boolean {
    return this.#parts.revoked.get(`${tenant}.${agentId}`) !== undefined;
  }

  /** A revoked agent as it was last known; undefined if it is not revoked. */
  get(tenant: string, agentId: string): Agent | undefined {
    const record = this.#parts.revoked.get(`${tenant}.${agentId}`);
    return record?.untilRegistered === false ? record.agent : undefined;
  }

  /** The revoked agents of a tenant. */
  list(tenant: string): readonly Agent[] {
    return [...this.#parts.revoked.entries()].flatMap(([key, { agent, untilRegistered }]) =>
      key.startsWith(`${tenant}.`) && !untilRegistered && agent !== undefined ? [agent] : [],
    );
  }

  /** Takes an agent for what it is as it registers. Throws AGENT_REVOKED and BROKER_UNAVAILABLE. */
  async admit({ tenant, agentId }: AgentIdentity): Promise<void> {
    const { revoked } = this.#parts;
    const standing = await revoked.read(`${tenant}.${agentId}`);
    if (standing === undefined) return;
    if (!standing.untilRegistered) throw agentRevoked(agentId);
    await revoked.change(`${tenant}.${agentId}`, (now) => {
      if (now?.untilRegistered === false) throw agentRevoked(agentId);
      return undefined;
    });
  }

  /** Shuts an agent out. When it resolves, a broker has closed its connections. Safe to repeat. Throws BROKER_UNAVAILABLE. */
  async shutOut(from: AgentIdentity, verdict: Verdict): Promise<Agent> {
    const { revoked, registry, credentials, takeBack } = this.#parts;
    const { tenant, agentId } = from;
    const known = registry.get(tenant, agentId);
    let agent = this.#agentOf(agentId, known, verdict);
    await revoked.change(`${tenant}.${agentId}`, (standing) => {
      // What was said first stands, except that a revocation outweighs the loss of a principal.
      if (standing !== undefined && (verdict.untilRegistered || !standing.untilRegistered)) {
        agent = standing.agent ?? agent;
        return standing;
      }
      agent = this.#agentOf(agentId, known ?? standing?.agent, verdict);
      return create(RevokedAgentSchema, { agent, untilRegistered: verdict.untilRegistered });
    });
    this.#parts.logger.warn({ tenant, agent_id: agentId, reason: verdict.reason }, "agent shut out");
    // First the bus, so that it gets no more of what is taken from it.
    await credentials?.revoke(from);
    if ((known ?? (await registry.read(tenant, agentId))) !== undefined) await registry.remove(tenant, agentId);
    takeBack(agent, from);
    return agent;
  }

  /** Lets a revoked agent register again. Throws BROKER_UNAVAILABLE. */
  async restore({ tenant, agentId }: AgentIdentity): Promise<void> {
    await this.#parts.revoked.change(`${tenant}.${agentId}`, () => undefined);
  }

  #agentOf(agentId: string, known: Agent | undefined, { reason, principal }: Verdict): Agent {
    const revokeTime = timestampFromMs(this.#parts.clock.now());
    return {
      ...(known ?? create(AgentSchema)),
      agentId,
      state: AgentState.REVOKED,
      running: 0,
      revocation: create(AgentRevocationSchema, { reason, revokeTime, principal }),
    };
  }
}

function agentRevoked(agentId: string): MeshError {
  return new MeshError("AGENT_REVOKED", `agent ${JSON.stringify(agentId)} was revoked`, {
    resource: { type: "mycel.v1.Agent", name: agentId },
  });
}
