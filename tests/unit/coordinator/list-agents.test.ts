import { create, toBinary } from "@bufbuild/protobuf";
import { createClient, createRouterTransport } from "@connectrpc/connect";
import { expect, test } from "vitest";
import { type Agent, AgentSchema, AgentSessionSchema } from "../../../gen/mycel/v1/agent_pb.ts";
import { AgentService, ListAgentsResponseSchema } from "../../../gen/mycel/v1/agent_service_pb.ts";
import type { Action } from "../../../lib/core/access/action.ts";
import type { Principal } from "../../../lib/core/access/principal.ts";
import { agentRpcs } from "../../../services/coordinator/rpc/agents.ts";
import { calledBy } from "../../support/principals.ts";

/** Who is behind an agent. */
const BEHIND = { principal: "key:somebody", publicKey: "U…" };

/** What most gRPC clients take at most unless told otherwise. */
const CLIENT_MAX_BYTES = 4 * 1024 * 1024;

test("a page of agents that say all they may about themselves is one that clients take, and the pages hold everybody once", async () => {
  const agents = Array.from({ length: 60 }, (_, i) => wordy(`agent-${String(i).padStart(3, "0")}`));
  const registry = { list: () => agents, listen: () => () => undefined };
  const fleet = {
    register: refuse,
    deregister: refuse,
    revoke: refuse,
    restore: refuse,
    get: refuse,
    revoked: () => [],
  };
  const rpcs = agentRpcs({ fleet, registry, draining: new AbortController().signal });
  const client = createClient(
    AgentService,
    createRouterTransport((router) => router.service(AgentService, rpcs), { router: { interceptors: [calledBy()] } }),
  );
  const seen: string[] = [];
  let pages = 0;
  for (let pageToken = ""; pages === 0 || pageToken !== ""; pages += 1) {
    const page = await client.listAgents({ pageSize: 1_000, pageToken });
    expect(toBinary(ListAgentsResponseSchema, page).length).toBeLessThan(CLIENT_MAX_BYTES);
    seen.push(...page.agents.map(({ agentId }) => agentId));
    pageToken = page.nextPageToken;
  }
  expect(seen).toEqual(agents.map(({ agentId }) => agentId));
  expect(pages).toBeGreaterThan(1);
});

/** An agent at all its bounds: 64 capabilities of 1,024 characters, which take three bytes each. */
function wordy(agentId: string): Agent {
  const capabilities = Array.from({ length: 64 }, (_, i) => ({
    type: `t${i}`,
    queue: `q${i}`,
    description: "語".repeat(1_024),
  }));
  return create(AgentSchema, { agentId, name: agentId, capabilities });
}

function refuse(): never {
  throw new Error("not asked in this test");
}

test.for<[string, readonly Action[], object]>([
  ["hides who is behind an agent from those who may only look", ["agent:read"], { principal: "", publicKey: "" }],
  ["shows who is behind an agent to those who may revoke it", ["agent:read", "agent:revoke"], BEHIND],
])("every answer %s", async ([, actions, expected]) => {
  const agent = create(AgentSchema, { agentId: "a", ...BEHIND });
  const revoked = create(AgentSchema, { agentId: "b", revocation: { reason: "why", principal: "key:root" } });
  const registry = { list: () => [agent], listen: () => () => undefined };
  const fleet = {
    register: async () => ({ agent, session: create(AgentSessionSchema) }),
    deregister: refuse,
    revoke: async () => revoked,
    restore: refuse,
    get: () => agent,
    revoked: () => [revoked],
  };
  const caller: Principal = {
    kind: "key",
    id: "k",
    tenant: "default",
    grants: [{ actions: new Set(actions), taskTypes: ["*"], labels: {} }],
    expiresMs: Infinity,
  };
  const rpcs = agentRpcs({ fleet, registry, draining: new AbortController().signal });
  const client = createClient(
    AgentService,
    createRouterTransport((router) => router.service(AgentService, rpcs), {
      router: { interceptors: [calledBy(caller)] },
    }),
  );

  const { agents } = await client.listAgents({ showRevoked: true });
  expect(agents).toMatchObject([expected, { revocation: { reason: "why" } }]);
  expect(agents[1]?.revocation?.principal).toBe(actions.includes("agent:revoke") ? "key:root" : "");
  expect((await client.listAgents({})).agents).toHaveLength(1);
  expect((await client.getAgent({ agentId: "a" })).agent).toMatchObject(expected);
  expect((await client.registerAgent({})).agent).toMatchObject(expected);
  for await (const { agent: watched } of client.watchAgents({})) {
    expect(watched).toMatchObject(expected);
    break;
  }
});
