// What metrics tell of calls to language models: OpenTelemetry's conventions for generative AI. Never a word of the chat, nor which task.
import { type Attributes, type Histogram, metrics } from "@opentelemetry/api";
import type { InferenceOrder } from "./inference-order.ts";
import type { ModelAnswer } from "./model-answer.ts";
import { errorTypeOf } from "./model-failure.ts";
import type { ModelProvider } from "./model-providers.ts";
import { tokenCount } from "./token-count.ts";

// The boundaries that the conventions advise: collectors and dashboards expect these.
const TOKEN_BOUNDARIES = Array.from({ length: 14 }, (_, i) => 4 ** i);
const SECOND_BOUNDARIES = Array.from({ length: 14 }, (_, i) => 2 ** i / 100);

/** Measures calls by the meter provider that is set up when it is made; records nothing if there is none. */
export class ChatMetrics {
  readonly #tokens: Histogram;
  readonly #seconds: Histogram;

  constructor() {
    const meter = metrics.getMeter("mycel");
    this.#tokens = meter.createHistogram("gen_ai.client.token.usage", {
      description: "Number of input and output tokens used.",
      unit: "{token}",
      advice: { explicitBucketBoundaries: TOKEN_BOUNDARIES },
    });
    this.#seconds = meter.createHistogram("gen_ai.client.operation.duration", {
      description: "GenAI operation duration.",
      unit: "s",
      advice: { explicitBucketBoundaries: SECOND_BOUNDARIES },
    });
  }

  /** Makes a call and records how long it took, and what it cost as far as the provider says; the same if it fails. */
  async measure(
    { model }: InferenceOrder,
    provider: ModelProvider,
    call: () => Promise<ModelAnswer>,
  ): Promise<ModelAnswer> {
    const asked: Attributes = {
      "gen_ai.operation.name": "chat",
      "gen_ai.provider.name": provider.name,
      "gen_ai.request.model": model,
      "server.address": provider.host,
      "server.port": provider.port,
    };
    const startedAtMs = performance.now();
    try {
      const answer = await call();
      const answered = answer.model === undefined ? asked : { ...asked, "gen_ai.response.model": answer.model };
      this.#seconds.record(answer.totalMs / 1_000, answered);
      this.#count(answer.usage.inputTokens.total, answered, "input");
      this.#count(answer.usage.outputTokens.total, answered, "output");
      return answer;
    } catch (error) {
      const seconds = (performance.now() - startedAtMs) / 1_000;
      this.#seconds.record(seconds, { ...asked, "error.type": errorTypeOf(error) });
      throw error;
    }
  }

  #count(given: number | undefined, attributes: Attributes, type: "input" | "output"): void {
    const count = tokenCount(given);
    if (count !== undefined) this.#tokens.record(count, { ...attributes, "gen_ai.token.type": type });
  }
}
