// Where tasks run when the mesh is there, is not, or leaves its answer open: at one place, never at both.
import { create } from "@bufbuild/protobuf";
import { Code } from "@connectrpc/connect";
import { describe, expect, test } from "vitest";
import { AgentSchema, AgentState } from "../../../gen/mycel/v1/agent_pb.ts";
import { richError } from "../../../lib/rpc/rich-error.ts";
import { defineAgent } from "../../../sdk/agent/index.ts";
import { type ClientOptions, createClient, type MycelError } from "../../../sdk/client/index.ts";
import {
  createRouter,
  defaultRules,
  type RouteOptions,
  type RouterOptions,
  type Rule,
} from "../../../sdk/router/index.ts";
import { type FakeCoordinator, openFakeCoordinator } from "../../support/fake-coordinator.ts";
import { handClock } from "../../support/hand-clock.ts";

/** A router that can run `echo` and `heavy` here, over a mesh with an idle agent for them. */
function setup(
  mesh: FakeCoordinator,
  options: Partial<RouterOptions> = {},
  clientOptions: Partial<ClientOptions> = {},
) {
  setAgent(mesh, "idle", 0);
  const ran: string[] = [];
  const clock = handClock();
  const client = createClient({ url: mesh.url, clock, ...clientOptions });
  const here =
    (type: string) =>
    (task: { readonly input: unknown }): unknown => {
      ran.push(type);
      return { here: task.input };
    };
  const router = createRouter({
    client,
    clock,
    handlers: { echo: here("echo"), heavy: here("heavy") },
    rules: defaultRules({ heavy: ["heavy"] }),
    submitTimeoutMs: 300,
    ...options,
  });
  return { client, router, ran, clock };
}

function setAgent(
  mesh: FakeCoordinator,
  agentId: string,
  running: number,
  state: AgentState = AgentState.ACTIVE,
): void {
  const capabilities = ["echo", "heavy"].map((type) => ({ type }));
  mesh.agents.set(agentId, create(AgentSchema, { agentId, name: "a", capabilities, concurrency: 10, running, state }));
}

const FULL = richError({ code: Code.ResourceExhausted, reason: "QUEUE_FULL", message: "full", retryDelayMs: 60_000 });

test("a task goes to a mesh that is well, and comes back as from a client", async () => {
  await using mesh = await openFakeCoordinator();
  const { client, router, ran } = setup(mesh);
  await using _ = client;
  const run = router.run("echo", { a: 1 });
  const kinds = (await Array.fromAsync(run)).map(({ kind }) => kind);
  expect(kinds).toEqual(["snapshot", "state", "state"]);
  expect(await run.result()).toEqual({ a: 1 });
  expect(await run.decision).toMatchObject({ where: "mesh", rule: "otherwise" });
  expect(mesh.tasks.has((await run.submitted).taskId)).toBe(true);
  expect(await router.explain("echo", { a: 1 })).toEqual(await run.decision);
  expect(ran).toEqual([]);
});

