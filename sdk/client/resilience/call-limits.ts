// How long a call may take: the caller's own limit, and that of the attempt in whose name it is made. Deadlines travel: what is left is sent
// with the call, so that no coordinator works for a caller who is gone.
import { MycelError, invalidOption } from "../mycel-error.ts";

/** What limits a call. */
export interface CallOptions {
  /** Ends the call. */
  readonly signal?: AbortSignal;
  /** How long it may take in all, retries included, in milliseconds. From 1 to 86,400,000; default: the client's `timeoutMs`. */
  readonly timeoutMs?: number;
  /** The context of the handler that makes the call: the call ends with its attempt, however long it might take otherwise. */
  readonly ctx?: AttemptLimits;
}

/** What a handler's context says about its attempt. */
export interface AttemptLimits {
  /** Aborted when the attempt must stop. */
  readonly signal: AbortSignal;
  /** When the attempt must be over. */
  readonly deadline: Date;
}

/** The limits as Connect takes them. */
export interface RpcLimits {
  readonly signal?: AbortSignal;
  readonly timeoutMs?: number;
}

const DAY_MS = 86_400_000;

/**
 * The limits of one call; `defaultMs` is how long it may take if nobody says. Throws a MycelError (INVALID_OPTION) for a limit that is none,
 * and DEADLINE_EXCEEDED for an attempt that is over.
 */
export function limitsOf({ signal, timeoutMs, ctx }: CallOptions, defaultMs: number, nowMs: number): RpcLimits {
  // Almost every call.
  if (timeoutMs === undefined && ctx === undefined) return signal === undefined ? {} : { signal };
  if (timeoutMs !== undefined && !(timeoutMs >= 1 && timeoutMs <= DAY_MS)) {
    throw invalidOption("timeoutMs", `must be from 1 to ${DAY_MS}, got ${timeoutMs}`);
  }
  const signals = [signal, ctx?.signal].filter((each) => each !== undefined);
  const [first, second] = signals;
  const leftMs = ctx === undefined ? Infinity : ctx.deadline.getTime() - nowMs;
  if (leftMs <= 0) throw new MycelError("deadline_exceeded", "the attempt in whose name the call is made is over");
  return {
    timeoutMs: Math.min(timeoutMs ?? defaultMs, leftMs),
    ...(first === undefined ? {} : { signal: second === undefined ? first : AbortSignal.any(signals) }),
  };
}

/** The limits of a stream, over as many connections as it takes. */
export interface StreamLimits {
  /** Aborted by the caller, or with a TimeoutError when the time is up; undefined if nothing ends the stream. */
  readonly signal: AbortSignal | undefined;
  /** What a connection that is opened now has left. */
  readonly remaining: () => Pick<RpcLimits, "timeoutMs">;
}

/** The limits of a stream, which has none unless somebody says so. Throws as {@link limitsOf}. */
export function streamLimitsOf(options: CallOptions, now: () => number): StreamLimits {
  const { signal, timeoutMs = Infinity } = limitsOf(options, Infinity, now());
  if (timeoutMs === Infinity) return { signal, remaining: () => ({}) };
  const deadlineMs = now() + timeoutMs;
  const late = AbortSignal.timeout(Math.ceil(timeoutMs));
  return {
    signal: signal === undefined ? late : AbortSignal.any([signal, late]),
    remaining: () => ({ timeoutMs: Math.max(1, deadlineMs - now()) }),
  };
}
