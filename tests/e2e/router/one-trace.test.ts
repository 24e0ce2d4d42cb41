// The same work in the mesh and, when the mesh is gone, in the caller's process: one trace tells both, as the processes themselves report it.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { context, SpanKind, trace } from "@opentelemetry/api";
import { expect, test } from "vitest";
import type { SpanRecord } from "../../../cli/traces/span-record.ts";
import { openTraceStore } from "../../../cli/traces/trace-store.ts";
import { openTracing } from "../../../lib/telemetry/tracing.ts";
import { createClient } from "../../../sdk/client/index.ts";
import { createRouter } from "../../../sdk/router/index.ts";
import { openMesh } from "../../support/processes.ts";

test("a task that falls back to this process stands in its caller's trace beside one that ran in the mesh", async () => {
  const dir = await mkdtemp(join(tmpdir(), "mycel-traces-"));
  await using store = await openTraceStore({ dir });
  const otel = { OTEL_EXPORTER_OTLP_ENDPOINT: store.address, OTEL_BSP_SCHEDULE_DELAY: "100" };
  await using mesh = await openMesh({ env: otel });
  await mesh.startAgent("far", otel);
  await using tracing = await openTracing({ serviceName: "caller", env: otel });
  await using client = createClient({ url: mesh.urls[0]! });
  const router = createRouter({
    client,
    handlers: {
      work: (task) => {
        trace.getTracer("test").startSpan("inside the handler").end();
        return { by: "here", attempt: task.attempt };
      },
    },
  });

  const span = trace.getTracer("test").startSpan("order", { kind: SpanKind.INTERNAL });
  const { traceId } = span.spanContext();
  await context.with(trace.setSpan(context.active(), span), async () => {
    const far = router.run<{ by: string }>("work", { workMs: 40, outputs: 2 });
    expect((await far.result()).by).toBe("far");
    expect(await far.decision).toMatchObject({ where: "mesh", rule: "otherwise", facts: { healthy: true } });

    // The agents' spans are on their way before the mesh is gone.
    const farTask = (await far.submitted).taskId;
    await expect
      .poll(() => spansOf(store.addressOf(traceId)).then(names), { timeout: 15_000 })
      .toContain("test-agent: process work");
    mesh.coordinators[0]!.signal("SIGKILL");
    await mesh.coordinators[0]!.exited;
    client.clearCache();

    const near = router.run<{ by: string }>("work", { workMs: 40 });
    const kinds = (await Array.fromAsync(near)).map((event) => (event.kind === "state" ? event.state : event.kind));
    expect(kinds).toEqual(["snapshot", "working", "completed"]);
    expect(await near.result()).toEqual({ by: "here", attempt: 1 });
    expect(await near.decision).toMatchObject({ where: "local", rule: "unhealthy", facts: { healthy: false } });
    const { taskId, status } = await near.submitted;
    expect(taskId).not.toBe(farTask);
    expect(status.taskId).toBe(taskId);
  });
  span.end();
  await tracing.flush();

  await expect
    .poll(() => spansOf(store.addressOf(traceId)).then(names), { timeout: 15_000 })
    .toEqual(
      expect.arrayContaining([
        "caller: inside the handler",
        "caller: mycel.router/route",
        "caller: mycel.v1.AgentService/RunTask",
        "caller: order",
        "caller: process work",
        "mycel-coordinator: mycel.v1.AgentService/RunTask",
        "test-agent: process work",
      ]),
    );
  const spans = await spansOf(store.addressOf(traceId));
  const routes = spans.filter(({ name }) => name === "mycel.router/route");
  expect(routes.map(({ parentId }) => parentId)).toEqual([span.spanContext().spanId, span.spanContext().spanId]);
  expect(routes.map(({ attributes }) => Object.fromEntries(attributes))).toEqual([
    expect.objectContaining({
      "mycel.task.type": "work",
      "mycel.router.where": "mesh",
      "mycel.router.rule": "otherwise",
    }),
    expect.objectContaining({
      "mycel.task.type": "work",
      "mycel.router.where": "local",
      "mycel.router.rule": "unhealthy",
    }),
  ]);
  const [far, near] = routes.map(({ spanId }) => spanId);
  const childOf = (parent: string | undefined, name: string): SpanRecord =>
    spans.find((each) => each.service === "caller" && each.name === name && each.parentId === parent)!;
  expect(childOf(far, "mycel.v1.AgentService/RunTask")).toBeDefined();
  const process = childOf(near, "process work");
  expect(Object.fromEntries(process.attributes)).toMatchObject({ "mycel.agent.id": "local", "mycel.attempt": 1 });
  expect(childOf(process.spanId, "inside the handler")).toBeDefined();
  await rm(dir, { recursive: true, force: true });
});

async function spansOf(address: string): Promise<readonly SpanRecord[]> {
  const response = await fetch(`${address}.json`);
  if (!response.ok) return [];
  const { spans } = (await response.json()) as { spans: SpanRecord[] };
  return spans;
}

function names(spans: readonly SpanRecord[]): string[] {
  return [...new Set(spans.map(({ service, name }) => `${service}: ${name}`))].sort();
}
