// Owns how a handler says what became of an attempt: by a plain value, by one of the outcomes below, or by throwing.
import { MAX_WAIT_MS } from "../../lib/core/limits.ts";
import { AgentError, inRange } from "./agent-error.ts";

const OUTCOME: unique symbol = Symbol.for("mycel.agent.outcome");

/** Why an attempt ended badly, as the mesh keeps it. */
export interface FailureFacts {
  /** One sentence for people; cut at 4,096 characters. */
  readonly message: string;
  /** A stable UPPER_SNAKE_CASE word for programs, at most 63 characters. */
  readonly reason: string;
  /** Whether another attempt makes sense. */
  readonly retryable: boolean;
  /** Who says so: the handler, or a time limit. */
  readonly source: "agent" | "timeout";
  /** More for whoever debugs, usually a stack trace; cut at 16,384 characters. */
  readonly details: string;
}

/** What an attempt came to. Made by {@link complete}, {@link fail}, {@link retryAfter} and {@link snooze}. */
export type Outcome = { readonly [OUTCOME]: true } & (
  | { readonly kind: "complete"; readonly value: unknown }
  | { readonly kind: "fail"; readonly failure: FailureFacts }
  | { readonly kind: "retry_after"; readonly delayMs: number; readonly failure: FailureFacts }
  | { readonly kind: "snooze"; readonly delayMs: number }
);

/** What may be said about a failure beside its message. */
export interface FailureOptions {
  /** A stable UPPER_SNAKE_CASE word for programs, at most 63 characters. */
  readonly reason?: string;
  /** More for whoever debugs. */
  readonly details?: string;
}

const REASON = /^[A-Z][A-Z0-9_]{0,62}$/;

/** The task is done. The same as returning `value`, for handlers that return other outcomes too. */
export function complete(value?: unknown): Outcome {
  return { [OUTCOME]: true, kind: "complete", value };
}

/** The task failed for good: no further attempt. `reason` is `HANDLER_FAILED` if left out. */
export function fail(message: string, options: FailureOptions = {}): Outcome {
  return { [OUTCOME]: true, kind: "fail", failure: agentFailure(message, options, "HANDLER_FAILED", false) };
}

/**
 * This attempt failed and is spent; the next one comes after `delayMs` (0 to 6 days) instead of the policy's backoff, if the policy
 * allows another. `reason` is `RETRY_REQUESTED` if left out.
 */
export function retryAfter(
  delayMs: number,
  message: string = "retry requested",
  options: FailureOptions = {},
): Outcome {
  const failure = agentFailure(message, options, "RETRY_REQUESTED", true);
  return { [OUTCOME]: true, kind: "retry_after", delayMs: inRange("delayMs", delayMs, 0, MAX_WAIT_MS), failure };
}

/** Call the handler again after `delayMs` (0 to 6 days). No attempt is spent: for work whose time has not come. */
export function snooze(delayMs: number): Outcome {
  return { [OUTCOME]: true, kind: "snooze", delayMs: inRange("delayMs", delayMs, 0, MAX_WAIT_MS) };
}

class ReasonedError extends Error {
  /** A stable UPPER_SNAKE_CASE word for programs. */
  readonly reason: string;
  /** More for whoever debugs; the stack trace if left out. */
  readonly details: string | undefined;

  constructor(message: string, options: FailureOptions & ErrorOptions = {}) {
    super(message, options);
    this.reason = checkedReason(options.reason ?? "HANDLER_FAILED");
    this.details = options.details;
  }
}

/** Thrown by a handler to end the task at once, whatever attempts are left. Every other error is followed by a retry. */
export class TerminalError extends ReasonedError {
  override readonly name: string = "TerminalError";
}

/**
 * Thrown by a handler to say why this attempt failed. The retry policy decides on the next one, as after any error; but this one has a
 * reason, which the policy's list of reasons that are not retryable may name.
 */
export class RetryableError extends ReasonedError {
  override readonly name: string = "RetryableError";
}

/** The outcome of a handler that returned. */
export function outcomeOfValue(value: unknown): Outcome {
  return isOutcome(value) ? value : complete(value);
}

/** The outcome of a handler that threw. */
export function outcomeOfError(error: unknown): Outcome {
  const reasoned = error instanceof ReasonedError ? error : undefined;
  const message = error instanceof Error ? textOf(error.message || error.name) : `the handler threw ${textOf(error)}`;
  const stack = error instanceof Error ? stackOf(error) : "";
  const reason = reasoned?.reason ?? "HANDLER_ERROR";
  const details = textOf(reasoned?.details ?? stack);
  const retryable = !(error instanceof TerminalError);
  return {
    [OUTCOME]: true,
    kind: "fail",
    failure: { message, reason, retryable, source: "agent", details },
  };
}

/** The outcome of an attempt that a time limit ended. */
export function outcomeOfTimeout(reason: string, message: string): Outcome {
  return {
    [OUTCOME]: true,
    kind: "fail",
    failure: { message, reason, retryable: true, source: "timeout", details: "" },
  };
}

function isOutcome(value: unknown): value is Outcome {
  return typeof value === "object" && value !== null && OUTCOME in value;
}

function agentFailure(message: string, options: FailureOptions, reason: string, retryable: boolean): FailureFacts {
  const details = textOf(options.details ?? "");
  const checked = checkedReason(options.reason ?? reason);
  return { message: textOf(message), reason: checked, retryable, source: "agent", details };
}

function checkedReason(reason: string): string {
  if (REASON.test(reason)) return reason;
  throw new AgentError(
    "INVALID_OPTION",
    `reason is ${JSON.stringify(reason)}, must be UPPER_SNAKE_CASE, 1 to 63 characters`,
  );
}

// Users may put anything where a text belongs, and their objects may have getters that throw; describing a failure must not fail.
function textOf(value: unknown): string {
  try {
    return typeof value === "string" ? value : (JSON.stringify(value) ?? String(value));
  } catch {
    return typeof value;
  }
}

function stackOf(error: Error): string {
  try {
    const cause = error.cause instanceof Error ? `\ncaused by: ${error.cause.stack ?? error.cause.message}` : "";
    return (error.stack ?? "") + cause;
  } catch {
    return "";
  }
}
