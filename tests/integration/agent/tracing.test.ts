import { context, propagation, trace } from "@opentelemetry/api";
import { AsyncLocalStorageContextManager } from "@opentelemetry/context-async-hooks";
import { W3CTraceContextPropagator } from "@opentelemetry/core";
import { type ReadableSpan, SimpleSpanProcessor, TracerProvider } from "@opentelemetry/sdk-trace";
import { afterAll, beforeAll, expect, test } from "vitest";
import { defineAgent, fail, runAgent } from "../../../sdk/agent/index.ts";
import { openFakeMesh } from "./fake-mesh.ts";

const TRACE = "0af7651916cd43dd8448eb211c80319c";
const spans: ReadableSpan[] = [];
const exporter = {
  export(batch: ReadableSpan[], done: (result: { code: number }) => void): void {
    spans.push(...batch);
    done({ code: 0 });
  },
  forceFlush: () => Promise.resolve(),
  shutdown: () => Promise.resolve(),
};

beforeAll(() => {
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
  propagation.setGlobalPropagator(new W3CTraceContextPropagator());
  trace.setGlobalTracerProvider(new TracerProvider({ spanProcessors: [new SimpleSpanProcessor({ exporter })] }));
});

afterAll(() => {
  trace.disable();
  propagation.disable();
  context.disable();
});

test("process and settle spans belong to the submission's trace, are active for the handler, and travel with the report", async () => {
  await using mesh = await openFakeMesh();
  const agent = defineAgent({
    name: "a",
    capabilities: {
      echo: async () => {
        await Promise.resolve();
        return trace.getActiveSpan()?.spanContext().spanId;
      },
      broken: () => fail("no", { reason: "BROKEN" }),
    },
  });
  const running = await runAgent(agent, mesh.agentOptions({ agentId: "a1" }));
  const traceparent = `00-${TRACE}-b7ad6b7169203331-01`;
  await mesh.submit({ taskId: "t1", traceparent });
  await mesh.ended("t1");
  await mesh.submit({ taskId: "t2", type: "broken", traceparent });
  await mesh.ended("t2");
  await running.drain();
  const [process, settle] = ["process echo", "ack default_echo_5"].map((name) =>
    spans.find((span) => span.name === name)!,
  );
  expect(process!.spanContext().traceId).toBe(TRACE);
  expect(process!.parentSpanContext?.spanId).toBe("b7ad6b7169203331");
  expect(process!.attributes).toMatchObject({ "messaging.message.conversation_id": "t1", "mycel.agent.id": "a1" });
  expect(settle!.parentSpanContext?.spanId).toBe(process!.spanContext().spanId);
  const report = mesh.reports.find((seen) => seen.report.taskId === "t1")!;
  expect(report.traceparent).toBe(`00-${TRACE}-${settle!.spanContext().spanId}-01`);
  expect(report.report.kind).toMatchObject({
    value: { result: { kind: { value: { kind: { value: process!.spanContext().spanId } } } } },
  });
  expect(spans.find((span) => span.name === "process broken")!.attributes["error.type"]).toBe("BROKEN");
});