describe("a task that could run here runs here", () => {
  test("when no coordinator can be reached", async () => {
    await using mesh = await openFakeCoordinator();
    await mesh.stop();
    const { client, router } = setup(mesh);
    await using _ = client;
    const run = router.run("echo", 7);
    expect(await run.result()).toEqual({ here: 7 });
    expect(await run.decision).toMatchObject({
      where: "local",
      rule: "unhealthy",
      because: `"echo" runs in this process by rule unhealthy: no coordinator serves (cannot connect to ${mesh.url}: connection refused)`,
      facts: { healthy: false },
    });
  });

  test("when the circuit to every coordinator is open, without asking anybody", async () => {
    await using mesh = await openFakeCoordinator();
    const breaker = { failures: 1, patienceMs: 0, probeMs: 0 };
    const { client, router } = setup(mesh, {}, { breaker, retry: { attempts: 1 } });
    await using _ = client;
    mesh.failNext("GetTask", "cut");
    await expect(client.get("t")).rejects.toMatchObject({ reason: "CONNECTION_LOST" });
    const before = mesh.calls.length;
    expect(await router.run("echo", 7).result()).toEqual({ here: 7 });
    expect((await router.explain("echo")).rule).toBe("circuit-open");
    expect(mesh.calls).toHaveLength(before);
  });

  test("when its agents are busy, or gone, by their last heartbeats", async () => {
    await using mesh = await openFakeCoordinator();
    const { client, router, clock } = setup(mesh);
    await using _ = client;
    setAgent(mesh, "idle", 9);
    setAgent(mesh, "leaving", 0, AgentState.DRAINING);
    expect(await router.explain("echo")).toMatchObject({ where: "mesh", facts: { load: 0.9 } });
    setAgent(mesh, "idle", 10);
    clock.advance(4_999);
    expect((await router.explain("echo")).where).toBe("mesh");
    expect(mesh.count("ListAgents")).toBe(1);
    clock.advance(1);
    expect(await router.explain("echo")).toMatchObject({ where: "local", rule: "overloaded", facts: { load: 1 } });
    mesh.agents.clear();
    clock.advance(5_000);
    expect(await router.explain("echo")).toMatchObject({ where: "local", facts: { load: Number.POSITIVE_INFINITY } });
  });

  test("by a load that the user measures", async () => {
    await using mesh = await openFakeCoordinator();
    let load = 0.5;
    const { client, router } = setup(mesh, { load: () => load });
    await using _ = client;
    expect((await router.explain("echo")).where).toBe("mesh");
    load = 0.95;
    expect((await router.explain("echo")).rule).toBe("overloaded");
    expect(mesh.count("ListAgents")).toBe(0);
  });

  test("when the mesh, thought to be well, certainly did not take it: nobody was there", async () => {
    await using mesh = await openFakeCoordinator();
    const { client, router, ran } = setup(mesh);
    await using _ = client;
    await router.run("echo", 1).result();
    await mesh.stop();
    // What is sent on a connection before its end is known may have arrived.
    await expect(client.get("t", { timeoutMs: 500 })).rejects.toMatchObject({ reason: "CONNECTION_LOST" });
    const run = router.run("echo", 2);
    expect(await run.result()).toEqual({ here: 2 });
    expect(await run.decision).toMatchObject({ where: "local", rule: "otherwise", fellBack: true });
    expect((await run.decision).because).toMatch(/; the mesh did not take it: .+/);
    expect(ran).toEqual(["echo"]);
  });

  test("when the mesh, thought to be well, certainly did not take it: it refused", async () => {
    await using mesh = await openFakeCoordinator();
    const { client, router, ran } = setup(mesh);
    await using _ = client;
    mesh.failNext("RunTask", FULL);
    const run = router.run("echo", 2);
    expect(await run.result()).toEqual({ here: 2 });
    expect(await run.decision).toMatchObject({ where: "local", fellBack: true });
    expect(mesh.tasks.size).toBe(0);
    expect(ran).toEqual(["echo"]);
  });
});

