// The `inference` task as the mesh meets it: a call to a language model, its answer streamed, and what the answer means for the attempt.
import { context } from "@opentelemetry/api";
import type { JsonValue, MessageInitShape } from "@bufbuild/protobuf";
import { fromJson } from "@bufbuild/protobuf";
import { ValueSchema } from "@bufbuild/protobuf/wkt";
import {
  InferenceChunkSchema,
  InferenceInputSchema,
  InferenceOutputSchema,
  type TokenUsageSchema,
} from "../../../gen/mycel/tasks/v1/inference_pb.ts";
import type { Logger } from "../../../lib/core/logger.ts";
import { markSpanFailed } from "../../../lib/wire/trace-context.ts";
import { type Capability, fail, type Outcome, RetryableError, typedCapability } from "../../../sdk/agent/index.ts";
import { roundMs } from "../exchange-messages.ts";
import { isDeeper } from "../json-depth.ts";
import { ChatMetrics } from "./chat-metrics.ts";
import { recordAnswer, startChatSpan } from "./chat-span.ts";
import { checkInference, type InferenceOrder, inferenceOrder } from "./inference-order.ts";
import { AnswerTooLargeError, askModel, type ModelAnswer, ModelTimeoutError } from "./model-answer.ts";
import { errorTypeOf, outcomeOfFailure } from "./model-failure.ts";
import type { ModelProvider, ModelProviders } from "./model-providers.ts";
import { type PieceKind, PieceGatherer } from "./piece-gatherer.ts";
import { tokenCount } from "./token-count.ts";

/** The least time between two streamed pieces: often enough to read along. */
const PIECE_INTERVAL_MS = 50;
/** Deepest nesting of a JSON answer: the mesh takes 30 levels, and it stands in an object. */
const MAX_JSON_DEPTH = 28;

type Output = MessageInitShape<typeof InferenceOutputSchema>;

/** Continues chats by the models of `providers`. */
export function inferenceTask({ all, settings }: ModelProviders): Capability {
  const measured = new ChatMetrics();
  return typedCapability({
    description: `Continues a chat by a language model (${settings.summary}): { messages, system?, model?, provider?, … }.`,
    input: InferenceInputSchema,
    chunk: InferenceChunkSchema,
    output: InferenceOutputSchema,
    check: (input) => checkInference(settings, input),
    async run({ input }, { output, heartbeat, signal, logger }) {
      const order = inferenceOrder(settings, input);
      const provider = all.find(({ name }) => name === order.provider);
      // The check has seen to it.
      if (provider === undefined) throw new Error(`there is no provider ${order.provider}`);
      const pieces = new PieceGatherer({
        intervalMs: PIECE_INTERVAL_MS,
        send: (kind, text) => output(chunkOf(kind, text)),
      });
      const { span, inside } = startChatSpan(order, provider);
      try {
        const answer = await context.with(inside, () =>
          measured.measure(order, provider, () =>
            askModel(provider.model(order.model), order.call, {
              signal,
              timeoutMs: order.timeoutMs,
              stallTimeoutMs: order.stallTimeoutMs,
              onPiece: (kind, text) => pieces.add(kind, text),
              onLife: heartbeat,
            }),
          ),
        );
        await pieces.flush();
        if (span !== undefined) recordAnswer(span, answer);
        logAnswer(logger, order, provider, answer);
        return resultOf(order, provider, answer);
      } catch (error) {
        if (span !== undefined) markSpanFailed(span, errorTypeOf(error));
        if (signal.aborted) throw error;
        // What came is worth reading, whatever ended it.
        await pieces.flush();
        return failureOf(error, provider);
      } finally {
        pieces.discard();
        span?.end();
      }
    },
  });
}

function failureOf(error: unknown, provider: ModelProvider): Outcome {
  if (error instanceof ModelTimeoutError) {
    throw new RetryableError(`${provider.name}: ${error.message}`, {
      reason: "PROVIDER_TIMEOUT",
      details: "",
      cause: error,
    });
  }
  if (error instanceof AnswerTooLargeError) {
    return fail(`${provider.name}: ${error.message}`, { reason: "RESPONSE_TOO_LARGE" });
  }
  return outcomeOfFailure(error, provider);
}

function resultOf(order: InferenceOrder, provider: ModelProvider, answer: ModelAnswer): Output | Outcome {
  const { text, reasoning, finishReason, model, responseId, firstPieceMs, totalMs, warnings } = answer;
  if (finishReason === "content-filter") {
    return fail(`${provider.name} refused to answer: its content filter ended the answer`, {
      reason: "CONTENT_FILTERED",
    });
  }
  const json = order.json ? parsed(text) : undefined;
  if (order.json && json === undefined) return noJson(provider, finishReason);
  if (json !== undefined && isDeeper(json, MAX_JSON_DEPTH)) {
    const message = `${provider.name}: the JSON answer is nested deeper than ${MAX_JSON_DEPTH} levels`;
    return fail(message, { reason: "RESPONSE_TOO_LARGE" });
  }
  return {
    text,
    reasoning,
    ...(json === undefined ? {} : { json: fromJson(ValueSchema, json) }),
    finishReason: finishReason.replaceAll("-", "_"),
    usage: usageOf(answer),
    provider: provider.name,
    model: model ?? order.model,
    responseId: responseId ?? "",
    ...(firstPieceMs === undefined ? {} : { firstTokenMs: roundMs(firstPieceMs) }),
    totalMs: roundMs(totalMs),
    warnings: [...warnings],
  };
}

function noJson({ name }: ModelProvider, finishReason: string): Outcome {
  if (finishReason === "length") {
    // The next attempt would end at the same place.
    return fail(`${name}: the JSON answer was cut off at the most tokens`, { reason: "ANSWER_CUT_OFF" });
  }
  throw new RetryableError(`${name}: the answer is not JSON`, { reason: "NOT_JSON", details: "" });
}

function parsed(text: string): JsonValue | undefined {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function usageOf({ usage: { inputTokens, outputTokens } }: ModelAnswer): MessageInitShape<typeof TokenUsageSchema> {
  const input = tokenCount(inputTokens.total);
  const output = tokenCount(outputTokens.total);
  const total = input === undefined || output === undefined ? undefined : tokenCount(input + output);
  const reasoning = tokenCount(outputTokens.reasoning);
  const cached = tokenCount(inputTokens.cacheRead);
  return {
    ...(input === undefined ? {} : { inputTokens: input }),
    ...(output === undefined ? {} : { outputTokens: output }),
    ...(total === undefined ? {} : { totalTokens: total }),
    ...(reasoning === undefined ? {} : { reasoningTokens: reasoning }),
    ...(cached === undefined ? {} : { cachedTokens: cached }),
  };
}

/** What it cost, for whoever counts by the log; never a word of the chat. */
function logAnswer(logger: Logger, { model }: InferenceOrder, { name }: ModelProvider, answer: ModelAnswer): void {
  const { inputTokens, outputTokens } = answer.usage;
  const fields = {
    provider: name,
    model: answer.model ?? model,
    finish_reason: answer.finishReason,
    input_tokens: inputTokens.total,
    output_tokens: outputTokens.total,
    first_token_ms: answer.firstPieceMs === undefined ? undefined : roundMs(answer.firstPieceMs),
    total_ms: roundMs(answer.totalMs),
  };
  logger.info(fields, "inference");
}

function chunkOf(kind: PieceKind, text: string): MessageInitShape<typeof InferenceChunkSchema> {
  return { delta: { case: kind, value: text } };
}
