// HTTP requests and TCP checks to addresses that users name: the one door through which they go. Only public addresses are
// reached, or what the operator allows, at every hop; everything that the other side sends is bounded.
import type { Address } from "./address-kind.ts";
import { readAllowList } from "./allow-list.ts";
import { type ConnectionRules, type GrowingFacts, openConnection } from "./connection.ts";
import { exchange, type ExchangeLimits } from "./http-exchange.ts";
import { type LineLookup, openLookupLine } from "./lookup-line.ts";
import { type ExchangeFacts, OutboundError } from "./outbound-error.ts";
import type { Hop } from "./redirect.ts";
import { headerProblem, MAX_REQUEST_HEADER_LENGTH, MAX_REQUEST_HEADERS } from "./request-headers.ts";
import { checked, type Lookup, systemLookup } from "./resolve.ts";
import type { Oversize } from "./response-body.ts";
import { readHostPort, readUrl, type Target } from "./target.ts";

/** Longest timeout of one exchange. */
export const MAX_TIMEOUT_MS = 600_000;
/** Most bytes of a response that may be asked for. */
export const MAX_RESPONSE_BYTES = 100_000_000;
/** Most redirects that may be followed. */
export const MAX_REDIRECTS = 20;
const DEFAULT_TIMEOUT_MS = 10_000;
const DEFAULT_RESPONSE_BYTES = 1_048_576;
const DEFAULT_HEADER_BYTES = 16_384;

/** The methods of a request. */
export const METHODS: readonly string[] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "QUERY"];

/** How outbound requests are made. */
export interface OutboundOptions {
  /**
   * What may be reached beyond public addresses: ranges in CIDR form, addresses, host names, `*.name`. Nothing by default.
   * See readAllowList of allow-list.ts.
   */
  readonly allowPrivate?: readonly string[];
  /** Roots that are trusted in TLS, in PEM, instead of Node's own. */
  readonly ca?: readonly string[];
  /**
   * How names become addresses; the system's way if left out. What it gives is checked all the same. It is called for two names at once
   * at most, and the others wait; the system's way has one line for the whole process. See lookup-line.ts.
   */
  readonly lookup?: Lookup;
}

/** A request to a URL that a user named. */
export interface OutboundRequest {
  /** http or https, without credentials. */
  readonly url: string;
  /** GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS or QUERY; GET if left out. */
  readonly method?: string;
  /** At most 64, none that belongs to the connection. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Not with GET and HEAD. */
  readonly body?: string | Uint8Array;
  /** How many redirects are followed, 0–20. 0, the default, gives a redirect back as the response that it is. */
  readonly maxRedirects?: number;
  /** For everything, redirects and body included: 1–600,000 ms, 10 s by default. */
  readonly timeoutMs?: number;
  /** For look-up, TCP and TLS of each hop: 1–600,000 ms; as long as the whole by default. */
  readonly connectTimeoutMs?: number;
  /** Most bytes of the response's head of each hop: 256–1,048,576, 16 KiB by default. */
  readonly maxHeaderBytes?: number;
  /** Most bytes of the response's decoded body: 0–100,000,000, 1 MiB by default. */
  readonly maxResponseBytes?: number;
  /** What a larger body means: RESPONSE_TOO_LARGE (`fail`, the default) or its beginning (`truncate`). */
  readonly oversize?: Oversize;
  /** Ends the exchange and closes its socket; its reason is thrown. */
  readonly signal?: AbortSignal;
}

/** What came back. */
export interface OutboundResponse {
  /** Three digits from 200; some servers invent their own above 599. */
  readonly status: number;
  /** Names in lower case; values of a repeated header are joined by ", ". */
  readonly headers: Readonly<Record<string, string>>;
  /** The body; unpacked from gzip and br, in any other coding as it came. */
  readonly body: Uint8Array;
  /** Whether the body has more than was asked for. */
  readonly truncated: boolean;
  /** Where the response comes from, after all redirects. */
  readonly url: string;
  /** The URLs that redirected, in order. */
  readonly redirects: readonly string[];
  /** How long the last hop's parts took, and its certificate. */
  readonly facts: ExchangeFacts;
  /** From the call to the end of the body, all hops, in milliseconds. */
  readonly totalMs: number;
}

/** A host and a port to connect to. */
export interface OutboundProbe {
  /** A name or an address. */
  readonly host: string;
  /** 1–65535. */
  readonly port: number;
  /** 1–600,000 ms, 10 s by default. */
  readonly timeoutMs?: number;
  /** Ends the attempt; its reason is thrown. */
  readonly signal?: AbortSignal;
}

/** The door to the outside. It holds nothing: every request has a connection of its own. */
export interface Outbound {
  /** Sends a request. Throws {@link OutboundError}, or the reason of the signal. */
  request(request: OutboundRequest): Promise<OutboundResponse>;
  /** Makes a TCP connection and closes it. Throws {@link OutboundError}, or the reason of the signal. */
  probe(probe: OutboundProbe): Promise<ExchangeFacts>;
  /**
   * Says early what `request` would refuse anyway: a URL that is none, and a literal address that is not allowed. Looks no
   * name up. Throws {@link OutboundError} INVALID_URL or ADDRESS_REFUSED.
   */
  checkUrl(url: string): void;
}

// One line however many doors there are: the threads are the process's.
const systemLine: LineLookup = openLookupLine(systemLookup);

