// Owns the traces in memory: merges spans of many processes by trace id, keeps the newest, answers questions about
// them. No I/O and no clock.
import type { SpanRecord } from "./span-record.ts";

/** One trace, as far as its spans have arrived. */
export interface StoredTrace {
  readonly traceId: string;
  /** By span id, in order of arrival. */
  readonly spans: ReadonlyMap<string, SpanRecord>;
  /** Spans refused because the trace was full. */
  readonly droppedSpans: number;
}

/** What a list of traces shows. */
export interface TraceSummary {
  readonly traceId: string;
  /** Name of the root span; of the earliest span while the root is missing. */
  readonly rootName: string;
  readonly services: readonly string[];
  readonly spanCount: number;
  readonly errorCount: number;
  readonly startUs: number;
  readonly durationUs: number;
  /** True once a root has arrived and no span's parent is missing. */
  readonly complete: boolean;
}

// Later spans of a trace are counted and dropped.
const MAX_SPANS_PER_TRACE = 5000;

/** Keeps the `keep` traces that changed last. */
export class TraceBook {
  readonly #keep: number;
  // In order of last change, so that the first key is the one to forget.
  readonly #traces = new Map<string, { traceId: string; spans: Map<string, SpanRecord>; droppedSpans: number }>();

  constructor(keep: number) {
    this.#keep = keep;
  }

  /** Adds spans; one that is there already (an export tried twice) changes nothing. Returns those that are new. */
  add(spans: readonly SpanRecord[]): { readonly added: SpanRecord[]; readonly dropped: number } {
    const added: SpanRecord[] = [];
    let dropped = 0;
    for (const span of spans) {
      const trace = this.#traces.get(span.traceId) ?? { traceId: span.traceId, spans: new Map(), droppedSpans: 0 };
      this.#traces.delete(span.traceId);
      this.#traces.set(span.traceId, trace);
      if (trace.spans.has(span.spanId)) continue;
      if (trace.spans.size >= MAX_SPANS_PER_TRACE) {
        trace.droppedSpans += 1;
        dropped += 1;
        continue;
      }
      trace.spans.set(span.spanId, span);
      added.push(span);
    }
    for (const traceId of this.#traces.keys()) {
      if (this.#traces.size <= this.#keep) break;
      this.#traces.delete(traceId);
    }
    return { added, dropped };
  }

  get(traceId: string): StoredTrace | undefined {
    return this.#traces.get(traceId);
  }

  /** All kept traces, the one that started last first. */
  list(): TraceSummary[] {
    return [...this.#traces.values()].map(summaryOf).sort((a, b) => b.startUs - a.startUs);
  }
}

/** Sums a trace up. */
export function summaryOf(trace: StoredTrace): TraceSummary {
  let earliest: SpanRecord | undefined;
  let root: SpanRecord | undefined;
  let endUs = 0;
  let errorCount = 0;
  let orphans = 0;
  const services = new Set<string>();
  for (const span of trace.spans.values()) {
    if (earliest === undefined || span.startUs < earliest.startUs) earliest = span;
    if (span.parentId === undefined) {
      if (root === undefined || span.startUs < root.startUs) root = span;
    } else if (!trace.spans.has(span.parentId)) orphans += 1;
    endUs = Math.max(endUs, span.endUs);
    if (span.failed) errorCount += 1;
    services.add(span.service);
  }
  const startUs = earliest?.startUs ?? 0;
  return {
    traceId: trace.traceId,
    rootName: (root ?? earliest)?.name ?? "",
    services: [...services].sort(),
    spanCount: trace.spans.size,
    errorCount,
    startUs,
    durationUs: Math.max(0, endUs - startUs),
    complete: root !== undefined && orphans === 0 && trace.droppedSpans === 0,
  };
}
