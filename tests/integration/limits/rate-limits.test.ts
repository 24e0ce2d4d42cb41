// How fast callers may come, over a real coordinator: what is refused, what it is told, and what is never refused.
import { type CallOptions, type Client, Code, ConnectError, createClient } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport } from "@connectrpc/connect-node";
import { afterEach, describe, expect, test } from "vitest";
import { Health } from "../../../gen/health/v1/health_pb.ts";
import { AgentService } from "../../../gen/mycel/v1/agent_service_pb.ts";
import { AuditService } from "../../../gen/mycel/v1/audit_service_pb.ts";
import { readDetails } from "../../../lib/rpc/rich-error.ts";
import { createClient as createMycelClient } from "../../../sdk/client/index.ts";
import { openMesh, type TestMesh } from "../../support/processes.ts";

let mesh: TestMesh | undefined;
afterEach(async () => {
  await mesh?.[Symbol.asyncDispose]();
  mesh = undefined;
});

async function open(
  env: Readonly<Record<string, string>>,
): Promise<{ readonly url: string; readonly agents: Client<typeof AgentService> }> {
  mesh = await openMesh({ env: { MYCEL_RATE_LIMITS: "on", ...env } });
  const url = mesh.urls[0]!;
  return { url, agents: createClient(AgentService, createGrpcTransport({ baseUrl: url })) };
}

async function outcomeOf(call: Promise<unknown>): Promise<string> {
  return await call.then(
    () => "ok",
    (error: unknown) => readDetails(ConnectError.from(error)).reason ?? String(error),
  );
}

/** What a number of calls, one after the other, came to. */
async function outcomes(times: number, call: () => Promise<unknown>): Promise<string[]> {
  const found: string[] = [];
  for (let i = 0; i < times; i += 1) found.push(await outcomeOf(call()));
  return found;
}

const times = (count: number, what: string): string[] => Array.from({ length: count }, () => what);

describe("requests of an address", () => {
  test.for(["gRPC", "Connect"])(
    "beyond the limit are refused over %s with when to come again and whose limit it is",
    async (protocol) => {
      const { url } = await open({ MYCEL_LIMIT_REQUESTS: "5" });
      const transport =
        protocol === "gRPC"
          ? createGrpcTransport({ baseUrl: url })
          : createConnectTransport({ baseUrl: url, httpVersion: "1.1" });
      const agents = createClient(AgentService, transport);
      expect(await outcomes(5, () => agents.listAgents({}))).toEqual(times(5, "ok"));
      const error = await agents.listAgents({}).then(
        () => undefined,
        (refused: unknown) => ConnectError.from(refused),
      );
      expect(error?.code).toBe(Code.ResourceExhausted);
      const { reason, retryDelayMs, quota } = readDetails(error!);
      expect(reason).toBe("RATE_LIMITED");
      expect(retryDelayMs).toBeGreaterThan(0);
      expect(retryDelayMs).toBeLessThanOrEqual(60_000);
      expect(quota).toEqual([
        { subject: "address:127.0.0.1", description: "too fast: at most 5 requests a minute from one address" },
      ]);
      expect(Number(error!.metadata.get("grpc-retry-pushback-ms"))).toBe(retryDelayMs);
      expect(Number(error!.metadata.get("retry-after"))).toBe(Math.ceil(retryDelayMs! / 1_000));
    },
  );

  test("of every protocol and every connection count together, and health checks don't", async () => {
    const { url } = await open({ MYCEL_LIMIT_REQUESTS: "4" });
    const calls = [0, 1, 2, 3, 4, 5].map((i) => {
      const options = { baseUrl: url, httpVersion: i % 2 === 0 ? "1.1" : "2" } as const;
      return createClient(AgentService, createConnectTransport(options));
    });
    const found: string[] = [];
    for (const agents of calls) found.push(await outcomeOf(agents.listAgents({})));
    expect(found).toEqual([...times(4, "ok"), ...times(2, "RATE_LIMITED")]);
    const health = createClient(Health, createGrpcTransport({ baseUrl: url }));
    expect(await outcomes(20, () => health.check({}))).toEqual(times(20, "ok"));
    expect((await fetch(`${url}/healthz`)).status).toBe(200);
    expect((await fetch(`${url}/readyz`)).status).toBe(200);
  });

  test("do not keep agents from coming", async () => {
    const { agents } = await open({ MYCEL_LIMIT_REQUESTS: "2" });
    const deregister = (): Promise<unknown> => agents.deregisterAgent({ agentId: "none" });
    expect(await outcomes(3, () => agents.listAgents({}))).toEqual(["ok", "ok", "RATE_LIMITED"]);
    expect(await outcomes(21, deregister)).toEqual([...times(20, "AGENT_NOT_FOUND"), "RATE_LIMITED"]);
  });

  test("are told apart by what a trusted proxy says, and by nothing else", async () => {
    const { agents } = await open({ MYCEL_LIMIT_REQUESTS: "2", MYCEL_TRUSTED_PROXIES: "127.0.0.0/8" });
    const from = (address: string): CallOptions => ({ headers: { "x-forwarded-for": address } });
    const list = (address: string): Promise<string[]> => outcomes(3, () => agents.listAgents({}, from(address)));
    expect(await list("203.0.113.1")).toEqual(["ok", "ok", "RATE_LIMITED"]);
    expect(await list("203.0.113.2")).toEqual(["ok", "ok", "RATE_LIMITED"]);
    // What the client itself put there stands further left.
    expect(await list("198.51.100.7, 203.0.113.2")).toEqual(times(3, "RATE_LIMITED"));
    // One network of IPv6 is one client.
    expect(await list("2001:db8::1")).toEqual(["ok", "ok", "RATE_LIMITED"]);
    expect(await list("2001:db8::2")).toEqual(times(3, "RATE_LIMITED"));
    expect(await list("2001:db8:0:1::1")).toEqual(["ok", "ok", "RATE_LIMITED"]);
  });

  test("are not told apart by what anybody else says", async () => {
    const { agents } = await open({ MYCEL_LIMIT_REQUESTS: "2" });
    let n = 0;
    const list = (): Promise<unknown> =>
      agents.listAgents({}, { headers: { "x-forwarded-for": `203.0.113.${(n += 1)}` } });
    expect(await outcomes(3, list)).toEqual(["ok", "ok", "RATE_LIMITED"]);
  });

  test("that were refused stand in the audit log, gathered", async () => {
    const { url, agents } = await open({ MYCEL_LIMIT_REQUESTS: "3", MYCEL_TRUSTED_PROXIES: "127.0.0.1" });
    const headers = { "x-forwarded-for": "203.0.113.1" };
    await outcomes(50, () => agents.listAgents({}, { headers }));
    const audit = createClient(AuditService, createGrpcTransport({ baseUrl: url }));
    const { entries } = await audit.listAuditEntries({ mesh: true, filter: { actions: ["agent:read"] } });
    expect(entries).toHaveLength(1);
    expect(entries[0]).toMatchObject({ peerAddress: "203.0.113.1", reason: "RATE_LIMITED", principal: "" });
  });
});

