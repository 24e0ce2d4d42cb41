// The options of a client: what they mean, their defaults, and their check.
import type { Interceptor } from "@connectrpc/connect";
import type { Clock } from "../../lib/core/clock.ts";
import { type Logger, silentLogger } from "../../lib/core/logger.ts";
import { isThisMachine } from "../../lib/rpc/cleartext.ts";
import { type AccessOptions, type ResolvedAccess, resolveAccess } from "../access/access-options.ts";
import { MycelError, invalidOption } from "./mycel-error.ts";
import {
  type BreakerOptions,
  type ResolvedBreakerOptions,
  resolveBreakerOptions,
} from "./resilience/breaker-options.ts";

/** The protocol that a client speaks. All three are served on the same port. */
export type TransportKind = "grpc" | "connect" | "grpc-web";

/** When and how often a call that failed is tried again. */
export interface CallRetryOptions {
  /** How often an idempotent call is tried at most. From 1; default Infinity: as often as its time allows. */
  readonly attempts?: number;
  /**
   * The wait after an answer of UNAVAILABLE or RESOURCE_EXHAUSTED that does not say how long, in milliseconds; it doubles from then on,
   * and varies by a quarter. From 1 to 60,000; default 1,000. A coordinator that says how long (RetryInfo) is believed, and one that cannot
   * be reached is left for the next at once.
   */
  readonly initialMs?: number;
  /** The longest such wait, in milliseconds. From `initialMs` to 600,000; default 4,000. */
  readonly maximumMs?: number;
}

/** Options of `createClient`. */
export interface ClientOptions extends AccessOptions {
  /** Where a coordinator is, e.g. `http://127.0.0.1:8080`. Either this or `urls`. */
  readonly url?: string;
  /** Where coordinators are, in order of preference: when one is lost, the next is used. Either this or `url`. */
  readonly urls?: readonly string[];
  /** The protocol. Default `grpc`. Each runs over HTTP/2. */
  readonly transport?: TransportKind;
  /**
   * How long a call may take in all, retries included, in milliseconds. From 1 to 86,400,000; default 30,000. Streams and waits have
   * limits of their own.
   */
  readonly timeoutMs?: number;
  /** When and how often a call that failed is tried again. */
  readonly retry?: CallRetryOptions;
  /** When a coordinator that fails is left alone, and for how long; false for never. */
  readonly breaker?: BreakerOptions | false;
  /** How long a broken stream of events is tried to be resumed, in milliseconds. From 0 to 86,400,000; default 60,000. */
  readonly reconnectTimeoutMs?: number;
  /** How long a connection may take to open, in milliseconds. From 1 to 600,000; default 5,000. */
  readonly connectTimeoutMs?: number;
  /** How long a stream of events may be silent before its connection counts as dead, in milliseconds. From 1; default 45,000. */
  readonly silenceTimeoutMs?: number;
  /**
   * Whether messages of 1 KiB and more are sent compressed (gzip), or from how many bytes, from 1 to 16,777,216. Default: true, but not to
   * a coordinator on this machine (`localhost`, `127.x.x.x`, `[::1]`), where it only costs time. Answers are compressed by the same rule of
   * the coordinator's.
   */
  readonly compress?: boolean | number;
  /** Headers of every request. For credentials, `token` and `apiKey` are better: they can be renewed. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Connect interceptors, run for each try. */
  readonly interceptors?: readonly Interceptor[];
  /**
   * Whether tasks that are submitted one by one in the same turn of the event loop travel in one call of BatchSubmitTasks, which takes the
   * client and the coordinator a fraction of the time. Each `submit` has its own answer, error, deadline and signal all the same, and a
   * task that is alone in its turn goes as it is. Without effect while there are interceptors, or while this process is traced: they are
   * to see each call. Where only the coordinator is traced, what travels together is in one trace. Default true.
   */
  readonly gatherSubmissions?: boolean;
  /** Takes a line when a server is left or a stream resumed. Default: silent. */
  readonly logger?: Logger;
  /** Where the time of circuit breakers and kept answers comes from. Default: the machine. */
  readonly clock?: Clock;
}

/** The options with their defaults filled in. */
export interface ResolvedOptions {
  readonly urls: readonly [string, ...string[]];
  readonly transport: TransportKind;
  readonly timeoutMs: number;
  readonly maximumTries: number;
  /** The waits after answers that say nothing about them. */
  readonly backoff: { readonly initialMs: number; readonly maximumMs: number };
  readonly breaker: ResolvedBreakerOptions | undefined;
  readonly reconnectTimeoutMs: number;
  readonly connectTimeoutMs: number;
  readonly silenceTimeoutMs: number;
  /** From how many bytes messages to a coordinator are compressed; Infinity for never. */
  readonly compressFromBytes: (url: string) => number;
  readonly headers: Readonly<Record<string, string>>;
  readonly access: ResolvedAccess;
  /** Whether what was refused for its credential may be accepted with the next one. */
  readonly renews: boolean;
  readonly interceptors: readonly Interceptor[];
  readonly gatherSubmissions: boolean;
  readonly logger: Logger;
  readonly clock: Clock;
}

