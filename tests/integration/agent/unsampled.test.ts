import { type SpanContext, trace } from "@opentelemetry/api";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openTracing, type Tracing } from "../../../lib/telemetry/tracing.ts";
import { defineAgent, runAgent } from "../../../sdk/agent/index.ts";
import { openFakeMesh } from "./fake-mesh.ts";

const TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";
let tracing: Tracing;

beforeAll(async () => {
  // A trace that begins here would be recorded.
  const env = { OTEL_EXPORTER_OTLP_ENDPOINT: "http://127.0.0.1:9", OTEL_TRACES_SAMPLER: "parentbased_always_on" };
  tracing = await openTracing({ serviceName: "test", env, report: () => undefined });
});
afterAll(() => tracing[Symbol.asyncDispose]());

test("an attempt at a task of a trace that is not sampled goes on with it: for the handler, its spans, and the report", async () => {
  await using mesh = await openFakeMesh();
  const seen: { readonly active?: SpanContext | undefined; readonly own: SpanContext; readonly recorded: boolean }[] =
    [];
  const agent = defineAgent({
    name: "a",
    capabilities: {
      echo: async () => {
        await Promise.resolve();
        const own = trace.getTracer("handler").startSpan("own");
        seen.push({
          active: trace.getActiveSpan()?.spanContext(),
          own: own.spanContext(),
          recorded: own.isRecording(),
        });
        own.end();
        return "done";
      },
    },
  });
  const running = await runAgent(agent, mesh.agentOptions({ agentId: "a1" }));
  await mesh.submit({ taskId: "t1", traceparent: TRACEPARENT });
  await mesh.ended("t1");
  await mesh.submit({ taskId: "t2" });
  await mesh.ended("t2");
  await running.drain();
  const [, traceId, spanId] = TRACEPARENT.split("-");
  expect(seen[0]).toMatchObject({
    active: { traceId, spanId, traceFlags: 0, isRemote: true },
    own: { traceId, traceFlags: 0 },
    recorded: false,
  });
  const reports = new Map(mesh.reports.map(({ report, traceparent }) => [report.taskId, traceparent]));
  expect(reports.get("t1")).toBe(TRACEPARENT);
  // A task without a trace begins one.
  expect(seen[1]).toMatchObject({ own: { traceId: seen[1]?.active?.traceId }, recorded: true });
  expect(reports.get("t2")).toMatch(new RegExp(`^00-${seen[1]?.own.traceId}-[0-9a-f]{16}-01$`));
});
