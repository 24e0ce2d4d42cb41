// Owns whether a hop of a trace gets a span. Where nothing would be recorded of it, it gets none, and the trace goes on all the same.
import { type Context, ROOT_CONTEXT, type Span, type SpanKind, TraceFlags, trace } from "@opentelemetry/api";
import { isParentBased, mycelTracer, type SpanShape } from "./trace-context.ts";
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
export function startHop(parent: Context, kind: SpanKind, shapeOf: () => SpanShape): Hop {
  // A span that nobody records costs its ids, attributes, links and context all the same: a sixth of an agent's processor time where 1 %
  // of the tasks are sampled.
  if (isParentBased()) {
    if (parent instanceof UnsampledContext) return { span: undefined, inside: parent };
    const above = trace.getSpanContext(parent);
    if (above === undefined || !trace.isSpanContextValid(above)) return beginTrace(parent, kind, shapeOf);
    if ((above.traceFlags & TraceFlags.SAMPLED) === 0) return { span: undefined, inside: parent };
  }
  const { name, options } = shapeOf();
  return hopOf(mycelTracer().startSpan(name, options, parent), parent);
}

/** Has the id of the trace drawn, and with it the decision; the few that are recorded learn afterwards what they are about. */
function beginTrace(parent: Context, kind: SpanKind, shapeOf: () => SpanShape): Hop {
  const span = mycelTracer().startSpan("", { kind }, parent);
  if (!span.isRecording()) {
    const inside = parent === ROOT_CONTEXT ? UnsampledContext.of(span) : trace.setSpan(parent, span);
    return { span: undefined, inside };
  }
  const { name, options } = shapeOf();
  span.updateName(name).setAttributes(options.attributes ?? {});
  if (options.links !== undefined) span.addLinks(options.links);
  return { span, inside: trace.setSpan(parent, span) };
}

function hopOf(span: Span, parent: Context): Hop {
  return { span: span.isRecording() ? span : undefined, inside: trace.setSpan(parent, span) };
}
