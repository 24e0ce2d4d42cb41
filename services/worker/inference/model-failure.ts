// What a failed call to a provider means for the attempt: who is to blame, whether another attempt makes sense, and when. Never tells a
// key, and tells what the provider wrote only in the details, which stand in no log and on no span: it may quote the chat.
import { AISDKError, APICallError } from "@ai-sdk/provider";
import { MAX_WAIT_MS } from "../../../lib/core/limits.ts";
import { readRetryAfter } from "../../../lib/outbound/retry-after.ts";
import { AgentError, fail, type Outcome, RetryableError, retryAfter } from "../../../sdk/agent/index.ts";
import type { ModelProvider } from "./model-providers.ts";

/** Most characters of a provider's words that a failure quotes. */
const MAX_QUOTED_LENGTH = 2_048;
const MAX_CODE_LENGTH = 64;
// The same request may be taken later.
const PASSING_STATUSES: ReadonlySet<number> = new Set([408, 409, 425, 429]);

/** What went wrong within a stream that had begun well: the provider says so, or what it sent makes no sense. */
export class ModelStreamError extends Error {
  override readonly name = "ModelStreamError";
  /** What the provider sent, or the error of reading it. */
  readonly said: unknown;

  constructor(said: unknown) {
    super("the stream of the answer failed");
    this.said = said;
  }
}

/** The outcome of an attempt whose call threw. Throws RetryableError where the retry policy is to decide, and what is no failure of a provider. */
export function outcomeOfFailure(error: unknown, provider: ModelProvider): Outcome {
  if (error instanceof ModelStreamError) return streamFailed(error.said, provider);
  if (APICallError.isInstance(error)) return callFailed(error, provider);
  if (AISDKError.isInstance(error)) {
    return fail(`${provider.name} cannot be asked for this`, {
      reason: "UNSUPPORTED",
      details: quoted(error.message, provider),
    });
  }
  throw error;
}

/** What a span calls an error: the status that a provider answered, why the attempt had to stop, or the kind of error. */
export function errorTypeOf(error: unknown): string {
  if (error instanceof AgentError) return error.code;
  if (APICallError.isInstance(error) && error.statusCode !== undefined) return String(error.statusCode);
  return error instanceof Error ? error.name : "error";
}

function callFailed(error: APICallError, provider: ModelProvider): Outcome {
  const { statusCode: status, responseBody, responseHeaders } = error;
  if (status === undefined) return unreachable(error, provider);
  if (status >= 200 && status <= 299) {
    if (causesOf(error).some(({ code }) => code === "UND_ERR_RES_EXCEEDED_MAX_SIZE")) {
      return fail(`${provider.name}: the answer has too many bytes`, { reason: "RESPONSE_TOO_LARGE" });
    }
    return broken(provider, "the connection was lost while the answer came");
  }
  const details = quoted(responseBody ?? "", provider);
  if (status === 401 || status === 403) {
    // OpenAI quotes a part of the key.
    const advice = `its operator must correct ${provider.keyVariable}`;
    return fail(`${provider.name} refused the agent's key (${status}): ${advice}`, { reason: "PROVIDER_REFUSED_KEY" });
  }
  const code = codeOf(jsonOf(responseBody));
  const message = `${provider.name} answered ${status}${code === "" ? "" : ` (${code})`}`;
  if (status < 500 && !PASSING_STATUSES.has(status)) return fail(message, { reason: "PROVIDER_REFUSED", details });
  const reason = status === 429 ? "RATE_LIMITED" : "PROVIDER_FAILED";
  const delayMs = readRetryAfter(responseHeaders?.["retry-after"], Date.now());
  if (delayMs === undefined) throw new RetryableError(message, { reason, details });
  return retryAfter(Math.min(delayMs, MAX_WAIT_MS), message, { reason, details });
}

function unreachable(error: APICallError, { name, host, port }: ModelProvider): never {
  const [{ code } = { code: undefined }] = causesOf(error);
  throw new RetryableError(`no answer from ${name} at ${host}:${port}${code === undefined ? "" : ` (${code})`}`, {
    reason: "PROVIDER_UNREACHABLE",
    details: "",
  });
}

/** The errors behind an error that have a code, as those of Node and undici do, outermost first. */
function causesOf(error: Error): readonly { readonly code: string }[] {
  const { cause } = error;
  if (!(cause instanceof Error)) return [];
  return "code" in cause && typeof cause.code === "string"
    ? [{ code: cause.code }, ...causesOf(cause)]
    : causesOf(cause);
}

/** An error that the provider sent as a part of the stream, or a part that cannot be read. */
function streamFailed(said: unknown, provider: ModelProvider): never {
  // Errors of reading quote what they could not read, which is the answer.
  if (AISDKError.isInstance(said)) return broken(provider, "the answer cannot be read");
  const code = codeOf({ error: said });
  throw new RetryableError(`${provider.name} broke off its answer${code === "" ? "" : ` (${code})`}`, {
    reason: "PROVIDER_FAILED",
    details: quoted(typeof said === "string" ? said : (JSON.stringify(said) ?? ""), provider),
  });
}

function broken({ name }: ModelProvider, what: string): never {
  throw new RetryableError(`${name}: ${what}`, { reason: "BAD_RESPONSE", details: "" });
}

function jsonOf(body: string | undefined): unknown {
  try {
    return JSON.parse(body ?? "");
  } catch {
    return undefined;
  }
}

/** The word for what went wrong, as OpenAI (`error.code`, `error.type`) and Anthropic (`error.type`) give it; empty if there is none. */
function codeOf(body: unknown): string {
  if (typeof body !== "object" || body === null || !("error" in body)) return "";
  const { error } = body;
  if (typeof error !== "object" || error === null) return "";
  const words = ["code" in error ? error.code : undefined, "type" in error ? error.type : undefined];
  const isWord = (word: unknown): word is string =>
    typeof word === "string" && word.length <= MAX_CODE_LENGTH && /^[\w.-]+$/.test(word);
  return words.find(isWord) ?? "";
}

function quoted(text: string, { withoutKey }: ModelProvider): string {
  return withoutKey(text).slice(0, MAX_QUOTED_LENGTH);
}