/** Makes the door. Throws RangeError for an `allowPrivate` that cannot be read. */
export function createOutbound({ allowPrivate = [], ca, lookup: find }: OutboundOptions = {}): Outbound {
  const lookup = find === undefined ? systemLine : openLookupLine(find);
  const allowed = readAllowList(allowPrivate);
  const rules: ConnectionRules = ca === undefined ? { allowed, lookup } : { allowed, lookup, ca };
  const checkLiteral = (target: Target): void => {
    const literal: Address | undefined = target.literal;
    if (literal !== undefined) checked(target.host, literal, allowed);
  };
  return {
    checkUrl: (url) => checkLiteral(readUrl(url)),
    request: (request) => sendRequest(request, rules),
    probe: (options) => makeProbe(options, rules),
  };
}

async function sendRequest(request: OutboundRequest, rules: ConnectionRules): Promise<OutboundResponse> {
  const startedAt = performance.now();
  let hop = firstHop(request);
  const timeoutMs = inRange("timeoutMs", request.timeoutMs ?? DEFAULT_TIMEOUT_MS, 1, MAX_TIMEOUT_MS);
  const maxRedirects = inRange("maxRedirects", request.maxRedirects ?? 0, 0, MAX_REDIRECTS);
  const bounds: Omit<ExchangeLimits, "signal"> = {
    connectTimeoutMs: inRange("connectTimeoutMs", request.connectTimeoutMs ?? timeoutMs, 1, MAX_TIMEOUT_MS),
    maxHeaderBytes: inRange("maxHeaderBytes", request.maxHeaderBytes ?? DEFAULT_HEADER_BYTES, 256, 1_048_576),
    maxResponseBytes: inRange(
      "maxResponseBytes",
      request.maxResponseBytes ?? DEFAULT_RESPONSE_BYTES,
      0,
      MAX_RESPONSE_BYTES,
    ),
    oversize: request.oversize ?? "fail",
  };
  return within(timeoutMs, request.signal, async (signal) => {
    const redirects: string[] = [];
    for (;;) {
      const outcome = await exchange(hop, rules, { ...bounds, signal }, maxRedirects > 0);
      if (outcome.kind === "response") {
        const { status, headers, body, truncated, facts } = outcome;
        const totalMs = performance.now() - startedAt;
        return { status, headers, body, truncated, url: hop.target.url.href, redirects, facts, totalMs };
      }
      redirects.push(hop.target.url.href);
      if (redirects.length > maxRedirects) {
        throw new OutboundError("TOO_MANY_REDIRECTS", `more than ${maxRedirects} redirects`);
      }
      hop = outcome.next;
    }
  });
}

async function makeProbe(
  { host, port, timeoutMs = DEFAULT_TIMEOUT_MS, signal }: OutboundProbe,
  rules: ConnectionRules,
): Promise<ExchangeFacts> {
  const target = readHostPort(host, port);
  const connectTimeoutMs = inRange("timeoutMs", timeoutMs, 1, MAX_TIMEOUT_MS);
  const facts: GrowingFacts = {};
  const never = new AbortController().signal;
  try {
    const socket = await openConnection(target, rules, { connectTimeoutMs, signal: signal ?? never }, facts);
    socket.destroy();
    return facts;
  } catch (error) {
    if (!(error instanceof OutboundError)) throw error;
    throw new OutboundError(error.code, error.message, { cause: error.cause, facts });
  }
}

function firstHop({ url, method = "GET", headers = {}, body }: OutboundRequest): Hop {
  const target = readUrl(url);
  if (!METHODS.includes(method)) {
    const shown = JSON.stringify(method.slice(0, 20));
    throw new OutboundError("INVALID_REQUEST", `the method is ${shown}, must be one of ${METHODS.join(", ")}`);
  }
  if (body !== undefined && (method === "GET" || method === "HEAD")) {
    throw new OutboundError("INVALID_REQUEST", `a ${method} request has no body`);
  }
  const entries = Object.entries(headers);
  if (entries.length > MAX_REQUEST_HEADERS) {
    throw new OutboundError("INVALID_REQUEST", `${entries.length} headers, at most ${MAX_REQUEST_HEADERS} are allowed`);
  }
  if (entries.reduce((sum, [name, value]) => sum + name.length + value.length, 0) > MAX_REQUEST_HEADER_LENGTH) {
    throw new OutboundError("INVALID_REQUEST", `the headers have more than ${MAX_REQUEST_HEADER_LENGTH} characters`);
  }
  const sent = new Map<string, string>();
  for (const [name, value] of entries) {
    const problem = sent.has(name.toLowerCase()) ? "is given twice" : headerProblem(name, value);
    if (problem !== undefined) {
      throw new OutboundError("INVALID_REQUEST", `header ${JSON.stringify(name.slice(0, 100))} ${problem}`);
    }
    sent.set(name.toLowerCase(), value);
  }
  return { target, method, headers: sent, body };
}

/** Runs `work` with a signal that the caller's signal aborts, or TIMEOUT after `timeoutMs`. */
async function within<T>(
  timeoutMs: number,
  caller: AbortSignal | undefined,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const late = new AbortController();
  const timer = setTimeout(() => {
    late.abort(new OutboundError("TIMEOUT", `the exchange took longer than ${timeoutMs} ms`));
  }, timeoutMs);
  try {
    return await work(caller === undefined ? late.signal : AbortSignal.any([caller, late.signal]));
  } finally {
    clearTimeout(timer);
  }
}

function inRange(option: string, value: number, min: number, max: number): number {
  if (Number.isInteger(value) && value >= min && value <= max) return value;
  throw new OutboundError("INVALID_REQUEST", `${option} is ${value}, must be a whole number from ${min} to ${max}`);
}
