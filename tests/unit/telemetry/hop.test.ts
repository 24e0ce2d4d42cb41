import {
  context,
  createContextKey,
  isSpanContextValid,
  propagation,
  ROOT_CONTEXT,
  SpanKind,
  trace,
  TraceFlags,
} from "@opentelemetry/api";
import { W3CTraceContextPropagator } from "@opentelemetry/core";
import {
  AlwaysOffSampler,
  AlwaysOnSampler,
  ParentBasedSampler,
  type ReadableSpan,
  type Sampler,
  SamplingDecision,
  SimpleSpanProcessor,
  TraceIdRatioBasedSampler,
  TracerProvider,
} from "@opentelemetry/sdk-trace";
import { afterEach, expect, test, vi } from "vitest";
import { TraceIds } from "../../../lib/telemetry/trace-ids.ts";
import { startHop } from "../../../lib/wire/hop.ts";
import {
  carrierFromContext,
  contextFromCarrier,
  declareParentBased,
  type SpanShape,
} from "../../../lib/wire/trace-context.ts";

const TRACE_ID = "0af7651916cd43dd8448eb211c80319c";
const SAMPLED = { traceparent: `00-${TRACE_ID}-b7ad6b7169203331-01` };
const UNSAMPLED = { traceparent: `00-${TRACE_ID}-b7ad6b7169203331-00` };
const LINK = { context: { traceId: TRACE_ID, spanId: "b7ad6b7169203331", traceFlags: 1 } };

afterEach(() => {
  trace.disable();
  propagation.disable();
  context.disable();
});

function setup(sampler: Sampler, declared = true) {
  const recorded: ReadableSpan[] = [];
  const exporter = {
    export(batch: ReadableSpan[], done: (result: { code: number }) => void): void {
      recorded.push(...batch);
      done({ code: 0 });
    },
    forceFlush: () => Promise.resolve(),
    shutdown: () => Promise.resolve(),
  };
  const asked = vi.spyOn(sampler, "shouldSample");
  const ids = new TraceIds(sampler);
  const provider = new TracerProvider({
    sampler,
    idGenerator: ids,
    spanProcessors: [new SimpleSpanProcessor({ exporter })],
  });
  trace.setGlobalTracerProvider(provider);
  propagation.setGlobalPropagator(new W3CTraceContextPropagator());
  if (declared) declareParentBased(provider, ids);
  const shape = vi.fn((): SpanShape => ({
    name: "hop",
    options: { kind: SpanKind.SERVER, attributes: { a: 1 }, links: [LINK] },
  }));
  return { recorded, asked, shape };
}

function parentBased(root: Sampler): Sampler {
  return new ParentBasedSampler({ root });
}

test.for([
  ["a remote span", contextOfRemote],
  ["a local span", contextOfLocal],
] as const)("a hop below %s that is not sampled runs in its context, and nobody is asked for anything", ([, make]) => {
  const { asked, shape } = setup(parentBased(new AlwaysOnSampler()));
  const parent = make();
  const hop = startHop(parent, shape);
  expect(hop).toEqual({ span: undefined, inside: parent });
  expect(hop.inside).toBe(parent);
  expect(asked).not.toHaveBeenCalled();
  expect(shape).not.toHaveBeenCalled();
  expect(carrierFromContext(hop.inside)).toEqual(UNSAMPLED);
});

function contextOfRemote() {
  return contextFromCarrier(UNSAMPLED);
}

function contextOfLocal() {
  const spanContext = { traceId: TRACE_ID, spanId: "b7ad6b7169203331", traceFlags: 0 };
  return trace.setSpan(ROOT_CONTEXT.setValue(createContextKey("other"), 1), trace.wrapSpanContext(spanContext));
}

test("a trace that begins unsampled has ids of its own, which all hops below it carry on", () => {
  const { asked, shape, recorded } = setup(parentBased(new AlwaysOffSampler()));
  const [first, other] = [startHop(ROOT_CONTEXT, shape), startHop(ROOT_CONTEXT, shape)];
  const below = startHop(first.inside, shape);
  expect([first.span, below.span]).toEqual([undefined, undefined]);
  const carrier = carrierFromContext(first.inside);
  expect(carrier.traceparent).toMatch(/^00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-00$/);
  expect(carrierFromContext(below.inside)).toEqual(carrier);
  expect(carrierFromContext(other.inside)).not.toEqual(carrier);
  expect(asked).toHaveBeenCalledTimes(2);
  expect(shape).not.toHaveBeenCalled();
  const [, traceId, spanId] = carrier.traceparent!.split("-");
  expect(trace.getSpanContext(first.inside)).toEqual({ traceId, spanId, traceFlags: 0, isRemote: false });
  expect(recorded).toEqual([]);
});

