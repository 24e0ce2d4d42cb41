// Owns the reading order of a trace: a tree flattened to rows, with the waits in queues between them. Pure.
import type { SpanRecord } from "./span-record.ts";
import type { StoredTrace } from "./trace-book.ts";

/** One line of the waterfall. Offsets are in microseconds from the start of the trace. */
export interface TimelineRow {
  readonly span: SpanRecord;
  /** 0 for a root. */
  readonly depth: number;
  readonly offsetUs: number;
  readonly durationUs: number;
  /** The parent is named but has not arrived (yet). */
  readonly orphan: boolean;
  /** Time a message lay in its queue: from the end of the publishing span to the start of this one. */
  readonly wait?: { readonly offsetUs: number; readonly durationUs: number };
}

/** A trace ready to be drawn. */
export interface Timeline {
  readonly rows: readonly TimelineRow[];
  readonly startUs: number;
  readonly durationUs: number;
  /** In order of first appearance: a service's place decides its colour. */
  readonly services: readonly string[];
  /** Sum of all waits in queues. */
  readonly waitUs: number;
}

/** Lays a trace out: parents before children, siblings by start time. Cycles and orphans become roots. */
export function timelineOf(trace: StoredTrace): Timeline {
  const spans = [...trace.spans.values()].sort((a, b) => a.startUs - b.startUs || b.endUs - a.endUs);
  const startUs = spans[0]?.startUs ?? 0;
  const endUs = spans.reduce((latest, span) => Math.max(latest, span.endUs), startUs);
  const children = new Map<string, SpanRecord[]>();
  for (const span of spans) {
    if (span.parentId === undefined) continue;
    const siblings = children.get(span.parentId);
    if (siblings === undefined) children.set(span.parentId, [span]);
    else siblings.push(span);
  }

  const rows: TimelineRow[] = [];
  const seen = new Set<string>();
  // An explicit stack: a chain of 5,000 spans must not overflow the call stack.
  const visit = (root: SpanRecord): void => {
    const open: { span: SpanRecord; depth: number }[] = [{ span: root, depth: 0 }];
    for (let top = open.pop(); top !== undefined; top = open.pop()) {
      if (seen.has(top.span.spanId)) continue;
      seen.add(top.span.spanId);
      rows.push(rowOf(trace, top.span, top.depth, startUs));
      const depth = top.depth + 1;
      open.push(...(children.get(top.span.spanId) ?? []).toReversed().map((span) => ({ span, depth })));
    }
  };
  for (const span of spans) if (span.parentId === undefined) visit(span);
  for (const span of spans) if (span.parentId !== undefined && !trace.spans.has(span.parentId)) visit(span);
  for (const span of spans) visit(span);

  return {
    rows,
    startUs,
    durationUs: endUs - startUs,
    services: [...new Set(rows.map((row) => row.span.service))],
    waitUs: rows.reduce((sum, row) => sum + (row.wait?.durationUs ?? 0), 0),
  };
}

function rowOf(trace: StoredTrace, span: SpanRecord, depth: number, startUs: number): TimelineRow {
  const wait = waitOf(trace, span);
  return {
    span,
    depth,
    offsetUs: span.startUs - startUs,
    durationUs: span.endUs - span.startUs,
    orphan: span.parentId !== undefined && !trace.spans.has(span.parentId),
    ...(wait === undefined ? {} : { wait: { offsetUs: wait.fromUs - startUs, durationUs: wait.toUs - wait.fromUs } }),
  };
}

// A consumer names its producer as parent or by a link. It may start before the producer has its acknowledgement:
// then there was no wait worth drawing.
function waitOf(trace: StoredTrace, span: SpanRecord): { fromUs: number; toUs: number } | undefined {
  if (span.role !== "consumer") return undefined;
  const linked = span.links.flatMap((link) => (link.traceId === span.traceId ? [link.spanId] : []));
  const origins = [...(span.parentId === undefined ? [] : [span.parentId]), ...linked]
    .map((spanId) => trace.spans.get(spanId))
    .filter((origin) => origin !== undefined);
  const origin = origins.find((candidate) => candidate.role === "producer") ?? origins[0];
  if (origin === undefined || origin.endUs >= span.startUs) return undefined;
  return { fromUs: origin.endUs, toUs: span.startUs };
}
