// Owns how a trace crosses a wire: the W3C carrier, and the names and attributes of spans that describe a hop.
// Imports the OpenTelemetry API only, so every layer may use it; with tracing off each call costs a few reads.
import {
  type Attributes,
  type Context,
  type Link,
  ProxyTracerProvider,
  ROOT_CONTEXT,
  type Span,
  SpanKind,
  type SpanOptions,
  SpanStatusCode,
  type TextMapGetter,
  type TextMapSetter,
  type Tracer,
  type TracerProvider,
  context,
  propagation,
  trace,
} from "@opentelemetry/api";
import { UnsampledContext } from "./unsampled-context.ts";

/** The W3C Trace Context fields as they stand in message headers and stored tasks. Empty when nothing is traced. */
export interface TraceCarrier {
  readonly traceparent?: string;
  readonly tracestate?: string;
}

/** A span about to start: pass both to `Tracer.startSpan(name, options, parentContext)`. */
export interface SpanShape {
  readonly name: string;
  readonly options: SpanOptions;
}

/** Where traces begin, for providers whose decision about one depends on nothing but its id. */
export interface TraceStart {
  /** Draws the ids of a trace. Gives its traceparent if it is not sampled; else undefined, and the provider begins that trace next. */
  unsampled(): string | undefined;
}

/** The wire protocol of an RPC as the conventions name it; gRPC-Web counts as `grpc`. */
export type RpcSystem = "grpc" | "connectrpc";

/** What the span of an RPC says. */
export interface RpcSpanFacts {
  readonly system: RpcSystem;
  /** Fully qualified: `mycel.v1.AgentService/SubmitTask`. */
  readonly method: string;
  /** Host as the client addressed it. */
  readonly serverAddress?: string;
  readonly serverPort?: number;
}

/** What every messaging span says. Subjects have high cardinality, so spans carry the template instead. */
export interface MessagingSpanFacts {
  /** Subject with its variable tokens named: `task.{tenant}.{task}.q.{queue}.{priority}`. */
  readonly template: string;
  /** Durable consumer, where one is involved. */
  readonly consumer?: string;
  /** Task id: becomes `messaging.message.conversation_id`, the thread that ties all hops of a task. */
  readonly taskId?: string;
  /** `Nats-Msg-Id` of the message. */
  readonly messageId?: string;
  /** Messages in the batch; leave out for a single message. */
  readonly batchCount?: number;
  /** Creation contexts this span belongs to: a retry's former attempt, the messages of a batch. Empty ones are skipped. */
  readonly links?: readonly TraceCarrier[];
}

/** How a delivery ended. */
export type SettleName = "ack" | "nak" | "term" | "in_progress";

const EMPTY_CARRIER: TraceCarrier = Object.freeze({});
// What the API itself hands out while no SDK is registered; a proxy without a delegate returns this one instance.
const NOOP_PROVIDER = new ProxyTracerProvider().getDelegate();

// Of the sampler of any other provider nothing is taken for granted.
const starts = new WeakMap<TracerProvider, TraceStart>();

type MutableCarrier = { -readonly [Field in keyof TraceCarrier]: TraceCarrier[Field] };

const setter: TextMapSetter<MutableCarrier> = {
  set(carrier, key, value) {
    // Other propagation fields (baggage) are left behind: only these two are part of the contract.
    if (key === "traceparent" || key === "tracestate") carrier[key] = value;
  },
};
const getter: TextMapGetter<TraceCarrier> = {
  get: (carrier, key) => (key === "traceparent" || key === "tracestate" ? carrier[key] : undefined),
  keys: (carrier) => Object.keys(carrier),
};

/** True when this process has a tracer provider. Costs a property read: guard the building of attributes with it. */
export function isTracing(): boolean {
  return registeredProvider() !== NOOP_PROVIDER;
}

function registeredProvider(): TracerProvider {
  const provider = trace.getTracerProvider();
  return provider instanceof ProxyTracerProvider ? provider.getDelegate() : provider;
}

/**
 * Says of a provider that its sampler records nothing below a span that is not sampled, that where a trace begins it is asked by `start`,
 * and that its traces travel as W3C has it. Then what is not sampled costs next to nothing. For whoever sets tracing up.
 */
export function declareParentBased(provider: TracerProvider, start: TraceStart): void {
  starts.set(provider, start);
}

/** Where this process's traces begin, if its provider was declared to be parent-based. */
export function traceStart(): TraceStart | undefined {
  return starts.get(registeredProvider());
}

/** The tracer of all Mycel spans; the API's no-op while tracing is off. Ask each time, do not keep it across set-up. */
export function mycelTracer(): Tracer {
  return trace.getTracer("mycel");
}