test("a trace that begins is sampled if the sampler says so of its id, and no two have the same", () => {
  const ratio = new TraceIdRatioBasedSampler(0.5);
  const { shape } = setup(parentBased(ratio));
  const seen = new Map<string, boolean>();
  for (let i = 0; i < 400; i += 1) {
    const { span, inside } = startHop(ROOT_CONTEXT, shape);
    const found = trace.getSpanContext(inside)!;
    expect(isSpanContextValid(found)).toBe(true);
    expect(span === undefined).toBe((found.traceFlags & TraceFlags.SAMPLED) === 0);
    seen.set(found.traceId, span !== undefined);
  }
  expect(seen.size).toBe(400);
  expect(new Set(seen.values()).size).toBe(2);
  for (const [traceId, sampled] of seen) {
    expect(ratio.shouldSample(ROOT_CONTEXT, traceId).decision === SamplingDecision.RECORD_AND_SAMPLED).toBe(sampled);
  }
});

test.for([
  ["where a trace begins", undefined],
  ["below a sampled span", SAMPLED],
] as const)("a recorded hop %s has the name, kind, attributes and links of its shape", ([, carrier]) => {
  const { shape, recorded } = setup(parentBased(new AlwaysOnSampler()));
  const parent = contextFromCarrier(carrier ?? {});
  const { span, inside } = startHop(parent, shape);
  expect(trace.getSpan(inside)).toBe(span);
  span?.end();
  expect(recorded).toMatchObject([
    { name: "hop", kind: SpanKind.SERVER, attributes: { a: 1 }, links: [LINK], droppedAttributesCount: 0 },
  ]);
  expect(recorded[0]?.parentSpanContext?.spanId).toBe(carrier === undefined ? undefined : "b7ad6b7169203331");
});

test("a sampler of which nothing is known is asked about every hop, with its attributes", () => {
  const { asked, shape, recorded } = setup(new AlwaysOnSampler(), false);
  const { span } = startHop(contextFromCarrier(UNSAMPLED), shape);
  expect(asked.mock.calls[0]?.slice(1)).toEqual([TRACE_ID, "hop", SpanKind.SERVER, { a: 1 }, [LINK]]);
  span?.end();
  expect(recorded).toMatchObject([{ parentSpanContext: { spanId: "b7ad6b7169203331" } }]);
});

test("spans of others below a trace that is not sampled have it as their parent and are not recorded", () => {
  const { asked, recorded } = setup(parentBased(new AlwaysOnSampler()));
  const parent = contextFromCarrier(UNSAMPLED);
  const span = trace.getTracer("other").startSpan("own", {}, parent);
  span.end();
  expect(span.spanContext()).toMatchObject({ traceId: TRACE_ID, traceFlags: 0 });
  expect(recorded).toEqual([]);
  const above = trace.getSpanContext(asked.mock.calls[0]![0]);
  expect(above).toEqual({ traceId: TRACE_ID, spanId: "b7ad6b7169203331", traceFlags: 0, isRemote: true });
});

test("the context of a trace that is not sampled takes values as any other does, and keeps its span", () => {
  setup(parentBased(new AlwaysOnSampler()));
  const key = createContextKey("key");
  const parent = contextFromCarrier(UNSAMPLED);
  expect(parent.getValue(key)).toBeUndefined();
  const richer = parent.setValue(key, "value");
  expect(richer.getValue(key)).toBe("value");
  expect(trace.getSpan(richer)).toBe(trace.getSpan(parent));
  expect(carrierFromContext(richer)).toEqual(UNSAMPLED);
  expect(richer.deleteValue(key).getValue(key)).toBeUndefined();
  expect(trace.getSpan(trace.deleteSpan(parent))).toBeUndefined();
  expect(trace.getSpan(parent.deleteValue(key))).toBe(trace.getSpan(parent));
});

test("the state of a trace that is not sampled is carried, too", () => {
  const { shape } = setup(parentBased(new AlwaysOnSampler()));
  const carrier = { ...UNSAMPLED, tracestate: "vendor=1" };
  const { span, inside } = startHop(contextFromCarrier(carrier), shape);
  expect(span).toBeUndefined();
  expect(carrierFromContext(inside)).toEqual(carrier);
});

test.for([
  `00-${"0".repeat(32)}-b7ad6b7169203331-00`,
  `00-${TRACE_ID}-${"0".repeat(16)}-00`,
  `${UNSAMPLED.traceparent}-x`,
  `00-${TRACE_ID.slice(1)}-b7ad6b7169203331-00`,
  `ff-${TRACE_ID}-b7ad6b7169203331-00`,
])("a malformed traceparent is none, though it says that it is not sampled: %s", (traceparent) => {
  setup(parentBased(new AlwaysOnSampler()));
  expect(contextFromCarrier({ traceparent })).toBe(ROOT_CONTEXT);
});
