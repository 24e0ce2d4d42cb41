// Owns whether a hop of a trace gets a span. Where nothing would be recorded of it, it gets none, and the trace goes on all the same.
import { type Context, ROOT_CONTEXT, type Span, TraceFlags, trace } from "@opentelemetry/api";
import { mycelTracer, type SpanShape, traceStart } from "./trace-context.ts";
import { UnsampledContext } from "./unsampled-context.ts";

/** One hop of a trace under way. */
export interface Hop {
  /** Undefined if nothing is recorded of the hop. */
  readonly span: Span | undefined;
  /** The context in which all that belongs to the hop must run, recorded or not: spans, logs and messages go on from there. */
  readonly inside: Context;
}

/**
 * Starts the span of a hop below `parent` if it is to be recorded; only then is its shape needed. A hop in a trace that is not sampled
 * runs in `parent` itself, so that whatever comes next continues the trace as if the hop were not there. While tracing is off, too.
 */
export function startHop(parent: Context, shapeOf: () => SpanShape): Hop {
  // A span that nobody records costs its ids, attributes, links and context all the same: a sixth of an agent's processor time where 1 %
  // of the tasks are sampled.
  const unsampled = unsampledBelow(parent);
  if (unsampled !== undefined) return { span: undefined, inside: unsampled };
  const { name, options } = shapeOf();
  const span = mycelTracer().startSpan(name, options, parent);
  return { span: span.isRecording() ? span : undefined, inside: trace.setSpan(parent, span) };
}

/** The context of a hop below `parent` if it is known that nothing would be recorded of it. */
function unsampledBelow(parent: Context): Context | undefined {
  const start = traceStart();
  if (start === undefined) return undefined;
  if (parent instanceof UnsampledContext) return parent;
  if (parent === ROOT_CONTEXT) {
    const traceparent = start.unsampled();
    return traceparent === undefined ? undefined : UnsampledContext.begun(traceparent);
  }
  const above = trace.getSpanContext(parent);
  const isUnsampled = above !== undefined && (above.traceFlags & TraceFlags.SAMPLED) === 0;
  return isUnsampled && trace.isSpanContextValid(above) ? parent : undefined;
}
