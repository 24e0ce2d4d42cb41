// Who works here: registration, signs of life, and what an agent is told so that it can work.

import { create } from "@bufbuild/protobuf";
import {
  type Agent,
  AgentSchema,
  type AgentSession,
  AgentSessionSchema,
  AgentState,
  CapabilitySchema,
  LaneSchema,
} from "../../../gen/mycel/v1/agent_pb.ts";
import {
  type HeartbeatRequest,
  type HeartbeatResponse,
  HeartbeatResponseSchema,
} from "../../../gen/mycel/v1/agent_protocol_pb.ts";
import type { RegisterAgentRequest } from "../../../gen/mycel/v1/agent_service_pb.ts";
import { principalName } from "../../../lib/core/access/principal-name.ts";
import type { Principal } from "../../../lib/core/access/principal.ts";
import { coversType, mayDo, taskScopeOf } from "../../../lib/core/access/task-scope.ts";
import type { Clock } from "../../../lib/core/clock.ts";
import type { Logger } from "../../../lib/core/logger.ts";
import { MAX_CAPABILITIES, MAX_CONCURRENCY } from "../../../lib/core/limits.ts";
import { MeshError } from "../../../lib/core/mesh-error.ts";
import type { AgentIdentity } from "../../../lib/nats/agent-requests.ts";
import type { Lanes } from "../../../lib/nats/lanes.ts";
import type { Registry } from "../../../lib/nats/registry.ts";
import { isAgentKey } from "../../../lib/nats/trust/agent-credential.ts";
import { pause } from "../../../lib/time/pause.ts";
import { priorityToWire } from "../../../lib/wire/state-codec.ts";
import {
  agentSubject,
  inboxPrefix,
  parseLaneConsumer,
  signalSubject,
  TASKS_STREAM,
} from "../../../lib/wire/subjects.ts";
import { durationFromMs, msFromTimestamp, timestampFromMs } from "../../../lib/wire/time-codec.ts";
import { Violations } from "../../../lib/wire/validation.ts";
import { actionNotAllowed } from "../access/refusals.ts";
import type { CredentialDesk } from "./credential-desk.ts";
import type { Revocations } from "./revocations.ts";

/** What the fleet needs. */
export interface FleetParts {
  readonly registry: Registry;
  readonly lanes: Lanes;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly randomId: () => string;
  /** Where agents reach NATS. */
  readonly natsUrls: readonly string[];
  readonly leaseMs: number;
  readonly heartbeatMs: number;
  /** Undefined where the broker asks agents for no credentials. */
  readonly credentials: CredentialDesk | undefined;
  readonly revocations: Revocations;
}

/** How long a principal that was revoked is looked for among agents once more: what it began before may have ended after. */
const LATECOMERS_MS = 2_000;

/** How long a sign of life counts at most before one that says the same is written, in milliseconds. */
const SAME_SIGN_MS = 1_000;

/** Registers agents. */
export class Fleet implements Disposable {
  readonly #parts: FleetParts;
  readonly #closing = new AbortController();

  constructor(parts: FleetParts) {
    this.#parts = parts;
  }

  /**
   * Registers an agent, or renews its registration. Throws INVALID_REQUEST, ACTION_NOT_ALLOWED, AGENT_ID_TAKEN, AGENT_REVOKED and
   * QUEUE_LIMIT, and the reason of a signal that says that whoever asked has left: an agent that stops while it registers anew has
   * deregistered already.
   */
  async register(
    principal: Principal,
    request: RegisterAgentRequest,
    left: AbortSignal,
  ): Promise<{ agent: Agent; session: AgentSession }> {
    const { registry, clock, randomId, credentials, revocations } = this.#parts;
    check(request, credentials !== undefined);
    checkScope(principal, request);
    const { tenant } = principal;
    const agentId = request.agentId || `${request.name.replaceAll(/[^A-Za-z0-9_-]/g, "-").slice(0, 40)}-${randomId()}`;
    const known = registry.get(tenant, agentId);
    const now = timestampFromMs(clock.now());
    const agent = create(AgentSchema, {
      agentId,
      name: request.name,
      version: request.version,
      capabilities: request.capabilities.map(({ type, queue, description }) =>
        create(CapabilitySchema, { type, queue: queue || type, description }),
      ),
      concurrency: request.concurrency || 1,
      labels: request.labels,
      state: AgentState.ACTIVE,
      registerTime: known?.registerTime ?? now,
      heartbeatTime: now,
      principal: principalName(principal),
      publicKey: request.publicKey,
    });
    const identity = { tenant, agentId };
    const holder = { ...identity, publicKey: agent.publicKey, principal: agent.principal };
    credentials?.check(holder);
    const session = await this.#session(tenant, agent);
    left.throwIfAborted();
    if (!(await registry.put(tenant, agent, (standing) => isOf(standing, principal)))) throw idTaken(agentId);
    if (credentials !== undefined) {
      const { jwt, expiresMs } = await credentials.issue({ ...holder, lanes: session.lanes });
      session.credential = jwt;
      session.credentialExpireTime = timestampFromMs(expiresMs);
    }
    // Last, when the credential is on record: whoever revokes the agent meanwhile finds it there, or is found here.
    try {
      await revocations.admit(identity);
    } catch (error) {
      await registry.remove(tenant, agentId);
      throw error;
    }
    return { agent, session };
  }

