// Owns the ids of traces and spans, and with the id of a trace that begins whether it is sampled: before anything is made for it.
import { ROOT_CONTEXT, SpanKind } from "@opentelemetry/api";
import { type IdGenerator, type Sampler, SamplingDecision } from "@opentelemetry/sdk-trace";
import type { TraceStart } from "../wire/trace-context.ts";

const TRACE_ID_LENGTH = 32;

/** Random ids, and what a sampler that looks at nothing else says of them. */
export class TraceIds implements IdGenerator, TraceStart {
  readonly #sampler: Sampler;
  /** The ids of a trace and of a span in it. */
  readonly #words = new Uint32Array(6);
  readonly #bytes = Buffer.from(this.#words.buffer);
  /** The id of the trace that begins next. */
  #drawn: string | undefined;

  constructor(sampler: Sampler) {
    this.#sampler = sampler;
  }

  unsampled(): string | undefined {
    const ids = this.#random();
    const traceId = ids.slice(0, TRACE_ID_LENGTH);
    const { decision } = this.#sampler.shouldSample(ROOT_CONTEXT, traceId, "", SpanKind.INTERNAL, {}, []);
    if (decision === SamplingDecision.NOT_RECORD) return `00-${traceId}-${ids.slice(TRACE_ID_LENGTH)}-00`;
    this.#drawn = traceId;
    return undefined;
  }

  generateTraceId(): string {
    const traceId = this.#drawn ?? this.#random().slice(0, TRACE_ID_LENGTH);
    this.#drawn = undefined;
    return traceId;
  }

  generateSpanId(): string {
    return this.#random().slice(TRACE_ID_LENGTH);
  }

  /** Of both at once: one hexadecimal text is cheaper than two. */
  #random(): string {
    const words = this.#words;
    for (let i = 0; i < words.length; i += 1) words[i] = Math.random() * 2 ** 32;
    // Neither may be zero.
    words[3] ||= 1;
    words[5] ||= 1;
    return this.#bytes.toString("hex");
  }
}
