// What circuit breakers do to calls: whom they keep away, whom they let through, and what callers are told meanwhile.
import { once } from "node:events";
import { createServer } from "node:http2";
import type { AddressInfo } from "node:net";
import { Code } from "@connectrpc/connect";
import { describe, expect, onTestFinished, test } from "vitest";
import { richError } from "../../../lib/rpc/rich-error.ts";
import {
  type BreakerChange,
  type BreakerOptions,
  type ClientOptions,
  createClient,
} from "../../../sdk/client/index.ts";
import { type FakeCoordinator, openFakeCoordinator, unavailable } from "../../support/fake-coordinator.ts";
import { handClock } from "../../support/hand-clock.ts";

const ONCE = { retry: { attempts: 1 } };
const LOST = { code: "unavailable", reason: "CONNECTION_LOST" };
const OPEN = { code: "unavailable", reason: "CIRCUIT_OPEN" };

function setup(mesh: Pick<FakeCoordinator, "url">, breaker: BreakerOptions = {}, options: Partial<ClientOptions> = {}) {
  const clock = handClock();
  const changes: BreakerChange[] = [];
  const onStateChange = (change: BreakerChange): void => void changes.push(change);
  const rules = { failures: 3, patienceMs: 0, probeMs: 0, onStateChange, ...breaker };
  const where = options.urls === undefined ? { url: mesh.url } : {};
  const client = createClient({ ...where, clock, breaker: rules, ...ONCE, ...options });
  return { client, clock, changes, stateOf: (url: string) => client.breakers.state().get(url) };
}

