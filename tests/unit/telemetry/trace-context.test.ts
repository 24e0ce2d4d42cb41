import { ROOT_CONTEXT, SpanKind, trace } from "@opentelemetry/api";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Tracing, openTracing } from "../../../lib/telemetry/tracing.ts";
import {
  carrierFromContext,
  contextFromCarrier,
  isTracing,
  mycelTracer,
  processSpan,
  publishSpan,
  rpcClientSpan,
  rpcServerSpan,
  settleSpan,
} from "../../../lib/wire/trace-context.ts";

const TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const TEMPLATE = "task.{tenant}.{task}.q.{queue}.{priority}";
let tracing: Tracing;

beforeAll(async () => {
  // Never sampled: the spans have ids, and nothing has to be exported.
  const env = { OTEL_TRACES_EXPORTER: "console", OTEL_TRACES_SAMPLER: "always_off" };
  tracing = await openTracing({ serviceName: "test", env });
});
afterAll(async () => {
  await tracing[Symbol.asyncDispose]();
  await tracing[Symbol.asyncDispose]();
  expect(isTracing()).toBe(false);
});

test("a second set-up in the same process is refused", async () => {
  const again = openTracing({ serviceName: "again", env: { OTEL_TRACES_EXPORTER: "console" } });
  await expect(again).rejects.toThrow("tracing is already set up in this process");
  expect(isTracing()).toBe(true);
});

test("a carrier survives the way through a context, trace state included", () => {
  const carrier = { traceparent: TRACEPARENT, tracestate: "vendor=1" };
  expect(carrierFromContext(contextFromCarrier(carrier))).toEqual(carrier);
});

test.for([["garbage"], ["00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01"], [`${TRACEPARENT}-x`], [""]])(
  "the malformed traceparent %j starts no trace",
  ([traceparent]) => {
    expect(trace.getSpanContext(contextFromCarrier({ traceparent: traceparent! }))).toBeUndefined();
  },
);

test("a span started under a carrier's context belongs to its trace", () => {
  const span = mycelTracer().startSpan("x", {}, contextFromCarrier({ traceparent: TRACEPARENT }));
  expect(span.spanContext().traceId).toBe("0af7651916cd43dd8448eb211c80319c");
  expect(carrierFromContext(trace.setSpan(ROOT_CONTEXT, span)).traceparent).toContain(span.spanContext().spanId);
});

test("spans of the messaging hops have the conventions' names, kinds and operations", () => {
  const facts = { template: TEMPLATE, consumer: "acme-echo-5", taskId: "t-1" };
  const shapes = [
    publishSpan({ ...facts, batchCount: 7 }),
    processSpan({ ...facts, queue: "echo", attempt: 2, agentId: "a-1" }),
    settleSpan("nak", facts),
  ];
  expect(
    shapes.map(({ name, options }) => [name, options.kind, options.attributes?.["messaging.operation.type"]]),
  ).toEqual([
    [`publish ${TEMPLATE}`, SpanKind.PRODUCER, "send"],
    ["process echo", SpanKind.CONSUMER, "process"],
    ["nak acme-echo-5", SpanKind.CLIENT, "settle"],
  ]);
  expect(shapes[1]!.options.attributes).toEqual({
    "messaging.system": "nats",
    "messaging.operation.name": "process",
    "messaging.operation.type": "process",
    "messaging.destination.template": TEMPLATE,
    "messaging.consumer.group.name": "acme-echo-5",
    "messaging.message.conversation_id": "t-1",
    "mycel.attempt": 2,
    "mycel.agent.id": "a-1",
  });
  expect(shapes[0]!.options.attributes).toMatchObject({ "messaging.batch.message_count": 7 });
});

test("links name the carriers' spans and leave out what is malformed", () => {
  const { options } = processSpan({
    template: TEMPLATE,
    queue: "echo",
    links: [{ traceparent: TRACEPARENT }, {}, { traceparent: "x" }],
  });
  expect(options.links?.map((link) => link.context.spanId)).toEqual(["b7ad6b7169203331"]);
});

test("RPC spans are named by the method", () => {
  const facts = {
    system: "grpc",
    method: "mycel.v1.AgentService/SubmitTask",
    serverAddress: "h",
    serverPort: 1,
  } as const;
  expect(rpcServerSpan(facts)).toEqual({
    name: "mycel.v1.AgentService/SubmitTask",
    options: {
      kind: SpanKind.SERVER,
      attributes: {
        "rpc.system.name": "grpc",
        "rpc.method": "mycel.v1.AgentService/SubmitTask",
        "server.address": "h",
        "server.port": 1,
      },
    },
  });
  expect(rpcClientSpan(facts).options.kind).toBe(SpanKind.CLIENT);
});