describe("a task runs in the mesh only", () => {
  test.for<[string, RouteOptions]>([
    ["the same id", {}],
    ["the same id, though it was given an empty one", { requestId: "", taskId: "" }],
  ])("when it may have it, because an answer is missing: it is asked again under %s", async ([, options]) => {
    await using mesh = await openFakeCoordinator();
    const { client, router, ran } = setup(mesh);
    await using _ = client;
    mesh.failNext("RunTask", "hang");
    const run = router.run("echo", 3, options);
    expect(await run.result()).toBe(3);
    expect(await run.decision).toMatchObject({ where: "mesh", fellBack: false });
    const ids = mesh.calls.flatMap(({ method, request }) =>
      method === "RunTask" ? (request as { task: { requestId: string } }).task.requestId : [],
    );
    expect(ids).toHaveLength(2);
    expect(new Set(ids).size).toBe(1);
    expect(ids).not.toContain("");
    expect(ran).toEqual([]);
  });

  test.for<[string, Partial<RouterOptions>, number]>([
    ["after the client's patience", { submitTimeoutMs: 60_000 }, 200],
    ["after it was asked again under the same id", { submitTimeoutMs: 100 }, 1_000],
  ])(
    "when nobody can say any more whether it has it, %s, and its caller is told so",
    async ([, options, patienceMs]) => {
      await using mesh = await openFakeCoordinator();
      const { client, router, ran } = setup(mesh, options, { reconnectTimeoutMs: patienceMs });
      await using _ = client;
      mesh.failNext("RunTask", "hang");
      const run = router.run("echo", 3);
      await expect.poll(() => mesh.count("RunTask")).toBe(1);
      await mesh.stop();
      const error = await run.result().catch((reason: unknown) => reason);
      expect(error).toMatchObject({ code: "unavailable", reason: "SUBMISSION_UNCERTAIN", unaccepted: false });
      expect((error as MycelError).message).toMatch(
        /^it is not known whether the mesh took "echo", so it was not run in this process as well: /,
      );
      await expect(run.submitted).rejects.toBe(error);
      await expect(run.decision).rejects.toBe(error);
      expect(ran).toEqual([]);
    },
  );

  test("when it has taken it, whatever becomes of the mesh then", async () => {
    await using mesh = await openFakeCoordinator();
    const { client, router, ran } = setup(mesh, { handlers: { idle: () => expect.fail("ran here as well") } });
    await using _ = client;
    setAgent(mesh, "idle", 0);
    mesh.agents.get("idle")!.capabilities.push({ ...mesh.agents.get("idle")!.capabilities[0]!, type: "idle" });
    const run = router.run("idle");
    const { taskId } = await run.submitted;
    await mesh.stop();
    await using again = await openFakeCoordinator({ replicaOf: mesh, port: mesh.port });
    again.complete(taskId, "done there");
    expect(await run.result()).toBe("done there");
    expect(ran).toEqual([]);
  });

  test("when it is refused for what it is, which would be no better here", async () => {
    await using mesh = await openFakeCoordinator();
    const { client, router, ran } = setup(mesh);
    await using _ = client;
    const wrong = richError({ code: Code.InvalidArgument, reason: "INVALID_REQUEST", message: "labels: too many" });
    mesh.failNext("RunTask", wrong);
    await expect(router.run("echo", 1).result()).rejects.toMatchObject({
      code: "invalid_argument",
      reason: "INVALID_REQUEST",
    });
    expect(ran).toEqual([]);
  });

  test.for<[string, RouteOptions]>([
    ["starts later, for this process may not be there then", { delayMs: 1 }],
    ["is to start at a time", { startTime: new Date() }],
    ["has its end delivered to a webhook", { webhook: { endpointId: "orders" } }],
  ])("when it %s", async ([, options]) => {
    await using mesh = await openFakeCoordinator();
    const { client, router, ran } = setup(mesh);
    await using _ = client;
    const run = router.run("echo", 1, options);
    expect((await run.decision).rule).toBe("mesh-only");
    await run.result();
    await mesh.stop();
    client.clearCache();
    // Also by rules that say otherwise.
    const rules: Rule[] = [{ name: "here", when: { handler: true }, run: "local" }];
    const eager = createRouter({ client, handlers: { echo: () => ran.push("echo") }, rules, submitTimeoutMs: 100 });
    expect(await eager.explain("echo", 1, options)).toMatchObject({ where: "mesh", rule: "otherwise" });
    expect(ran).toEqual([]);
  });
});

