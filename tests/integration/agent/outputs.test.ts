import { expect, test } from "vitest";
import { defineAgent, runAgent } from "../../../sdk/agent/index.ts";
import { valueOfPayload } from "../../../sdk/agent/payload.ts";
import type { Output } from "../../../gen/mycel/v1/output_pb.ts";
import { type FakeMesh, openFakeMesh } from "./fake-mesh.ts";

test("outputs are numbered without holes, kept in order and coalesced, and the settle names the last batch", async () => {
  await using mesh = await openFakeMesh();
  const agent = defineAgent({
    name: "a",
    capabilities: {
      echo: async (_task, { output, log, progress }) => {
        log("starting");
        for (let n = 0; n < 500; n++) await output(n);
        progress(1, "done");
        log("warn", "odd");
      },
    },
  });
  await using _running = await runAgent(agent, mesh.agentOptions());
  await mesh.submit({ taskId: "t1" });
  const report = await mesh.ended("t1");
  const batches = await mesh.outputs("t1");
  const all = batches.flatMap((batch) => batch.outputs);
  expect(all.map((one) => Number(one.index))).toEqual(Array.from({ length: 503 }, (_, at) => at + 1));
  expect(chunks(all)).toEqual(Array.from({ length: 500 }, (_, at) => at));
  expect(all.at(-1)!.kind).toMatchObject({ case: "log", value: { level: 3, message: "odd" } });
  expect(batches.length).toBeLessThan(20);
  expect(Number(report.outputSequence)).toBe(batches.at(-1)!.sequence);
});

test("no output is published before the mesh has taken note of the attempt", async () => {
  await using mesh = await openFakeMesh();
  const streamed = Promise.withResolvers<void>();
  const agent = defineAgent({
    name: "a",
    capabilities: {
      echo: async (_task, { output }) => {
        await output("first");
        streamed.resolve();
      },
    },
  });
  await using _running = await runAgent(agent, mesh.agentOptions({ lazyRunningMs: 60_000 }));
  let refusals = 3;
  mesh.answer = (report) =>
    report.kind.case === "begin" && (refusals -= 1) >= 0 ? { case: "unavailable", value: {} } : undefined;
  await mesh.submit({ taskId: "t1" });
  await streamed.promise;
  await mesh.until(() => mesh.reportsOf("t1", "begin").length === 3);
  expect(await mesh.outputs("t1")).toEqual([]);
  await mesh.ended("t1");
  expect(chunks((await mesh.outputs("t1")).flatMap((batch) => batch.outputs))).toEqual(["first"]);
  expect(mesh.reportsOf("t1", "begin")).toHaveLength(4);
});

test("a handler that streams faster than the broker stores is made to wait, and nothing is lost", async () => {
  await using mesh = await openFakeMesh();
  const piece = "x".repeat(100_000);
  const agent = defineAgent({
    name: "a",
    capabilities: {
      echo: async (_task, { output }) => {
        for (let n = 0; n < 60; n++) await output(`${n} ${piece}`);
      },
    },
  });
  await using _running = await runAgent(agent, mesh.agentOptions());
  await mesh.submit({ taskId: "t1" });
  await mesh.ended("t1");
  const all = (await mesh.outputs("t1")).flatMap((batch) => batch.outputs);
  expect(chunks(all).map((text) => Number.parseInt(String(text), 10))).toEqual(
    Array.from({ length: 60 }, (_, at) => at),
  );
});

test("a chunk over the inline limit becomes a blob at its place in the order", async () => {
  await using mesh = await openFakeMesh();
  const agent = defineAgent({
    name: "a",
    capabilities: {
      echo: async (_task, { output }) => {
        await Promise.all([output("before"), output(new Uint8Array(300_000)), output("after")]);
      },
    },
  });
  await using _running = await runAgent(agent, mesh.agentOptions());
  await mesh.submit({ taskId: "t1" });
  await mesh.ended("t1");
  const all = (await mesh.outputs("t1")).flatMap((batch) => batch.outputs);
  expect(all.map((one) => (one.kind.case === "chunk" ? one.kind.value.kind.case : ""))).toEqual([
    "json",
    "blob",
    "json",
  ]);
});

test("outputs go on in order over a restart of the broker, each stored once", async () => {
  await using mesh = await openFakeMesh({ leaseMs: 30_000 });
  const half = Promise.withResolvers<void>();
  const back = Promise.withResolvers<void>();
  const agent = defineAgent({
    name: "a",
    capabilities: {
      echo: async (_task, { output }) => {
        for (let n = 0; n < 20; n++) await output(n);
        half.resolve();
        for (let n = 20; n < 40; n++) await output(n);
        await back.promise;
        for (let n = 40; n < 60; n++) await output(n);
      },
    },
  });
  await using _running = await runAgent(agent, mesh.agentOptions({ requestTimeoutMs: 500 }));
  await mesh.submit({ taskId: "t1" });
  await half.promise;
  await mesh.nats.kill();
  await mesh.nats.restart();
  back.resolve();
  await mesh.ended("t1");
  expect(await storedChunks(mesh, "t1")).toEqual(Array.from({ length: 60 }, (_, at) => at));
});

async function storedChunks(mesh: FakeMesh, taskId: string): Promise<unknown[]> {
  return chunks((await mesh.outputs(taskId)).flatMap((batch) => batch.outputs));
}

function chunks(outputs: readonly Output[]): unknown[] {
  return outputs.flatMap((one) => (one.kind.case === "chunk" ? [valueOfPayload(one.kind.value)] : []));
}