  /** Shuts an agent out, whether or not it is registered. Safe to repeat. Throws BROKER_UNAVAILABLE. */
  async revoke(by: Principal, agentId: string, reason: string): Promise<Agent> {
    const verdict = { reason, principal: principalName(by), untilRegistered: false };
    return await this.#parts.revocations.shutOut({ tenant: by.tenant, agentId }, verdict);
  }

  /** Lets a revoked agent register again. Throws BROKER_UNAVAILABLE. */
  async restore(tenant: string, agentId: string): Promise<void> {
    await this.#parts.revocations.restore({ tenant, agentId });
  }

  /**
   * Shuts out every agent that a principal has registered, until somebody who may registers it again. For whoever has made the principal's
   * credential void: its calls must be refused already. Resolves when what is known now is done; what was on its way is looked for again
   * a little later. Throws BROKER_UNAVAILABLE.
   */
  async revokePrincipal(principal: Pick<Principal, "kind" | "id" | "tenant">): Promise<void> {
    await this.#shutOutAllOf(principal);
    void pause(LATECOMERS_MS, this.#closing.signal)
      .then((more) => (more ? this.#shutOutAllOf(principal) : undefined))
      .catch((err: unknown) => this.#parts.logger.error({ err }, "agents of a revoked principal not shut out"));
  }

  async #shutOutAllOf(principal: Pick<Principal, "kind" | "id" | "tenant">): Promise<void> {
    const { registry, credentials, revocations } = this.#parts;
    const [name, { tenant }] = [principalName(principal), principal];
    const registered = registry.list(tenant).filter((agent) => agent.principal === name);
    const held = credentials?.heldBy(tenant, name) ?? [];
    const verdict = { reason: "whoever registered it was revoked", principal: "", untilRegistered: true };
    for (const agentId of new Set([...registered, ...held].map((each) => each.agentId))) {
      const standing = await registry.read(tenant, agentId);
      if (standing === undefined || standing.principal === name)
        await revocations.shutOut({ tenant, agentId }, verdict);
      // The id is somebody else's by now.
      else await credentials?.revoke({ tenant, agentId }, name);
    }
  }

  /** Takes a sign of life. */
  async heartbeat(from: AgentIdentity, request: HeartbeatRequest): Promise<HeartbeatResponse> {
    const { registry, clock, revocations } = this.#parts;
    if (revocations.isShutOut(from)) return create(HeartbeatResponseSchema, { registered: false });
    const state = request.draining ? AgentState.DRAINING : AgentState.ACTIVE;
    const running = Math.max(0, request.running);
    const standing = registry.get(from.tenant, from.agentId);
    if (standing?.state === state && standing.running === running && this.#isRecent(standing)) {
      return create(HeartbeatResponseSchema, { registered: true });
    }
    const registered = await registry.renew(from.tenant, from.agentId, (known) =>
      create(AgentSchema, { ...known, state, running, heartbeatTime: timestampFromMs(clock.now()) }),
    );
    return create(HeartbeatResponseSchema, { registered });
  }

  /** Whether an agent gave a sign of life so lately that another one tells nothing: an agent can make them as fast as it likes. */
  #isRecent({ heartbeatTime }: Agent): boolean {
    const { clock, heartbeatMs } = this.#parts;
    const ageMs = clock.now() - (msFromTimestamp(heartbeatTime) ?? 0);
    return ageMs >= 0 && ageMs < Math.min(SAME_SIGN_MS, heartbeatMs / 2);
  }

  /** Ends a registration. Throws AGENT_NOT_FOUND, also for an agent that somebody else has registered. */
  async deregister(principal: Principal, agentId: string): Promise<void> {
    const { registry } = this.#parts;
    const { tenant } = principal;
    // Whoever leaves as soon as it came may meet a coordinator that has not heard of it.
    const known = registry.get(tenant, agentId) ?? (await registry.read(tenant, agentId));
    if (known === undefined) throw agentNotFound(agentId);
    if (!isOf(known, principal) && !mayDo(principal, "agent:revoke")) throw agentNotFound(agentId);
    await registry.remove(tenant, agentId);
  }

  /** An agent, registered or revoked. Throws AGENT_NOT_FOUND. */
  get(tenant: string, agentId: string): Agent {
    const { registry, revocations } = this.#parts;
    const agent = revocations.get(tenant, agentId) ?? registry.get(tenant, agentId);
    if (agent === undefined) throw agentNotFound(agentId);
    return agent;
  }

  /** Whether an agent is registered for a lane, by the name of its consumer, as far as this process has heard. */
  serves({ tenant, agentId }: AgentIdentity, consumer: string): boolean {
    const lane = parseLaneConsumer(consumer);
    const capabilities = this.#parts.registry.get(tenant, agentId)?.capabilities ?? [];
    return lane?.tenant === tenant && capabilities.some(({ queue }) => queue === lane.queue);
  }

  /** The revoked agents of a tenant. */
  revoked(tenant: string): readonly Agent[] {
    return this.#parts.revocations.list(tenant);
  }

  /** Begins nothing more. */
  [Symbol.dispose](): void {
    this.#closing.abort();
  }

  async #session(tenant: string, agent: Agent): Promise<AgentSession> {
    const { lanes, natsUrls, leaseMs, heartbeatMs, clock } = this.#parts;
    const queues = [...new Set(agent.capabilities.map(({ queue }) => queue))];
    const found = await Promise.all(queues.map((queue) => lanes.renew(tenant, queue)));
    return create(AgentSessionSchema, {
      natsUrls: [...natsUrls],
      lanes: found.flat().map(({ queue, priority, consumer, createMs }) =>
        create(LaneSchema, {
          queue,
          priority: priorityToWire(priority),
          stream: TASKS_STREAM,
          consumer,
          createTime: timestampFromMs(createMs),
        }),
      ),
      inboxPrefix: inboxPrefix(tenant, agent.agentId),
      reportSubject: agentSubject(tenant, agent.agentId, "report"),
      heartbeatSubject: agentSubject(tenant, agent.agentId, "heartbeat"),
      signalSubject: signalSubject(tenant, agent.agentId),
      outputSubjectTemplate: `out.${tenant}.{task_id}.${agent.agentId}.{attempt}`,
      leaseDuration: durationFromMs(leaseMs),
      heartbeatInterval: durationFromMs(heartbeatMs),
      tenant,
      createTime: timestampFromMs(clock.now()),
    });
  }
}

function agentNotFound(agentId: string): MeshError {
  return new MeshError("AGENT_NOT_FOUND", `no agent ${JSON.stringify(agentId)} is registered`, {
    resource: { type: "mycel.v1.Agent", name: agentId },
  });
}

function idTaken(agentId: string): MeshError {
  return new MeshError("AGENT_ID_TAKEN", `agent ${JSON.stringify(agentId)} is registered by somebody else`, {
    resource: { type: "mycel.v1.Agent", name: agentId },
  });
}

/** Whether an agent was registered by this principal; what was registered while nobody had to say who it is belongs to anybody. */
function isOf({ principal }: Agent, by: Principal): boolean {
  return principal === "" || principal === principalName(by);
}

/**
 * Whether the caller may serve all that it offers to. Who pulls from a queue gets whatever waits there, whatever its type and labels: so
 * its role must cover the queue by its name, too, and no rule that asks for labels counts.
 */
function checkScope(principal: Principal, { capabilities }: RegisterAgentRequest): void {
  const scope = taskScopeOf(principal, "agent:register");
  if (scope === undefined) return;
  const wanted = capabilities.flatMap(({ type, queue }) => [type, queue || type]);
  if (!wanted.every((name) => coversType(scope, name))) throw actionNotAllowed("agent:register");
}

function check(request: RegisterAgentRequest, needsKey: boolean): void {
  const v = new Violations();
  v.optionalName("agent_id", request.agentId);
  v.text("name", request.name, 64, 1);
  v.text("version", request.version, 64);
  v.count("capabilities", request.capabilities.length, 1, MAX_CAPABILITIES);
  v.number("concurrency", request.concurrency, 1, MAX_CONCURRENCY);
  v.labels("labels", request.labels);
  if (request.publicKey !== "" && !isAgentKey(request.publicKey)) {
    v.add("public_key", "must be the public key of a user of NATS: U and 55 more characters of base32");
  } else if (request.publicKey === "" && needsKey) {
    v.add("public_key", "is required: the broker takes agents by their credentials");
  }
  const seen = new Set<string>();
  request.capabilities.slice(0, MAX_CAPABILITIES).forEach(({ type, queue, description }, i) => {
    v.name(`capabilities[${i}].type`, type);
    v.queue(`capabilities[${i}].queue`, queue);
    if (queue === "") v.notSystemQueue(`capabilities[${i}].type`, type);
    v.text(`capabilities[${i}].description`, description, 1024);
    if (seen.has(type)) v.add(`capabilities[${i}].type`, `${type} is listed twice`);
    seen.add(type);
  });
  v.throwIfAny();
}