/** Returns what a message must carry so that its receiver continues the trace of `ctx` (default: the active context). */
export function carrierFromContext(ctx: Context = context.active()): TraceCarrier {
  if (!isTracing()) return EMPTY_CARRIER;
  if (ctx instanceof UnsampledContext) return ctx.carrier;
  const carrier: MutableCarrier = {};
  propagation.inject(ctx, carrier, setter);
  return carrier;
}

/**
 * Returns `base` (default: no span at all) continued by the carrier's remote span.
 * A missing or malformed carrier, or tracing being off, gives `base` unchanged.
 */
export function contextFromCarrier(carrier: TraceCarrier, base: Context = ROOT_CONTEXT): Context {
  const { traceparent, tracestate } = carrier;
  if (traceparent === undefined || !isTracing()) return base;
  const alone = base === ROOT_CONTEXT && tracestate === undefined && traceStart() !== undefined;
  const unsampled = alone ? UnsampledContext.from(traceparent) : undefined;
  return unsampled ?? propagation.extract(base, carrier, getter);
}

/** Returns span links to the given carriers; those without a valid context are left out. */
function linksFromCarriers(carriers: readonly TraceCarrier[]): Link[] {
  return carriers.flatMap((carrier) => {
    const linked = trace.getSpanContext(contextFromCarrier(carrier));
    return linked === undefined ? [] : [{ context: linked }];
  });
}

/** SERVER span of a received RPC, named by its method. */
export function rpcServerSpan(facts: RpcSpanFacts): SpanShape {
  return { name: facts.method, options: { kind: SpanKind.SERVER, attributes: rpcAttributes(facts) } };
}

/** CLIENT span of a sent RPC, named by its method. */
export function rpcClientSpan(facts: RpcSpanFacts): SpanShape {
  return { name: facts.method, options: { kind: SpanKind.CLIENT, attributes: rpcAttributes(facts) } };
}

/** PRODUCER span of storing a message: `publish {template}`. Inject its context into the message's headers. */
export function publishSpan(facts: MessagingSpanFacts): SpanShape {
  return messagingSpan(`publish ${facts.template}`, SpanKind.PRODUCER, "publish", "send", facts);
}

/**
 * CONSUMER span of one attempt: `process {queue}`. Start it under `contextFromCarrier(dispatch)` so that one trace
 * covers the task, and pass the dispatch as a link too: the conventions correlate by links.
 */
export function processSpan(
  facts: MessagingSpanFacts & { readonly queue: string; readonly attempt?: number; readonly agentId?: string },
): SpanShape {
  const shape = messagingSpan(`process ${facts.queue}`, SpanKind.CONSUMER, "process", "process", facts);
  const attributes = { ...shape.options.attributes };
  if (facts.attempt !== undefined) attributes["mycel.attempt"] = facts.attempt;
  if (facts.agentId !== undefined) attributes["mycel.agent.id"] = facts.agentId;
  return { name: shape.name, options: { ...shape.options, attributes } };
}

/** CLIENT span of ending or extending a delivery: `ack {consumer or template}`, operation type `settle`. */
export function settleSpan(name: SettleName, facts: MessagingSpanFacts): SpanShape {
  return messagingSpan(`${name} ${facts.consumer ?? facts.template}`, SpanKind.CLIENT, name, "settle", facts);
}

/** Marks a span as failed: `error.type` (a code, low in cardinality), status ERROR and the message. Does not end it. */
export function markSpanFailed(span: Span, errorType: string, message?: string): void {
  span.setAttribute("error.type", errorType);
  span.setStatus(
    message === undefined ? { code: SpanStatusCode.ERROR } : { code: SpanStatusCode.ERROR, message: message },
  );
}

function rpcAttributes(facts: RpcSpanFacts): Attributes {
  const attributes: Attributes = { "rpc.system.name": facts.system, "rpc.method": facts.method };
  if (facts.serverAddress !== undefined) attributes["server.address"] = facts.serverAddress;
  if (facts.serverPort !== undefined) attributes["server.port"] = facts.serverPort;
  return attributes;
}

function messagingSpan(
  name: string,
  kind: SpanKind,
  operationName: string,
  operationType: "send" | "process" | "settle",
  facts: MessagingSpanFacts,
): SpanShape {
  const attributes: Attributes = {
    "messaging.system": "nats",
    "messaging.operation.name": operationName,
    "messaging.operation.type": operationType,
    "messaging.destination.template": facts.template,
  };
  if (facts.consumer !== undefined) attributes["messaging.consumer.group.name"] = facts.consumer;
  if (facts.taskId !== undefined) attributes["messaging.message.conversation_id"] = facts.taskId;
  if (facts.messageId !== undefined) attributes["messaging.message.id"] = facts.messageId;
  if (facts.batchCount !== undefined) attributes["messaging.batch.message_count"] = facts.batchCount;
  const links = facts.links === undefined ? [] : linksFromCarriers(facts.links);
  return { name, options: links.length === 0 ? { kind, attributes } : { kind, attributes, links } };
}
