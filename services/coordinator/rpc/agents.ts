// The RPCs about agents.

import { create, equals, toBinary } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import { type Agent, AgentSchema } from "../../../gen/mycel/v1/agent_pb.ts";
import {
  AgentChange,
  type AgentService,
  type WatchAgentsResponse,
  WatchAgentsResponseSchema,
} from "../../../gen/mycel/v1/agent_service_pb.ts";
import type { Principal } from "../../../lib/core/access/principal.ts";
import { mayDo } from "../../../lib/core/access/task-scope.ts";
import { MeshError } from "../../../lib/core/mesh-error.ts";
import type { Registry, RegistryChange } from "../../../lib/nats/registry.ts";
import { Violations } from "../../../lib/wire/validation.ts";
import type { Fleet } from "../agents/fleet.ts";
import { principalOf, tenantOf } from "./caller.ts";

type AgentRpcs = Pick<
  ServiceImpl<typeof AgentService>,
  "registerAgent" | "deregisterAgent" | "revokeAgent" | "restoreAgent" | "getAgent" | "listAgents" | "watchAgents"
>;

/** What the RPCs need. */
export interface AgentRpcParts {
  readonly fleet: Pick<Fleet, "register" | "deregister" | "revoke" | "restore" | "get" | "revoked">;
  readonly registry: Pick<Registry, "list" | "listen">;
  /** Aborts when the coordinator drains. */
  readonly draining: AbortSignal;
}

const DEFAULT_PAGE_SIZE = 100;
const MAX_PAGE_SIZE = 1_000;
/** An agent may describe itself at length; many clients take no more than 4 MiB. */
const MAX_PAGE_BYTES = 2 * 1024 * 1024;

const MAX_REASON_LENGTH = 1_024;

const CHANGES: Readonly<Record<RegistryChange["kind"], AgentChange>> = {
  added: AgentChange.ADDED,
  updated: AgentChange.UPDATED,
  removed: AgentChange.REMOVED,
  lost: AgentChange.LOST,
};

/** Implements the RPCs about agents. */
export function agentRpcs({ fleet, registry, draining }: AgentRpcParts): AgentRpcs {
  return {
    registerAgent: async (request, context) => {
      const principal = principalOf(context);
      const { agent, session } = await fleet.register(principal, request, context.signal);
      return { agent: shownTo(principal, agent), session };
    },
    deregisterAgent: async ({ agentId }, context) => {
      checkAgentId(agentId);
      await fleet.deregister(principalOf(context), agentId);
      return {};
    },
    revokeAgent: async ({ agentId, reason }, context) => {
      const v = new Violations();
      v.name("agent_id", agentId);
      v.text("reason", reason, MAX_REASON_LENGTH);
      v.throwIfAny();
      const principal = principalOf(context);
      return { agent: shownTo(principal, await fleet.revoke(principal, agentId, reason)) };
    },
    restoreAgent: async ({ agentId }, context) => {
      checkAgentId(agentId);
      await fleet.restore(tenantOf(context), agentId);
      return {};
    },
    getAgent: ({ agentId }, context) => {
      checkAgentId(agentId);
      const principal = principalOf(context);
      return { agent: shownTo(principal, fleet.get(principal.tenant, agentId)) };
    },
    listAgents: ({ pageSize, pageToken, type, showRevoked }, context) => {
      const v = new Violations();
      if (pageSize < 0) v.add("page_size", `must be from 0 to ${MAX_PAGE_SIZE}, is ${pageSize}`);
      v.optionalName("page_token", pageToken);
      v.optionalName("type", type);
      v.throwIfAny();
      const size = Math.min(pageSize || DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE);
      const principal = principalOf(context);
      const { tenant } = principal;
      const all = showRevoked ? withRevoked(registry.list(tenant), fleet.revoked(tenant)) : registry.list(tenant);
      const rest = all.filter((agent) => agent.agentId > pageToken && can(agent, type));
      const agents = fitting(rest.slice(0, size).map((agent) => shownTo(principal, agent)));
      return { agents, nextPageToken: rest.length > agents.length ? (agents.at(-1)?.agentId ?? "") : "" };
    },
    watchAgents: async function* watchAgents({ type }, context) {
      const v = new Violations();
      v.optionalName("type", type);
      v.throwIfAny();
      const principal = principalOf(context);
      const ended = AbortSignal.any([context.signal, draining]);
      for await (const message of watch(registry, principal.tenant, type, ended, draining)) {
        yield message.agent === undefined ? message : { ...message, agent: shownTo(principal, message.agent) };
      }
    },
  };
}