describe("tasks of a caller", () => {
  test("count one by one, in batches and in streams alike", async () => {
    const { agents } = await open({ MYCEL_LIMIT_REQUESTS: "0", MYCEL_LIMIT_TASKS: "10" });
    const task = { type: "t" };
    const many = (count: number) => ({ tasks: Array.from({ length: count }, () => task) });
    expect(await outcomes(2, () => agents.submitTask(task))).toEqual(["ok", "ok"]);
    expect(await outcomeOf(agents.batchSubmitTasks(many(9)))).toBe("RATE_LIMITED");
    // What was refused took nothing.
    expect(await outcomeOf(agents.batchSubmitTasks(many(3)))).toBe("ok");
    const results: string[] = [];
    for await (const { result } of agents.submitTaskStream(each(many(8).tasks))) {
      results.push(result.case === "error" ? result.value.reason : (result.case ?? ""));
      if (result.case === "error") expect(Number(result.value.retryDelay?.seconds)).toBeGreaterThan(0);
    }
    expect(results.toSorted()).toEqual([...times(3, "RATE_LIMITED"), ...times(5, "submitted")]);
    expect(await outcomeOf(first(agents.runTask({ task })))).toBe("RATE_LIMITED");
    expect(await outcomeOf(agents.retryTask({ taskId: "none" }))).toBe("RATE_LIMITED");
    // Reads are not tasks.
    expect(await outcomes(20, () => agents.listAgents({}))).toEqual(times(20, "ok"));
  });

  test("more at once than a minute has are refused without a time to come again", async () => {
    const { agents } = await open({ MYCEL_LIMIT_TASKS: "5" });
    const error = await agents.batchSubmitTasks({ tasks: Array.from({ length: 6 }, () => ({ type: "t" })) }).then(
      () => undefined,
      (refused: unknown) => ConnectError.from(refused),
    );
    expect(readDetails(error!)).toMatchObject({ reason: "RATE_LIMITED" });
    expect(readDetails(error!).retryDelayMs).toBeUndefined();
  });

  test("of one tenant count together", async () => {
    const { agents } = await open({
      MYCEL_LIMIT_REQUESTS: "0",
      MYCEL_LIMIT_TENANT_TASKS: "3",
      MYCEL_TRUSTED_PROXIES: "127.0.0.1",
    });
    let n = 0;
    const submit = (): Promise<unknown> =>
      agents.submitTask({ type: "t" }, { headers: { "x-forwarded-for": `203.0.113.${(n += 1)}` } });
    expect(await outcomes(4, submit)).toEqual([...times(3, "ok"), "RATE_LIMITED"]);
  });
});

test("nothing is limited on loopback unless it is asked for", async () => {
  mesh = await openMesh();
  const agents = createClient(AgentService, createGrpcTransport({ baseUrl: mesh.urls[0]! }));
  const tasks = Array.from({ length: 1_000 }, () => ({ type: "t" }));
  expect(await outcomeOf(agents.batchSubmitTasks({ tasks }))).toBe("ok");
  expect(await outcomes(150, () => agents.submitTask({ type: "t" }))).toEqual(times(150, "ok"));
});

test("the client waits as long as it is told, and gives up with the limit's own error if it may not wait so long", async () => {
  const { url } = await open({ MYCEL_LIMIT_REQUESTS: "1" });
  await using client = createMycelClient({ url, timeoutMs: 2_000, retry: { attempts: 3 } });
  await client.rpc.listAgents({});
  const begunMs = performance.now();
  const error = await client.rpc.listAgents({}).then(
    () => undefined,
    (refused: unknown) => refused,
  );
  expect(error).toMatchObject({ code: "resource_exhausted", reason: "RATE_LIMITED" });
  // It did not try again and again meanwhile: one more call was made at most.
  expect(performance.now() - begunMs).toBeLessThan(10_000);
});

async function* each<T>(items: readonly T[]): AsyncGenerator<{ task: T }> {
  for (const task of items) yield { task };
}

async function first(stream: AsyncIterable<unknown>): Promise<void> {
  for await (const _ of stream) return;
}
