// What a client knows of its mesh, how long it keeps that, and how often it asks.
import { create } from "@bufbuild/protobuf";
import type { Interceptor } from "@connectrpc/connect";
import { expect, test } from "vitest";
import { AgentSchema, AgentState } from "../../../gen/mycel/v1/agent_pb.ts";
import { createClient } from "../../../sdk/client/index.ts";
import { openFakeCoordinator } from "../../support/fake-coordinator.ts";
import { handClock } from "../../support/hand-clock.ts";
import { openRpcServer } from "../../support/rpc-server.ts";

function setup(urls: readonly string[]) {
  const clock = handClock();
  const asked: string[] = [];
  const noting: Interceptor = (next) => async (request) => {
    asked.push(request.method.name);
    return await next(request);
  };
  return { clock, asked, client: createClient({ urls, clock, interceptors: [noting] }) };
}

test("health is asked for once a minute, whoever wants to know", async () => {
  await using mesh = await openFakeCoordinator();
  const { client, clock, asked } = setup([mesh.url]);
  await using _ = client;
  const [first, second] = await Promise.all([client.health(), client.health(), client.health()]);
  expect(first).toEqual({
    healthy: true,
    endpoints: [{ url: mesh.url, status: "serving", detail: "", breaker: "closed" }],
    checkTime: new Date(clock.now()),
  });
  expect(second).toBe(first);
  clock.advance(59_999);
  expect(await client.health()).toBe(first);
  expect(asked).toEqual(["Check"]);
  clock.advance(1);
  expect((await client.health()).checkTime).toEqual(new Date(clock.now()));
  expect(asked).toEqual(["Check", "Check"]);
});

test("clearCache gets news", async () => {
  await using mesh = await openFakeCoordinator();
  const { client, asked } = setup([mesh.url]);
  await using _ = client;
  expect((await client.health()).healthy).toBe(true);
  await client.capabilities();
  await mesh.stop();
  expect((await client.health()).healthy).toBe(true);
  client.clearCache();
  expect((await client.health()).healthy).toBe(false);
  await using again = await openFakeCoordinator({ port: mesh.port });
  client.clearCache();
  expect((await client.capabilities()).size).toBe(0);
  expect(asked.filter((method) => method === "ListAgents")).toHaveLength(2);
  expect(again.count("ListAgents")).toBe(1);
});

test("a mesh is healthy if any of its coordinators serves, and each is told of", async () => {
  await using alive = await openFakeCoordinator();
  await using gone = await openFakeCoordinator();
  await gone.stop();
  await using leaving = await openRpcServer();
  leaving.health.set("", "NOT_SERVING");
  const { client } = setup([gone.url, leaving.url, alive.url]);
  await using _ = client;
  const { healthy, endpoints } = await client.health();
  expect(healthy).toBe(true);
  expect(endpoints).toMatchObject([
    { url: gone.url, status: "unreachable", detail: `cannot connect to ${gone.url}: connection refused` },
    { url: leaving.url, status: "not_serving", detail: "" },
    { url: alive.url, status: "serving", detail: "" },
  ]);
});

test("bad news is kept for two seconds only", async () => {
  await using leaving = await openRpcServer();
  leaving.health.set("", "NOT_SERVING");
  const { client, clock } = setup([leaving.url]);
  await using _ = client;
  expect((await client.health()).healthy).toBe(false);
  leaving.health.set("", "SERVING");
  clock.advance(1_999);
  expect((await client.health()).healthy).toBe(false);
  clock.advance(1);
  expect((await client.health()).healthy).toBe(true);
});

test("capabilities are added up over the agents that take work, and kept for five minutes", async () => {
  await using mesh = await openFakeCoordinator();
  const agentOf = (agentId: string, types: string[], state: AgentState, running: number): void => {
    const capabilities = types.map((type) => ({
      type,
      queue: `${type}-queue`,
      description: `${agentId} does ${type}`,
    }));
    mesh.agents.set(agentId, create(AgentSchema, { agentId, name: "a", capabilities, concurrency: 8, state, running }));
  };
  agentOf("one", ["resize", "echo"], AgentState.ACTIVE, 3);
  agentOf("two", ["echo"], AgentState.ACTIVE, 1);
  agentOf("three", ["echo", "ocr"], AgentState.DRAINING, 8);
  const { client, clock, asked } = setup([mesh.url]);
  await using _ = client;
  const [capabilities] = await Promise.all([client.capabilities(), client.capabilities()]);
  expect([...capabilities.keys()]).toEqual(["echo", "resize"]);
  expect(capabilities.get("echo")).toEqual({
    type: "echo",
    description: "one does echo",
    queues: ["echo-queue"],
    agents: 2,
    concurrency: 16,
    running: 4,
  });
  agentOf("four", ["ocr"], AgentState.ACTIVE, 0);
  clock.advance(299_999);
  expect((await client.capabilities()).has("ocr")).toBe(false);
  expect(asked).toEqual(["ListAgents"]);
  clock.advance(1);
  expect((await client.capabilities()).has("ocr")).toBe(true);
});