async function* watch(
  registry: AgentRpcParts["registry"],
  tenant: string,
  type: string,
  ended: AbortSignal,
  draining: AbortSignal,
): AsyncGenerator<WatchAgentsResponse> {
  // Only the last change of each agent is kept for a slow reader, and that it was gone before: that is all it needs to be right.
  const pending = new Map<string, readonly WatchAgentsResponse[]>();
  const sent = new Map<string, Agent>();
  let wake = Promise.withResolvers<void>();
  const changed = (): void => wake.resolve();
  const stop = registry.listen((change) => {
    if (change.tenant !== tenant || !can(change.agent, type)) return;
    const { agentId } = change.agent;
    const message = response(CHANGES[change.kind], change.agent);
    const [first] = pending.get(agentId) ?? [];
    pending.set(agentId, first !== undefined && isGoodbye(first) && !isGoodbye(message) ? [first, message] : [message]);
    changed();
  });
  ended.addEventListener("abort", changed, { once: true });
  try {
    for (const agent of registry.list(tenant)) {
      if (!can(agent, type)) continue;
      sent.set(agent.agentId, agent);
      yield response(AgentChange.ADDED, agent);
    }
    yield response(AgentChange.SYNCED, undefined);
    while (!ended.aborted) {
      const next = pending.entries().next().value;
      if (next === undefined) {
        await wake.promise;
        wake = Promise.withResolvers<void>();
        continue;
      }
      const [agentId, messages] = next;
      pending.delete(agentId);
      for (const message of messages) {
        const kind = tell(sent, agentId, message);
        if (kind !== undefined) yield { ...message, change: kind };
      }
    }
    if (draining.aborted) throw new MeshError("DRAINING", "the coordinator is shutting down", { retryDelayMs: 100 });
  } finally {
    stop();
    ended.removeEventListener("abort", changed);
  }
}

/** What a change is for this watcher, which may have missed earlier ones; undefined if it is no news. */
function tell(sent: Map<string, Agent>, agentId: string, message: WatchAgentsResponse): AgentChange | undefined {
  const { change, agent } = message;
  const before = sent.get(agentId);
  if (isGoodbye(message)) {
    return sent.delete(agentId) ? change : undefined;
  }
  if (agent === undefined) return undefined;
  sent.set(agentId, agent);
  if (before === undefined) return AgentChange.ADDED;
  // A sign of life that says nothing new is no change.
  const same = equals(AgentSchema, { ...before, heartbeatTime: agent.heartbeatTime }, agent);
  return same ? undefined : AgentChange.UPDATED;
}

function isGoodbye({ change }: WatchAgentsResponse): boolean {
  return change === AgentChange.REMOVED || change === AgentChange.LOST;
}

/** An agent as a caller may see it: who is behind it is for those who may act upon it. */
function shownTo(principal: Principal, agent: Agent): Agent {
  if (agent.principal === "" && agent.publicKey === "" && (agent.revocation?.principal ?? "") === "") return agent;
  if (mayDo(principal, "agent:revoke")) return agent;
  const shown = { ...agent, principal: "", publicKey: "" };
  return agent.revocation === undefined ? shown : { ...shown, revocation: { ...agent.revocation, principal: "" } };
}

/** All agents once, ordered by id: one that was revoked is nothing else, even if its registration is not over yet. */
function withRevoked(registered: readonly Agent[], revoked: readonly Agent[]): Agent[] {
  const all = new Map([...registered, ...revoked].map((agent) => [agent.agentId, agent]));
  return [...all.values()].sort((a, b) => (a.agentId < b.agentId ? -1 : 1));
}

function response(change: AgentChange, agent: Agent | undefined): WatchAgentsResponse {
  return create(WatchAgentsResponseSchema, agent === undefined ? { change } : { change, agent });
}

function can(agent: Agent, type: string): boolean {
  return type === "" || agent.capabilities.some((capability) => capability.type === type);
}

/** As many agents as fit into a page, at least one. */
function fitting(agents: readonly Agent[]): Agent[] {
  let bytes = 0;
  const tooMany = agents.findIndex((agent, i) => {
    bytes += toBinary(AgentSchema, agent).length;
    return bytes > MAX_PAGE_BYTES && i > 0;
  });
  return tooMany < 0 ? [...agents] : agents.slice(0, tooMany);
}

function checkAgentId(agentId: string): void {
  const v = new Violations();
  v.name("agent_id", agentId);
  v.throwIfAny();
}
