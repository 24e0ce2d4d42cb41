// One trace from the client's span over the coordinator, NATS and the agent to the reader, told by the processes themselves.

import { context, SpanKind, trace } from "@opentelemetry/api";
import { expect, test } from "vitest";
import { openTraceStore } from "../../../cli/traces/trace-store.ts";
import { openTracing } from "../../../lib/telemetry/tracing.ts";
import { createClient } from "../../../sdk/client/index.ts";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openMesh } from "../../support/processes.ts";

interface ShownSpan {
  readonly name: string;
  readonly kind: string | number;
  readonly service: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly traceId?: string;
}

test("one trace id goes from the client's span to the agent's process span, the settle span and the stream", async () => {
  const dir = await mkdtemp(join(tmpdir(), "mycel-traces-"));
  await using store = await openTraceStore({ dir });
  const otel = { OTEL_EXPORTER_OTLP_ENDPOINT: store.address, OTEL_BSP_SCHEDULE_DELAY: "100" };
  await using mesh = await openMesh({ env: otel });
  await mesh.startAgent("traced", otel);
  await using tracing = await openTracing({ serviceName: "client", env: otel });
  await using client = createClient({ url: mesh.urls[0]! });

  const span = trace.getTracer("test").startSpan("order", { kind: SpanKind.INTERNAL });
  const { traceId } = span.spanContext();
  const taskId = await context.with(trace.setSpan(context.active(), span), async () => {
    const run = client.run("work", { workMs: 60, outputs: 2 });
    await run.result();
    return (await run.submitted).taskId;
  });
  span.end();
  await tracing.flush();

  expect((await client.status(taskId)).traceId).toBe(traceId);
  const names = async (): Promise<string[]> => {
    const response = await fetch(`${store.addressOf(traceId)}.json`);
    if (!response.ok) return [];
    const { spans } = (await response.json()) as { spans: ShownSpan[] };
    return [...new Set(spans.map(({ service, name }) => `${service}: ${name}`))].sort();
  };
  await expect
    .poll(names, { timeout: 15_000 })
    .toEqual(
      expect.arrayContaining([
        "client: mycel.v1.AgentService/RunTask",
        "client: order",
        "mycel-coordinator: mycel.v1.AgentService/RunTask",
        "mycel-coordinator: publish task.{tenant}.{task}.q.{queue}.{priority}",
        "test-agent: process work",
      ]),
    );
  expect((await names()).some((name) => name.startsWith("test-agent: ack") || name.includes("settle"))).toBe(true);
  await rm(dir, { recursive: true, force: true });
});
