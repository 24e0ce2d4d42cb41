import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { type Client, createClient, createRouterTransport } from "@connectrpc/connect";
import { expect, test } from "vitest";
import { type Agent, AgentSchema, AgentState } from "../../../gen/mycel/v1/agent_pb.ts";
import { AgentChange, AgentService } from "../../../gen/mycel/v1/agent_service_pb.ts";
import type { RegistryChange, RegistryListener } from "../../../lib/nats/registry.ts";
import { timestampFromMs } from "../../../lib/wire/time-codec.ts";
import { agentRpcs } from "../../../services/coordinator/rpc/agents.ts";
import { calledBy } from "../../support/principals.ts";

const REFUSING = {
  register: refuse,
  deregister: refuse,
  revoke: refuse,
  restore: refuse,
  get: refuse,
  revoked: () => [],
};

test.for<[string, MessageInitShape<typeof AgentSchema>]>([
  ["its capabilities", { capabilities: [{ type: "echo", queue: "echo" }, { type: "more" }] }],
  ["its concurrency", { concurrency: 9 }],
  ["its labels", { labels: { zone: "b" } }],
  ["its load", { running: 1 }],
  ["its state", { state: AgentState.DRAINING }],
])("a watcher hears that an agent changed %s, and nothing of a mere sign of life", async ([, change]) => {
  const { client, tell } = watching([agent({})]);
  const seen: AgentChange[] = [];
  for await (const { change: kind, agent: told } of client.watchAgents({})) {
    seen.push(kind);
    if (kind === AgentChange.SYNCED) {
      tell(agent({ heartbeatTime: timestampFromMs(2_000) }));
      // Another agent comes behind each: what is told before it is all there is.
      tell(agent({ agentId: "b" }));
    }
    if (told?.agentId === "b") {
      tell(agent({ heartbeatTime: timestampFromMs(3_000), ...change }));
      tell(agent({ agentId: "c" }));
    }
    if (seen.length > 3) break;
  }
  expect(seen).toEqual([AgentChange.ADDED, AgentChange.SYNCED, AgentChange.ADDED, AgentChange.UPDATED]);
});

test.for(["removed", "lost"] as const)(
  "a watcher hears that an agent was %s though it is back already",
  async (gone) => {
    const { client, tell } = watching([agent({})]);
    const seen: AgentChange[] = [];
    for await (const { change, agent: told } of client.watchAgents({})) {
      seen.push(change);
      if (change === AgentChange.SYNCED) {
        tell(agent({}), gone);
        tell(agent({ concurrency: 8 }), "added");
        tell(agent({ concurrency: 9 }));
        tell(agent({ agentId: "b" }), "added");
      }
      if (change === AgentChange.ADDED && seen.length > 1)
        expect(told?.concurrency).toBe(told?.agentId === "a" ? 9 : 4);
      if (told?.agentId === "b") break;
    }
    const { ADDED, SYNCED, REMOVED, LOST } = AgentChange;
    expect(seen).toEqual([ADDED, SYNCED, gone === "lost" ? LOST : REMOVED, ADDED, ADDED]);
  },
);

/** A client of the RPCs over a registry of which only the changes are real. */
function watching(registered: readonly Agent[]): {
  readonly client: Client<typeof AgentService>;
  readonly tell: (changed: Agent, kind?: RegistryChange["kind"]) => void;
} {
  const listeners = new Set<RegistryListener>();
  const registry = {
    list: () => registered,
    listen: (listener: RegistryListener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
  const rpcs = agentRpcs({ fleet: REFUSING, registry, draining: new AbortController().signal });
  return {
    client: createClient(
      AgentService,
      createRouterTransport((router) => router.service(AgentService, rpcs), { router: { interceptors: [calledBy()] } }),
    ),
    tell: (changed, kind = "updated") => {
      for (const listener of listeners) listener({ kind, tenant: "default", agent: changed });
    },
  };
}

function agent(more: MessageInitShape<typeof AgentSchema>): Agent {
  return create(AgentSchema, {
    agentId: "a",
    capabilities: [{ type: "echo", queue: "echo" }],
    concurrency: 4,
    labels: { zone: "a" },
    state: AgentState.ACTIVE,
    heartbeatTime: timestampFromMs(1_000),
    ...more,
  });
}

function refuse(): never {
  throw new Error("only watching is tested here");
}
