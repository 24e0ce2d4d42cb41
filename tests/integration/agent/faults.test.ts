import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { setTimeout as tick } from "node:timers/promises";
import { create } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { PayloadSchema } from "../../../gen/mycel/v1/payload_pb.ts";
import { defineAgent, runAgent } from "../../../sdk/agent/index.ts";
import { openFakeMesh } from "./fake-mesh.ts";

test("a result survives coordinators that are gone for a while, and is stored once", async () => {
  await using mesh = await openFakeMesh();
  const agent = defineAgent({ name: "a", capabilities: { echo: () => "kept" } });
  await using running = await runAgent(agent, mesh.agentOptions());
  await mesh.stopReports();
  await mesh.submit({ taskId: "t1" });
  await expect.poll(() => running.stats().settling).toBe(1);
  expect(running.stats().running).toBe(0);
  mesh.serveReports();
  const report = await mesh.ended("t1");
  expect(report.kind.case).toBe("complete");
  await expect.poll(() => running.stats().endings.completed).toBe(1);
});

test("a report answered with UNAVAILABLE is sent again as it was", async () => {
  await using mesh = await openFakeMesh();
  const agent = defineAgent({ name: "a", capabilities: { echo: () => "kept" } });
  await using _running = await runAgent(agent, mesh.agentOptions());
  let left = 2;
  mesh.answer = () => ((left -= 1) >= 0 ? { case: "unavailable", value: {} } : undefined);
  await mesh.submit({ taskId: "t1" });
  const report = await mesh.ended("t1");
  expect(mesh.reportsOf("t1")).toEqual([report, report, report]);
});

test("results and new work survive a kill and restart of the nats-server", async () => {
  await using mesh = await openFakeMesh({ leaseMs: 30_000 });
  const gate = Promise.withResolvers<void>();
  const agent = defineAgent({
    name: "a",
    concurrency: 4,
    capabilities: { echo: (task) => (task.taskId === "before" ? gate.promise : undefined) },
  });
  await using running = await runAgent(agent, mesh.agentOptions({ requestTimeoutMs: 500 }));
  await mesh.submit({ taskId: "before" });
  await mesh.until(() => mesh.reportsOf("before", "begin").length > 0);
  await mesh.nats.kill();
  await expect.poll(() => running.stats().connected).toBe(false);
  gate.resolve();
  await expect.poll(() => running.stats().settling).toBe(1);
  await mesh.nats.restart();
  expect((await mesh.ended("before")).kind.case).toBe("complete");
  await mesh.submit({ taskId: "after" });
  await mesh.ended("after");
  expect(running.stats().connected).toBe(true);
});

test("what was stored before a broker was killed is asked about, for it may have been delivered before; what comes later is not", async () => {
  await using mesh = await openFakeMesh({ leaseMs: 30_000 });
  const gate = Promise.withResolvers<void>();
  const agent = defineAgent({
    name: "a",
    concurrency: 1,
    capabilities: { echo: ({ taskId }) => (taskId === "running" ? gate.promise : undefined) },
  });
  await using running = await runAgent(agent, mesh.agentOptions({ requestTimeoutMs: 500 }));
  await mesh.submit({ taskId: "running" });
  await mesh.until(() => mesh.reportsOf("running", "begin").length > 0);
  await mesh.submit({ taskId: "waiting" });
  await mesh.nats.kill();
  await expect.poll(() => running.stats().connected).toBe(false);
  await mesh.nats.restart();
  await mesh.until(() => mesh.registrations.length === 2);
  gate.resolve();
  await mesh.ended("waiting");
  await mesh.submit({ taskId: "later" });
  await mesh.ended("later");

  const asked = (taskId: string): boolean[] =>
    mesh.reportsOf(taskId).flatMap(({ kind }) => (kind.case === "begin" ? [kind.value.redelivery] : []));
  expect(asked("waiting")).toContain(true);
  expect(asked("later")).not.toContain(true);
});

