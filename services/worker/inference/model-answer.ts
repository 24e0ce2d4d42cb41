// Makes one call to a language model and reads its answer as it comes. Bounds its size and its silences; knows neither the mesh nor who
// is to blame for what goes wrong.
import {
  APICallError,
  InvalidResponseDataError,
  type LanguageModelV4,
  type LanguageModelV4FinishReason,
  type LanguageModelV4StreamPart,
  type LanguageModelV4Usage,
} from "@ai-sdk/provider";
import type { ModelCall } from "./inference-order.ts";
import { ModelStreamError } from "./model-failure.ts";
import type { PieceKind } from "./piece-gatherer.ts";

/** Most characters of an answer and its reasoning. */
export const MAX_ANSWER_LENGTH = 4_194_304;

/** A whole answer. */
export interface ModelAnswer {
  readonly text: string;
  readonly reasoning: string;
  readonly finishReason: LanguageModelV4FinishReason["unified"];
  readonly usage: LanguageModelV4Usage;
  /** The model that answered; undefined if the provider does not say. */
  readonly model: string | undefined;
  readonly responseId: string | undefined;
  /** To the first piece; undefined if there was none. */
  readonly firstPieceMs: number | undefined;
  readonly totalMs: number;
  /** What was asked for and could not be done. */
  readonly warnings: readonly string[];
}

/** The answer took too long. Trying again may help. */
export class ModelTimeoutError extends Error {
  override readonly name = "ModelTimeoutError";
}

/** The answer is larger than {@link MAX_ANSWER_LENGTH}. */
export class AnswerTooLargeError extends Error {
  override readonly name = "AnswerTooLargeError";
}

/** How an answer is read. */
export interface AnswerOptions {
  readonly signal: AbortSignal;
  /** The limit of the whole call; none but the signal if undefined. */
  readonly timeoutMs: number | undefined;
  /** The longest wait for anything of the answer. */
  readonly stallTimeoutMs: number;
  /** Takes each piece as it comes; the next is read when it resolves. */
  readonly onPiece: (kind: PieceKind, text: string) => Promise<void>;
  /** Anything came, even if it holds no text. */
  readonly onLife: () => void;
}

/**
 * Calls `model`. Throws the reason of the signal, ModelTimeoutError, AnswerTooLargeError, the library's errors before the answer begins, and
 * ModelStreamError or APICallError after.
 */
export async function askModel(model: LanguageModelV4, call: ModelCall, options: AnswerOptions): Promise<ModelAnswer> {
  const { signal, timeoutMs, stallTimeoutMs } = options;
  const stop = new AbortController();
  const startedAtMs = performance.now();
  const stalled = new ModelTimeoutError(`nothing of the answer came for ${stallTimeoutMs} ms`);
  // How long the mesh takes to take a piece is not the model's silence.
  let isTaking = false;
  const stall = setTimeout(() => (isTaking ? stall.refresh() : stop.abort(stalled)), stallTimeoutMs);
  const tooLong = new ModelTimeoutError(`the answer took longer than ${timeoutMs} ms`);
  const limit = timeoutMs === undefined ? undefined : setTimeout(() => stop.abort(tooLong), timeoutMs);
  const abortSignal = AbortSignal.any([signal, stop.signal]);
  try {
    abortSignal.throwIfAborted();
    const { stream } = await model.doStream({ ...call, abortSignal });
    const reading = new AnswerReading(startedAtMs, options);
    for await (const part of stream) {
      isTaking = true;
      await reading.take(part);
      isTaking = false;
      stall.refresh();
    }
    return reading.whole();
  } catch (error) {
    // The library wraps what ends a stream, and gives an error of its own for what was aborted.
    if (abortSignal.aborted) throw abortSignal.reason;
    throw error;
  } finally {
    clearTimeout(stall);
    clearTimeout(limit);
    // Whatever ended the reading ends the exchange: nobody pays for what nobody reads.
    stop.abort();
  }
}

type Finish = Extract<LanguageModelV4StreamPart, { readonly type: "finish" }>;

class AnswerReading {
  readonly #startedAtMs: number;
  readonly #options: AnswerOptions;
  readonly #texts: Record<PieceKind, string> = { text: "", reasoning: "" };
  readonly #warnings: string[] = [];
  #firstPieceMs: number | undefined;
  #model: string | undefined;
  #responseId: string | undefined;
  #finish: Finish | undefined;

  constructor(startedAtMs: number, options: AnswerOptions) {
    this.#startedAtMs = startedAtMs;
    this.#options = options;
  }

  async take(part: LanguageModelV4StreamPart): Promise<void> {
    if (part.type !== "stream-start") this.#options.onLife();
    switch (part.type) {
      case "text-delta":
        return await this.#piece("text", part.delta);
      case "reasoning-delta":
        return await this.#piece("reasoning", part.delta);
      case "stream-start":
        this.#warnings.push(...part.warnings.map(lineOfWarning));
        return;
      case "response-metadata":
        this.#model = part.modelId ?? this.#model;
        this.#responseId = part.id ?? this.#responseId;
        return;
      case "finish":
        this.#finish = part;
        return;
      case "error":
        throw APICallError.isInstance(part.error) ? part.error : new ModelStreamError(part.error);
    }
  }

  whole(): ModelAnswer {
    const finish = this.#finish;
    const reason = finish?.finishReason.unified;
    if (finish === undefined || reason === undefined || reason === "interrupted" || reason === "error") {
      const message = "the stream ended before the answer did";
      throw new ModelStreamError(new InvalidResponseDataError({ data: undefined, message }));
    }
    return {
      ...this.#texts,
      finishReason: reason,
      usage: finish.usage,
      model: this.#model,
      responseId: this.#responseId,
      firstPieceMs: this.#firstPieceMs,
      totalMs: performance.now() - this.#startedAtMs,
      warnings: this.#warnings,
    };
  }

  async #piece(kind: PieceKind, text: string): Promise<void> {
    if (text === "") return;
    this.#firstPieceMs ??= performance.now() - this.#startedAtMs;
    this.#texts[kind] += text;
    if (this.#texts.text.length + this.#texts.reasoning.length > MAX_ANSWER_LENGTH) {
      throw new AnswerTooLargeError(`the answer has more than ${MAX_ANSWER_LENGTH} characters`);
    }
    await this.#options.onPiece(kind, text);
  }
}

type Warning = Extract<LanguageModelV4StreamPart, { readonly type: "stream-start" }>["warnings"][number];

function lineOfWarning(warning: Warning): string {
  if (warning.type === "other") return warning.message;
  if (warning.type !== "unsupported" && warning.type !== "compatibility") return warning.type;
  const { feature, details } = warning;
  return details === undefined ? `${feature} is not supported` : `${feature}: ${details}`;
}