describe("one coordinator", () => {
  test("that cannot be reached is left alone for 30 s, then tried by one call, and used again", async () => {
    await using mesh = await openFakeCoordinator();
    const { client, clock, changes, stateOf } = setup(mesh);
    await using _ = client;
    const { taskId } = await client.submit("echo", 1);
    await mesh.stop();
    for (let i = 0; i < 3; i += 1) await expect(client.status(taskId)).rejects.toMatchObject(LOST);
    expect(stateOf(mesh.url)).toBe("open");

    await using again = await openFakeCoordinator({ replicaOf: mesh, port: mesh.port });
    clock.advance(10_000);
    await expect(client.status(taskId)).rejects.toMatchObject({
      ...OPEN,
      retryDelayMs: 20_000,
      unaccepted: true,
      message: `no coordinator is tried for another 20000 ms, as each failed too often (cannot connect to ${mesh.url}: connection refused)`,
    });
    expect(again.calls).toEqual([]);

    clock.advance(20_000);
    expect(stateOf(mesh.url)).toBe("half_open");
    expect((await client.status(taskId)).taskId).toBe(taskId);
    expect(stateOf(mesh.url)).toBe("closed");
    expect(changes.map(({ from, to }) => [from, to])).toEqual([
      ["closed", "open"],
      ["open", "half_open"],
      ["half_open", "closed"],
    ]);
    expect(changes[0]!.because).toBe(`cannot connect to ${mesh.url}: connection refused`);
  });

  test("that is still away after 30 s is left alone for as long again", async () => {
    await using mesh = await openFakeCoordinator();
    await mesh.stop();
    const { client, clock, stateOf } = setup(mesh);
    await using _ = client;
    for (let i = 0; i < 3; i += 1) await expect(client.status("t")).rejects.toMatchObject(LOST);
    clock.advance(30_000);
    await expect(client.status("t")).rejects.toMatchObject(LOST);
    expect(stateOf(mesh.url)).toBe("open");
    await expect(client.status("t")).rejects.toMatchObject({ ...OPEN, retryDelayMs: 30_000 });
  });

  test("is tried by one call at a time after its 30 s; the others are told to come back", async () => {
    await using mesh = await openFakeCoordinator();
    const { client, clock } = setup(mesh);
    await using _ = client;
    const { taskId } = await client.submit("echo", 1);
    mesh.failNext("GetTaskStatus", "cut", "cut", "cut");
    for (let i = 0; i < 3; i += 1) await expect(client.status(taskId)).rejects.toMatchObject(LOST);
    clock.advance(30_000);
    mesh.failNext("GetTask", "hang");
    const left = new AbortController();
    const trial = client.get(taskId, { signal: left.signal });
    await expect(client.status(taskId)).rejects.toMatchObject({ ...OPEN, retryDelayMs: 100 });
    await expect.poll(() => mesh.count("GetTask")).toBe(1);
    left.abort();
    await expect(trial).rejects.toMatchObject({ code: "canceled" });
    // Nothing came of it.
    await expect(client.status(taskId)).rejects.toMatchObject({ ...OPEN, retryDelayMs: 30_000 });
  });

  test("is not what a closed client, or a caller who has left, is told of", async () => {
    await using mesh = await openFakeCoordinator();
    await mesh.stop();
    const { client } = setup(mesh, { failures: 1 });
    await expect(client.status("t")).rejects.toMatchObject(LOST);
    await expect(client.status("t", { signal: AbortSignal.abort() })).rejects.toMatchObject({ code: "canceled" });
    await client[Symbol.asyncDispose]();
    await expect(client.status("t")).rejects.toMatchObject({ code: "canceled", reason: "CLIENT_CLOSED" });
  });

  test("is tried at once after a reset", async () => {
    await using mesh = await openFakeCoordinator();
    const { client, stateOf, changes } = setup(mesh);
    await using _ = client;
    const { taskId } = await client.submit("echo", 1);
    mesh.failNext("GetTaskStatus", "cut", "cut", "cut");
    for (let i = 0; i < 3; i += 1) await expect(client.status(taskId)).rejects.toMatchObject(LOST);
    expect(stateOf(mesh.url)).toBe("open");
    client.breakers.reset(mesh.url);
    expect(stateOf(mesh.url)).toBe("closed");
    expect((await client.status(taskId)).taskId).toBe(taskId);
    expect(changes.map(({ to }) => to)).toEqual(["open", "closed"]);
  });

  test("ends the tries of a call that is under way when its circuit opens, and the call says what had failed", async () => {
    await using mesh = await openFakeCoordinator();
    await mesh.stop();
    const { client } = setup(mesh, {}, { retry: {} });
    await using _ = client;
    const error = await client.status("t").catch((reason: unknown) => reason);
    expect(error).toMatchObject(OPEN);
    expect((error as Error).cause).toMatchObject(LOST);
  });

  test.for<[string, () => ReturnType<typeof unavailable>]>([
    ["that its broker is away", () => unavailable("BROKER_UNAVAILABLE", 1)],
    ["that it leaves", () => unavailable("DRAINING")],
    ["that a queue is full", () => richError({ code: Code.ResourceExhausted, reason: "QUEUE_FULL", message: "full" })],
    ["that a task is unknown", () => richError({ code: Code.NotFound, reason: "TASK_NOT_FOUND", message: "no" })],
    ["that it has a bug", () => richError({ code: Code.Internal, reason: "INTERNAL", message: "bug" })],
  ])("that says %s is not left alone for it", async ([, refusal]) => {
    await using mesh = await openFakeCoordinator();
    const { client, stateOf } = setup(mesh, { failures: 2 });
    await using _ = client;
    const { taskId } = await client.submit("echo", 1);
    mesh.failNext("GetTaskStatus", ...Array.from({ length: 30 }, refusal));
    for (let i = 0; i < 30; i += 1) await expect(client.status(taskId)).rejects.toBeDefined();
    expect(stateOf(mesh.url)).toBe("closed");
    expect((await client.status(taskId)).taskId).toBe(taskId);
  });

  test("that says nothing until the deadline fails like one that cannot be reached", async () => {
    // It takes calls, and never answers.
    const server = createServer().listen(0, "127.0.0.1");
    onTestFinished(() => void server.close());
    await once(server, "listening");
    const mesh = { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` };
    const { client, stateOf } = setup(mesh, { failures: 2 });
    await using _ = client;
    // Too short to tell.
    for (let i = 0; i < 10; i += 1) {
      await expect(client.status("t", { timeoutMs: 5 })).rejects.toMatchObject({ code: "deadline_exceeded" });
    }
    expect(stateOf(mesh.url)).toBe("closed");
    const long = [client.status("t", { timeoutMs: 1_000 }), client.status("t", { timeoutMs: 1_000 })];
    for (const each of long) await expect(each).rejects.toMatchObject({ code: "deadline_exceeded" });
    expect(stateOf(mesh.url)).toBe("open");
  });

  test("is used by a client without breakers whatever happens", async () => {
    await using mesh = await openFakeCoordinator();
    await mesh.stop();
    await using client = createClient({ url: mesh.url, breaker: false, ...ONCE });
    for (let i = 0; i < 20; i += 1) await expect(client.status("t")).rejects.toMatchObject(LOST);
    expect(client.breakers.state()).toEqual(new Map());
  });
});

describe("several coordinators", () => {
  test("are passed over while their circuits are open", async () => {
    await using a = await openFakeCoordinator();
    await using b = await openFakeCoordinator({ replicaOf: a });
    await using c = await openFakeCoordinator({ replicaOf: a });
    const { client, stateOf } = setup(a, { failures: 1 }, { urls: [a.url, b.url, c.url], retry: {} });
    await using _ = client;
    const { taskId } = await client.submit("echo", 1);
    await a.stop();
    await b.stop();
    expect((await client.status(taskId)).taskId).toBe(taskId);
    expect([a, b, c].map(({ url }) => stateOf(url))).toEqual(["open", "open", "closed"]);

    await using a2 = await openFakeCoordinator({ replicaOf: a, port: a.port });
    await using b2 = await openFakeCoordinator({ replicaOf: a, port: b.port });
    await c.stop();
    client.breakers.reset(b.url);
    expect((await client.status(taskId)).taskId).toBe(taskId);
    expect([a2.calls.length, b2.calls.length]).toEqual([0, 1]);
    expect([a, b, c].map(({ url }) => stateOf(url))).toEqual(["open", "closed", "open"]);
  });

  test("that are all left alone make calls fail at once, also those that would be tried again for half a minute", async () => {
    await using a = await openFakeCoordinator();
    await using b = await openFakeCoordinator({ replicaOf: a });
    await a.stop();
    await b.stop();
    const { client, clock } = setup(a, { failures: 1 }, { urls: [a.url, b.url], retry: {} });
    await using _ = client;
    await expect(client.submit("echo")).rejects.toMatchObject(OPEN);
    clock.advance(5_000);
    const error = await client.submit("echo").catch((reason: unknown) => reason);
    expect(error).toMatchObject({ ...OPEN, retryDelayMs: 25_000, unaccepted: true });
    for (const { url } of [a, b]) expect((error as Error).message).toContain(`cannot connect to ${url}`);
  });
});

describe("an outage", () => {
  test("is over for everybody when a coordinator says that it serves, however long its circuit would be open", async () => {
    await using mesh = await openFakeCoordinator();
    await using client = createClient({
      url: mesh.url,
      breaker: { failures: 1, patienceMs: 0, openMs: 3_600_000, probeMs: 100 },
      ...ONCE,
    });
    const { taskId } = await client.submit("echo", 1);
    await mesh.stop();
    await expect(client.status(taskId)).rejects.toMatchObject(LOST);
    await expect(client.status(taskId)).rejects.toMatchObject(OPEN);
    await using again = await openFakeCoordinator({ replicaOf: mesh, port: mesh.port });
    await expect.poll(() => client.breakers.state().get(mesh.url)).toBe("half_open");
    expect((await client.status(taskId)).taskId).toBe(taskId);
    expect(again.count("GetTaskStatus")).toBe(1);
  });

  test("does not end a watch or a wait, which go on when the circuit lets them", async () => {
    await using mesh = await openFakeCoordinator();
    await using client = createClient({
      url: mesh.url,
      breaker: { failures: 1, patienceMs: 0, openMs: 3_600_000, probeMs: 100 },
    });
    const { taskId } = await client.submit("idle");
    const watching = Array.fromAsync(client.watch(taskId), ({ kind }) => kind);
    const waiting = client.result(taskId);
    await expect.poll(() => mesh.count("StreamResults") + mesh.count("GetTaskStatus")).toBe(2);
    await mesh.stop();
    await expect.poll(() => client.breakers.state().get(mesh.url)).toBe("open");
    await using again = await openFakeCoordinator({ replicaOf: mesh, port: mesh.port });
    const back = (): number => again.count("StreamResults") + again.count("GetTaskStatus");
    await expect.poll(back, { timeout: 10_000 }).toBe(2);
    again.complete(taskId, "done");
    expect(await watching).toEqual(["snapshot", "state"]);
    expect(await waiting).toBe("done");
  });
});
