// What a trace tells of a call to a language model: OpenTelemetry's conventions for generative AI. Never a word of the chat.
import { type Attributes, context, type Context, type Span, SpanKind } from "@opentelemetry/api";
import { startHop } from "../../../lib/wire/hop.ts";
import { isTracing } from "../../../lib/wire/trace-context.ts";
import type { InferenceOrder } from "./inference-order.ts";
import type { ModelAnswer } from "./model-answer.ts";
import type { ModelProvider } from "./model-providers.ts";

/** The span of a call and the context to make it in. */
export interface ChatSpan {
  /** Undefined if nothing is recorded. */
  readonly span: Span | undefined;
  readonly inside: Context;
}

/** Starts the span of a call below the active one. */
export function startChatSpan({ model, call, json }: InferenceOrder, provider: ModelProvider): ChatSpan {
  const active = context.active();
  if (!isTracing()) return { span: undefined, inside: active };
  return startHop(active, () => {
    const attributes: Attributes = {
      "gen_ai.operation.name": "chat",
      "gen_ai.provider.name": provider.name,
      "gen_ai.request.model": model,
      "gen_ai.request.stream": true,
      "gen_ai.output.type": json ? "json" : "text",
      "server.address": provider.host,
      "server.port": provider.port,
    };
    if (call.maxOutputTokens !== undefined) attributes["gen_ai.request.max_tokens"] = call.maxOutputTokens;
    if (call.temperature !== undefined) attributes["gen_ai.request.temperature"] = call.temperature;
    if (call.topP !== undefined) attributes["gen_ai.request.top_p"] = call.topP;
    if (call.seed !== undefined) attributes["gen_ai.request.seed"] = call.seed;
    return { name: `chat ${model}`, options: { kind: SpanKind.CLIENT, attributes } };
  });
}

/** Adds what the answer cost and came to. */
export function recordAnswer(span: Span, { usage, model, responseId, finishReason, firstPieceMs }: ModelAnswer): void {
  const { inputTokens, outputTokens } = usage;
  span.setAttribute("gen_ai.response.finish_reasons", [finishReason.replaceAll("-", "_")]);
  if (model !== undefined) span.setAttribute("gen_ai.response.model", model);
  if (responseId !== undefined) span.setAttribute("gen_ai.response.id", responseId);
  if (firstPieceMs !== undefined) span.setAttribute("gen_ai.response.time_to_first_chunk", firstPieceMs / 1_000);
  if (inputTokens.total !== undefined) span.setAttribute("gen_ai.usage.input_tokens", inputTokens.total);
  if (outputTokens.total !== undefined) span.setAttribute("gen_ai.usage.output_tokens", outputTokens.total);
  if (inputTokens.cacheRead !== undefined) {
    span.setAttribute("gen_ai.usage.cache_read.input_tokens", inputTokens.cacheRead);
  }
  if (outputTokens.reasoning !== undefined) {
    span.setAttribute("gen_ai.usage.reasoning.output_tokens", outputTokens.reasoning);
  }
}