test("what this process has no room for goes to the mesh", async () => {
  await using mesh = await openFakeCoordinator();
  const gate = Promise.withResolvers<string>();
  const { client, router } = setup(mesh, {
    handlers: { echo: () => gate.promise },
    rules: defaultRules({ light: ["echo"] }),
    concurrency: 1,
    waiting: 0,
  });
  await using _ = client;
  const first = router.run("echo", 1);
  await first.submitted;
  const second = router.run("echo", 2);
  expect(await second.result()).toBe(2);
  expect(await second.decision).toMatchObject({ where: "mesh", rule: "light", fellBack: true });
  gate.resolve("here");
  expect(await first.result()).toBe("here");
});

describe("what can run nowhere says why, for both places:", () => {
  test("no handler, and nobody in the mesh", async () => {
    await using mesh = await openFakeCoordinator();
    await mesh.stop();
    const { client, router } = setup(mesh, {}, { reconnectTimeoutMs: 100 });
    await using _ = client;
    await expect(router.run("unknown").result()).rejects.toMatchObject({
      name: "MycelError",
      code: "unavailable",
      reason: "NOWHERE_TO_RUN",
      message: `"unknown" can run nowhere: in this process: there is no handler for it; in the mesh: cannot connect to ${mesh.url}: connection refused`,
    });
  });

  test("a heavy task, and nobody in the mesh", async () => {
    await using mesh = await openFakeCoordinator();
    await mesh.stop();
    const { client, router, ran } = setup(mesh, {}, { reconnectTimeoutMs: 100 });
    await using _ = client;
    await expect(router.run("heavy").result()).rejects.toMatchObject({
      reason: "NOWHERE_TO_RUN",
      message: `"heavy" can run nowhere: in this process: rule heavy does not let it run there; in the mesh: cannot connect to ${mesh.url}: connection refused`,
    });
    expect(ran).toEqual([]);
  });

  test("a process that is full, and nobody in the mesh", async () => {
    await using mesh = await openFakeCoordinator();
    await mesh.stop();
    const gate = Promise.withResolvers<string>();
    const { client, router } = setup(
      mesh,
      { handlers: { echo: () => gate.promise }, concurrency: 1, waiting: 0 },
      { reconnectTimeoutMs: 100 },
    );
    await using _ = client;
    const first = router.run("echo");
    await first.submitted;
    await expect(router.run("echo").result()).rejects.toMatchObject({
      reason: "NOWHERE_TO_RUN",
      message: `"echo" can run nowhere: in this process: 1 tasks are under way in this process, which is all that it takes; in the mesh: cannot connect to ${mesh.url}: connection refused`,
    });
    gate.resolve("here");
    expect(await first.result()).toBe("here");
  });
});

test("an agent's capabilities are handlers as they are", async () => {
  await using mesh = await openFakeCoordinator();
  await mesh.stop();
  const agent = defineAgent({ name: "a", capabilities: { shout: (task) => String(task.input).toUpperCase() } });
  const { client, router } = setup(mesh, { handlers: agent.capabilities });
  await using _ = client;
  expect(await router.run("shout", "hello").result()).toBe("HELLO");
});

test.for<[Partial<RouterOptions>, string]>([
  [{ concurrency: 0 }, "concurrency must be from 1 to 1000, got 0"],
  [{ waiting: -1 }, "waiting must be from 0 to 1000000, got -1"],
  [{ submitTimeoutMs: 0 }, "submitTimeoutMs must be from 1 to 86400000, got 0"],
  [
    { handlers: { "not ok": () => 1 } },
    'handlers are not as an agent\'s: capability is "not ok", must be 1 to 64 characters of A-Z a-z 0-9 _ -',
  ],
  [{ rules: [{ name: "x", when: {}, run: "mesh" }] }, "rules[0].when must say something"],
])("refuses %o", async ([options, message]) => {
  await using client = createClient({ url: "http://127.0.0.1:1" });
  expect(() => createRouter({ client, handlers: {}, ...options })).toThrow(
    expect.objectContaining({ code: "invalid_argument", reason: "INVALID_OPTION", message }),
  );
});
