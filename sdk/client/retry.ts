// Decides what a failed try means: whether the same call may be tried again, where, and after how long. No I/O, no timers.
// The waiting is in resilient-transport.ts: a retry library's delays cannot be ended by the caller's signal, and here they must.
import { Code, ConnectError } from "@connectrpc/connect";
import { readDetails } from "../../lib/rpc/rich-error.ts";
import type { Verdict } from "./resilience/endpoint-breaker.ts";

/** What a failed try means. */
export type FailedTry =
  /** Trying again cannot help, or the answer must reach the caller. */
  | { readonly kind: "final" }
  /** The connection broke or could not be made: nothing is known about the call, and another server may be fine. */
  | { readonly kind: "lost" }
  /** This server goes away; another may be fine at once. */
  | { readonly kind: "leaving" }
  /** The server asks to come back; after `delayMs` if it said when. */
  | { readonly kind: "busy"; readonly delayMs?: number };

/** How the waits between tries grow, in milliseconds. */
export interface Backoff {
  readonly initialMs: number;
  readonly maximumMs: number;
}

/** The waits before connecting anew once every server was tried. Short: a coordinator is replaced within seconds. */
export const RECONNECT: Backoff = { initialMs: 50, maximumMs: 2_000 };

/** Judges an error. `aborted` says that the caller itself ended the call: then nothing is tried again. */
export function judge(error: unknown, aborted: boolean): FailedTry {
  if (aborted || !(error instanceof ConnectError)) return { kind: "final" };
  if (isConnectionLoss(error)) return { kind: "lost" };
  if (error.code !== Code.Unavailable && error.code !== Code.ResourceExhausted) return { kind: "final" };
  const { reason, retryDelayMs } = readDetails(error);
  if (reason === "DRAINING") return { kind: "leaving" };
  if (retryDelayMs !== undefined) return { kind: "busy", delayMs: retryDelayMs };
  if (error.code === Code.Unavailable) return { kind: "busy" };
  // A coordinator that gives a reason and no delay means a limit that waiting does not lift, as this side does, which has no word of a
  // server's: a message that is too large. A rate limit of what stands before it says neither.
  return reason === undefined && [...error.metadata.keys()].length > 0 ? { kind: "busy" } : { kind: "final" };
}

/** What a failed try says about its endpoint, for a circuit breaker. `tryMs` is how long the try was given. */
export function verdictOn(error: unknown, aborted: boolean, tryMs: number): Verdict {
  if (aborted || !(error instanceof ConnectError)) return "unknown";
  if (isConnectionLoss(error)) return "out";
  if ([...error.metadata.keys()].length === 0 && readDetails(error).reason === undefined) {
    return error.code === Code.DeadlineExceeded && tryMs >= TELLING_SILENCE_MS ? "out" : "unknown";
  }
  // No coordinator says this without a reason: it is what stands before one that cannot be reached.
  return error.code === Code.Unavailable && readDetails(error).reason === undefined ? "out" : "alive";
}

/** Counts how often in a row a stream was refused for its credential: the first time, it may go on where it was with another one. */
export class Refusals {
  readonly #renews: boolean;
  #count = 0;

  /** `renews`: whether there may be another credential the next time. */
  constructor(renews: boolean) {
    this.#renews = renews;
  }

  /** Whether a stream that ended with an error of this code may go on with the next credential. */
  mayGoOn(code: string): boolean {
    if (code !== "unauthenticated" || !this.#renews) return false;
    this.#count += 1;
    return this.#count === 1;
  }

  /** A credential was accepted. */
  clear(): void {
    this.#count = 0;
  }
}

/** Whether it is certain that a server that was sent a call has begun nothing for it. */
export function isRefusal(error: unknown): boolean {
  if (!(error instanceof ConnectError) || isConnectionLoss(error)) return false;
  return REFUSALS.has(error.code) || readDetails(error).reason === "DRAINING";
}

/**
 * How long to wait before the next try, in milliseconds.
 *
 * @param failed what the last try meant
 * @param tries how many tries were made, from 1
 * @param servers how many servers there are to try
 * @param random from 0 to below 1: spreads clients that failed together
 * @param backoff the waits after a server's answer that does not say how long
 */
export function delayBeforeTry(
  failed: Exclude<FailedTry, { kind: "final" }>,
  tries: number,
  servers: number,
  random: number,
  backoff: Backoff = RECONNECT,
): number {
  if (failed.kind === "busy") {
    if (failed.delayMs !== undefined) return failed.delayMs * (1 + 0.2 * random);
    return grown(backoff, tries - 1) * (0.75 + 0.5 * random);
  }
  // As long as there is a server that was not tried, there is nothing to wait for.
  return tries < servers ? 0 : grown(RECONNECT, tries - servers) * (0.5 + 0.5 * random);
}

function grown({ initialMs, maximumMs }: Backoff, round: number): number {
  return Math.min(maximumMs, initialMs * 2 ** Math.min(round, 16));
}

// A caller in a hurry that gets no answer learns nothing about the server.
const TELLING_SILENCE_MS = 1_000;

/** With these codes, a server says that it has begun nothing. */
export const REFUSALS: ReadonlySet<number> = new Set([
  Code.InvalidArgument,
  Code.ResourceExhausted,
  Code.Unauthenticated,
  Code.PermissionDenied,
  Code.Unimplemented,
]);

// What connect-node throws when the connection breaks: no word of the server's, and one of these codes. A cut HTTP/2 stream looks like
// a cancellation, so the code alone does not tell them apart; a server's own answer always carries headers or trailers.
const LOSS_CODES: ReadonlySet<Code> = new Set([Code.Canceled, Code.Aborted, Code.Unavailable]);
const LOSS_MESSAGE = /http\/2 stream closed|missing trailer|missing EndStreamResponse|premature|connection/i;

function isConnectionLoss(error: ConnectError): boolean {
  if ([...error.metadata.keys()].length > 0 || readDetails(error).reason !== undefined) return false;
  if (LOSS_CODES.has(error.code)) return true;
  if (error.code !== Code.Internal && error.code !== Code.Unknown) return false;
  return hasSystemCode(error.cause) || LOSS_MESSAGE.test(error.rawMessage);
}

function hasSystemCode(cause: unknown): boolean {
  return cause instanceof Error && "code" in cause && typeof cause.code === "string";
}
