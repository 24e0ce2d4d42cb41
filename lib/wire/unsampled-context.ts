// Owns the context of a trace that is not sampled: what its messages carry, and nothing else. Whoever asks for its span gets one then.
import { type Context, ROOT_CONTEXT, type Span, type SpanContext, trace } from "@opentelemetry/api";

/** Of version 00, with ids that are not zero, and not sampled. Others are left to the propagator. */
const UNSAMPLED = /^00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f][02468ace]$/;

/**
 * A context with nothing in it but a trace that is not sampled. The API's own contexts copy a map and make three functions each, which
 * is more than all that is left to do for a task that nobody traces.
 */
export class UnsampledContext implements Context {
  /** What continues the trace. */
  readonly carrier: { readonly traceparent: string };
  readonly #isRemote: boolean;
  #span: Span | undefined;

  private constructor(traceparent: string, isRemote: boolean) {
    this.carrier = { traceparent };
    this.#isRemote = isRemote;
  }

  /** The context of a trace that came from elsewhere; undefined if it may be sampled, or is none. */
  static from(traceparent: string): UnsampledContext | undefined {
    return UNSAMPLED.test(traceparent) ? new UnsampledContext(traceparent, true) : undefined;
  }

  /** The context of a trace that begins here, with ids that are sound. */
  static begun(traceparent: string): UnsampledContext {
    return new UnsampledContext(traceparent, false);
  }

  getValue(key: symbol): unknown {
    if (key !== SPAN_KEY) return undefined;
    this.#span ??= trace.wrapSpanContext(spanContextOf(this.carrier.traceparent, this.#isRemote));
    return this.#span;
  }

  setValue(key: symbol, value: unknown): Context {
    return this.#ordinary().setValue(key, value);
  }

  deleteValue(key: symbol): Context {
    return this.#ordinary().deleteValue(key);
  }

  #ordinary(): Context {
    return ROOT_CONTEXT.setValue(SPAN_KEY, this.getValue(SPAN_KEY));
  }
}

const SPAN_KEY = spanKey();

/** The API does not tell its key, but asks every context for it. */
function spanKey(): symbol {
  let asked = Symbol("none");
  const context: Context = {
    getValue: (key) => {
      asked = key;
      return undefined;
    },
    setValue: () => context,
    deleteValue: () => context,
  };
  trace.getSpan(context);
  return asked;
}

function spanContextOf(traceparent: string, isRemote: boolean): SpanContext {
  return {
    traceId: traceparent.slice(3, 35),
    spanId: traceparent.slice(36, 52),
    traceFlags: Number.parseInt(traceparent.slice(53), 16),
    isRemote,
  };
}