test("a handler that blocks the event loop beyond its lease is told LEASE_LOST, and its late result counts for nothing", async () => {
  await using mesh = await openFakeMesh({ leaseMs: 600 });
  const reasons: unknown[] = [];
  let runs = 0;
  const agent = defineAgent({
    name: "a",
    capabilities: {
      echo: async (_task, { signal, attempt }) => {
        runs += 1;
        if (attempt > 1) return "second";
        await tick(50);
        const until = performance.now() + 1_500;
        while (performance.now() < until);
        await tick(100);
        reasons.push(signal.reason);
        return "first";
      },
    },
  });
  await using running = await runAgent(agent, mesh.agentOptions());
  await mesh.submit({ taskId: "t1" });
  const report = await mesh.ended("t1");
  expect(report.attempt).toBe(2);
  expect(runs).toBe(2);
  expect(reasons).toMatchObject([{ code: "LEASE_LOST" }]);
  expect(mesh.reportsOf("t1").map((one) => [one.kind.case, one.attempt])).toEqual([
    ["begin", 1],
    ["begin", 1],
    ["complete", 2],
  ]);
  await expect.poll(() => running.stats().endings).toMatchObject({ lease_lost: 1, completed: 1 });
});

test("a lease is renewed for as long as the handler runs", async () => {
  await using mesh = await openFakeMesh({ leaseMs: 600 });
  let runs = 0;
  const agent = defineAgent({
    name: "a",
    capabilities: {
      echo: async () => {
        runs += 1;
        await tick(2_000);
      },
    },
  });
  await using _running = await runAgent(agent, mesh.agentOptions());
  await mesh.submit({ taskId: "t1" });
  await mesh.ended("t1");
  expect(runs).toBe(1);
});

test("an agent that the mesh forgot registers again under its id and goes on", async () => {
  await using mesh = await openFakeMesh({ heartbeatMs: 50 });
  const agent = defineAgent({ name: "a", capabilities: { echo: () => "done" } });
  await using _running = await runAgent(agent, mesh.agentOptions({ agentId: "a1" }));
  mesh.registered = false;
  await mesh.until(() => mesh.registrations.length === 2);
  mesh.registered = true;
  expect(mesh.registrations.map((one) => one.agentId)).toEqual(["a1", "a1"]);
  await mesh.submit({ taskId: "t1" });
  await mesh.ended("t1");
});

test("an agent whose consumers are deleted asks for a new session and goes on", async () => {
  await using mesh = await openFakeMesh();
  const agent = defineAgent({ name: "a", capabilities: { echo: () => "done" } });
  await using _running = await runAgent(agent, mesh.agentOptions({ agentId: "a1" }));
  await mesh.deleteConsumers("echo");
  await mesh.until(() => mesh.registrations.length === 2);
  await mesh.submit({ taskId: "t1" });
  await mesh.ended("t1");
});

test("an agent that was too busy to see its consumers deleted and made again starts nothing that has run", async () => {
  await using mesh = await openFakeMesh();
  const gate = Promise.withResolvers<void>();
  const runs: string[] = [];
  const agent = defineAgent({
    name: "a",
    concurrency: 1,
    capabilities: {
      echo: async ({ taskId }) => {
        runs.push(taskId);
        if (taskId === "t2") await gate.promise;
      },
    },
  });
  await using _running = await runAgent(agent, mesh.agentOptions());
  await mesh.submit({ taskId: "t1" });
  await mesh.ended("t1");
  await mesh.submit({ taskId: "t2" });
  await mesh.until(() => mesh.reportsOf("t2", "begin").length > 0);
  await mesh.deleteConsumers("echo");
  // It delivers all that ever stood in the queue, each for the first time.
  await mesh.prepare("echo");
  gate.resolve();
  await mesh.submit({ taskId: "t3" });
  // Nobody had to ask about it, which would have spent an attempt: it came after the consumer.
  expect((await mesh.ended("t3")).attempt).toBe(1);
  expect(runs).toEqual(["t1", "t2", "t3"]);
  expect(mesh.registrations.length).toBeGreaterThan(1);
});