const SYSTEM_CLOCK: Clock = { now: () => Date.now(), monotonicMs: () => performance.now() };
const DAY_MS = 86_400_000;
const DEFAULT_TIMEOUT_MS = 30_000;
// Longer than a coordinator's restart or a leader election, shorter than a person's patience with a silent stream.
const DEFAULT_RECONNECT_TIMEOUT_MS = 60_000;
const DEFAULT_CONNECT_TIMEOUT_MS = 5_000;
// What is shorter fits into one packet anyway.
const COMPRESS_FROM_BYTES = 1_024;
const DEFAULT_RETRY_INITIAL_MS = 1_000;
const DEFAULT_RETRY_MAXIMUM_MS = 4_000;
// A silent stream carries a keep-alive at least every 15 seconds; three in a row are not missed by chance.
const DEFAULT_SILENCE_TIMEOUT_MS = 45_000;

/** Fills in the defaults. Throws a MycelError (INVALID_OPTION) that names the option, its value and what is allowed. */
export function resolveOptions(options: ClientOptions): ResolvedOptions {
  const transport = options.transport ?? "grpc";
  if (!["grpc", "connect", "grpc-web"].includes(transport)) {
    throw invalidOption("transport", `must be "grpc", "connect" or "grpc-web", got ${JSON.stringify(transport)}`);
  }
  const urls = urlsOf(options);
  const logger = options.logger ?? silentLogger;
  const headers = checkedHeaders(options.headers ?? {});
  const access = accessOf(options, urls, logger, headers);
  return {
    urls,
    transport,
    timeoutMs: within("timeoutMs", options.timeoutMs ?? DEFAULT_TIMEOUT_MS, 1, DAY_MS),
    maximumTries: within("retry.attempts", options.retry?.attempts ?? Infinity, 1, Infinity),
    backoff: backoffOf(options.retry ?? {}),
    breaker: resolveBreakerOptions(options.breaker ?? {}),
    reconnectTimeoutMs: within(
      "reconnectTimeoutMs",
      options.reconnectTimeoutMs ?? DEFAULT_RECONNECT_TIMEOUT_MS,
      0,
      DAY_MS,
    ),
    connectTimeoutMs: within("connectTimeoutMs", options.connectTimeoutMs ?? DEFAULT_CONNECT_TIMEOUT_MS, 1, 600_000),
    silenceTimeoutMs: within("silenceTimeoutMs", options.silenceTimeoutMs ?? DEFAULT_SILENCE_TIMEOUT_MS, 1, DAY_MS),
    compressFromBytes: compressionOf(options.compress),
    headers: { ...headers, ...access.headers },
    access,
    renews: access.renews,
    interceptors: options.interceptors ?? [],
    gatherSubmissions: options.gatherSubmissions ?? true,
    logger,
    clock: options.clock ?? SYSTEM_CLOCK,
  };
}

/** Checks a number against its range, ends included. */
export function within(name: string, value: number, from: number, to: number): number {
  if (!(value >= from && value <= to)) throw invalidOption(name, `must be from ${from} to ${to}, got ${value}`);
  return value;
}

function backoffOf(retry: CallRetryOptions): ResolvedOptions["backoff"] {
  const initialMs = within("retry.initialMs", retry.initialMs ?? DEFAULT_RETRY_INITIAL_MS, 1, 60_000);
  const maximumMs = retry.maximumMs ?? Math.max(initialMs, DEFAULT_RETRY_MAXIMUM_MS);
  return { initialMs, maximumMs: within("retry.maximumMs", maximumMs, initialMs, 600_000) };
}

function compressionOf(compress: boolean | number | undefined): ResolvedOptions["compressFromBytes"] {
  if (compress === undefined) return (url) => (isThisMachine(new URL(url).hostname) ? Infinity : COMPRESS_FROM_BYTES);
  if (typeof compress === "boolean") return () => (compress ? COMPRESS_FROM_BYTES : Infinity);
  const fromBytes = within("compress", compress, 1, 16_777_216);
  return () => fromBytes;
}

function accessOf(...args: Parameters<typeof resolveAccess>): ResolvedAccess {
  try {
    return resolveAccess(...args);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new MycelError("invalid_argument", error.message, { reason: "INVALID_OPTION", cause: error });
  }
}

/** Their values are not shown: they may be credentials. */
function checkedHeaders(headers: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  for (const [name, value] of Object.entries(headers)) {
    try {
      new Headers().set(name, value);
    } catch {
      throw invalidOption("headers", `must be such as HTTP can carry, ${JSON.stringify(name)} is not`);
    }
  }
  return headers;
}

function urlsOf(options: ClientOptions): readonly [string, ...string[]] {
  if ((options.url === undefined) === (options.urls === undefined)) {
    throw invalidOption("url", "or urls must be given, and only one of them");
  }
  const [first, ...others] = (options.urls ?? [options.url ?? ""]).map(checkedUrl);
  if (first === undefined) throw invalidOption("urls", "must name at least one coordinator");
  return [first, ...others];
}

function checkedUrl(url: string): string {
  const { protocol } = URL.canParse(url) ? new URL(url) : { protocol: "" };
  if (protocol !== "http:" && protocol !== "https:") {
    throw invalidOption("url", `must be like http://127.0.0.1:8080, got ${JSON.stringify(url)}`);
  }
  return url.replace(/\/+$/, "");
}
