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
import type { Clock } from "../../../lib/core/clock.ts";
import { MAX_CAPABILITIES, MAX_CONCURRENCY } from "../../../lib/core/limits.ts";
import { MeshError } from "../../../lib/core/mesh-error.ts";
import type { AgentIdentity } from "../../../lib/nats/agent-requests.ts";
import type { Lanes } from "../../../lib/nats/lanes.ts";
import type { Registry } from "../../../lib/nats/registry.ts";
import { priorityToWire } from "../../../lib/wire/state-codec.ts";
import { agentSubject, inboxPrefix, signalSubject, TASKS_STREAM } from "../../../lib/wire/subjects.ts";
import { durationFromMs, timestampFromMs } from "../../../lib/wire/time-codec.ts";
import { Violations } from "../../../lib/wire/validation.ts";

/** What the fleet needs. */
export interface FleetParts {
  readonly registry: Registry;
  readonly lanes: Lanes;
  readonly clock: Clock;
  readonly randomId: () => string;
  /** Where agents reach NATS. */
  readonly natsUrls: readonly string[];
  readonly leaseMs: number;
  readonly heartbeatMs: number;
}

/** Registers agents. */
export class Fleet {
  readonly #parts: FleetParts;

  constructor(parts: FleetParts) {
    this.#parts = parts;
  }

  /**
   * Registers an agent, or renews its registration. Throws INVALID_REQUEST and QUEUE_LIMIT, and the reason of a signal that says that
   * whoever asked has left: an agent that stops while it registers anew has deregistered already.
   */
  async register(
    tenant: string,
    request: RegisterAgentRequest,
    left: AbortSignal,
  ): Promise<{ agent: Agent; session: AgentSession }> {
    check(request);
    const { registry, clock, randomId } = this.#parts;
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
    });
    const session = await this.#session(tenant, agent);
    left.throwIfAborted();
    await registry.put(tenant, agent);
    return { agent, session };
  }

  /** Takes a sign of life. */
  async heartbeat(from: AgentIdentity, request: HeartbeatRequest): Promise<HeartbeatResponse> {
    const { registry, clock } = this.#parts;
    const registered = await registry.renew(from.tenant, from.agentId, (known) =>
      create(AgentSchema, {
        ...known,
        state: request.draining ? AgentState.DRAINING : AgentState.ACTIVE,
        running: Math.max(0, request.running),
        heartbeatTime: timestampFromMs(clock.now()),
      }),
    );
    return create(HeartbeatResponseSchema, { registered });
  }

  /** Ends a registration. Throws AGENT_NOT_FOUND. */
  async deregister(tenant: string, agentId: string): Promise<void> {
    const { registry } = this.#parts;
    // Whoever leaves as soon as it came may meet a coordinator that has not heard of it.
    const isKnown = registry.get(tenant, agentId) !== undefined;
    if (!isKnown && !(await registry.isRegistered(tenant, agentId))) throw agentNotFound(agentId);
    await registry.remove(tenant, agentId);
  }

  /** An agent. Throws AGENT_NOT_FOUND. */
  get(tenant: string, agentId: string): Agent {
    const agent = this.#parts.registry.get(tenant, agentId);
    if (agent === undefined) throw agentNotFound(agentId);
    return agent;
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

function check(request: RegisterAgentRequest): void {
  const v = new Violations();
  v.optionalName("agent_id", request.agentId);
  v.text("name", request.name, 64, 1);
  v.text("version", request.version, 64);
  v.count("capabilities", request.capabilities.length, 1, MAX_CAPABILITIES);
  v.number("concurrency", request.concurrency, 1, MAX_CONCURRENCY);
  v.labels("labels", request.labels);
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