test("draining lets handlers finish within the grace and hands the rest back, started or not", async () => {
  await using mesh = await openFakeMesh();
  const quick = Promise.withResolvers<void>();
  const agent = defineAgent({
    name: "a",
    concurrency: 2,
    capabilities: {
      echo: async (task, { signal }) => {
        if (task.taskId === "quick") return quick.promise;
        await new Promise((resolve) => signal.addEventListener("abort", resolve));
        throw signal.reason;
      },
    },
  });
  const running = await runAgent(agent, mesh.agentOptions({ agentId: "a1", holdMs: 60_000 }));
  await mesh.submit({ taskId: "quick" });
  await mesh.submit({ taskId: "slow" });
  await mesh.until(() => mesh.reports.filter((seen) => seen.report.kind.case === "begin").length === 2);
  await mesh.submit({ taskId: "held", priority: 15 });
  await expect.poll(() => running.stats().held).toBe(1);
  const drained = running.drain({ graceMs: 300 });
  quick.resolve();
  await drained;
  await running.done;
  expect(running.stats()).toMatchObject({ state: "stopped", running: 0, held: 0 });
  expect(mesh.reportsOf("quick", "complete")).toHaveLength(1);
  expect(mesh.reportsOf("slow", "handBack")[0]!.kind.value).toMatchObject({ started: true });
  expect(mesh.reportsOf("held")[0]!.kind).toMatchObject({ case: "handBack", value: { started: false } });
  expect(mesh.heartbeats.at(-1)).toMatchObject({ draining: true });
  expect(mesh.deregistered).toEqual(["a1"]);
});

test("a delivery that gets no slot in time is handed back, and another agent runs it", async () => {
  await using mesh = await openFakeMesh();
  const gate = Promise.withResolvers<void>();
  const busy = defineAgent({ name: "busy", capabilities: { echo: () => gate.promise } });
  await using first = await runAgent(busy, mesh.agentOptions({ agentId: "busy", holdMs: 200 }));
  await mesh.submit({ taskId: "long" });
  await mesh.until(() => mesh.reportsOf("long", "begin").length > 0);
  // The standing pull of the other lane is still out.
  await mesh.submit({ taskId: "urgent", priority: 15 });
  await mesh.until(() => mesh.reportsOf("urgent", "handBack").length > 0);
  const idle = defineAgent({ name: "idle", capabilities: { echo: () => "done" } });
  await using _second = await runAgent(idle, mesh.agentOptions({ agentId: "idle" }));
  const report = await mesh.ended("urgent");
  expect(report.kind.case).toBe("complete");
  expect(mesh.reports.find((seen) => seen.report === report)!.agentId).toBe("idle");
  expect(first.stats().endings.handed_back).toBe(1);
  gate.resolve();
  await mesh.ended("long");
});

test("blobs go over the next coordinator when the one in use is gone", async () => {
  await using mesh = await openFakeMesh();
  const sockets = new Set<Socket>();
  const gate = createServer((socket) => {
    const onward = connect(Number(new URL(mesh.url).port), "127.0.0.1");
    for (const end of [socket, onward]) sockets.add(end.on("error", () => undefined));
    socket.pipe(onward).pipe(socket);
  }).listen(0, "127.0.0.1");
  await once(gate, "listening");
  const { port } = gate.address() as AddressInfo;
  const agent = defineAgent({ name: "a", capabilities: { echo: (task) => task.input } });
  const { url: _, ...options } = mesh.agentOptions();
  await using _running = await runAgent(agent, { ...options, urls: [`http://127.0.0.1:${port}`, mesh.url] });
  gate.close();
  for (const socket of sockets) socket.destroy();
  const value = mesh.storeBlob(Buffer.from(JSON.stringify("x".repeat(300_000))), "application/json");
  await mesh.submit({ taskId: "t1", payload: create(PayloadSchema, { kind: { case: "blob", value } }) });
  const { kind } = await mesh.ended("t1");
  expect(kind.case === "fail" ? kind.value.failure?.message : kind.case).toBe("complete");
  expect(mesh.blobs.size).toBe(2);
});
