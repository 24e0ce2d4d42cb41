// Owns one HTTP request and its response over one connection of its own, and the span that tells of it. Follows nothing,
// retries nothing: the connection is handed over once, and undici gets no second one.
import { context, type Span, SpanKind } from "@opentelemetry/api";
import { Client, errors } from "undici";
import { startHop } from "../wire/hop.ts";
import { carrierFromContext, markSpanFailed, type SpanShape } from "../wire/trace-context.ts";
import { type ConnectionRules, type GrowingFacts, openConnection, phaseOf } from "./connection.ts";
import { causeCode, type ExchangeFacts, OutboundError } from "./outbound-error.ts";
import { type Hop, nextHop } from "./redirect.ts";
import { ACCEPTED_CODINGS, type Oversize, readBody } from "./response-body.ts";
import { hostPort } from "./target.ts";

/** The bounds of one exchange, resolved. */
export interface ExchangeLimits {
  readonly connectTimeoutMs: number;
  readonly maxHeaderBytes: number;
  readonly maxResponseBytes: number;
  readonly oversize: Oversize;
  /** Ends the exchange; its reason is thrown. */
  readonly signal: AbortSignal;
}

/** What came of one exchange. */
export type ExchangeOutcome =
  | { readonly kind: "redirect"; readonly next: Hop }
  | {
      readonly kind: "response";
      readonly status: number;
      readonly headers: Readonly<Record<string, string>>;
      readonly body: Uint8Array;
      readonly truncated: boolean;
      readonly facts: ExchangeFacts;
    };

/**
 * Sends `hop` and reads its response; one that redirects is not read if `follow` is set. Throws OutboundError, or the
 * reason of the signal.
 */
export async function exchange(
  hop: Hop,
  rules: ConnectionRules,
  limits: ExchangeLimits,
  follow: boolean,
): Promise<ExchangeOutcome> {
  const { span, inside } = startHop(context.active(), () => spanOf(hop));
  const carrier = carrierFromContext(inside);
  const traced = new Map(hop.headers);
  if (carrier.traceparent !== undefined && !traced.has("traceparent")) traced.set("traceparent", carrier.traceparent);
  const facts: GrowingFacts = {};
  try {
    const outcome = await send({ ...hop, headers: traced }, rules, limits, follow, facts, span);
    // What was added for the trace is not the caller's: the next hop has a span of its own.
    return outcome.kind === "redirect" ? { kind: "redirect", next: withoutTrace(outcome.next, hop) } : outcome;
  } catch (error) {
    const failure = asFailure(limits.signal.aborted ? limits.signal.reason : error, limits.signal, hop, facts);
    if (span !== undefined) markSpanFailed(span, causeCode(failure), failure instanceof Error ? failure.message : "");
    throw failure;
  } finally {
    span?.end();
  }
}

async function send(
  hop: Hop,
  rules: ConnectionRules,
  limits: ExchangeLimits,
  follow: boolean,
  facts: GrowingFacts,
  span: Span | undefined,
): Promise<ExchangeOutcome> {
  const { target, method } = hop;
  const { signal, maxHeaderBytes } = limits;
  const socket = await openConnection(target, rules, limits, facts);
  let unused = true;
  const client = new Client(target.url.origin, {
    connect: (_options, answer) => {
      const isFirst = unused;
      unused = false;
      // An answer that comes while undici still asks goes unseen.
      queueMicrotask(() => {
        if (isFirst) answer(null, socket);
        else answer(new OutboundError("CONNECTION_LOST", `${hostPort(target)} closed the connection`), null);
      });
    },
    allowH2: false,
    pipelining: 0,
    maxHeaderSize: maxHeaderBytes,
    // The signal ends what takes too long, whatever part of the exchange it is in.
    headersTimeout: 0,
    bodyTimeout: 0,
  });
  try {
    const startedAt = performance.now();
    const response = await client.request({
      path: target.url.pathname + target.url.search,
      method,
      headers: sentHeaders(hop),
      body: hop.body ?? null,
      signal,
    });
    facts.firstByteMs = performance.now() - startedAt;
    span?.setAttribute("http.response.status_code", response.statusCode);
    const headers = flatHeaders(response.headers);
    // Whatever is thrown away with the client fails then; nobody waits for it.
    response.body.on("error", () => {});
    const next = follow ? nextHop(hop, response.statusCode, headers["location"]) : undefined;
    if (next !== undefined) return { kind: "redirect", next };
    const { bytes, truncated } = await readBody(response.body, {
      coding: headers["content-encoding"] ?? "",
      maxBytes: limits.maxResponseBytes,
      oversize: limits.oversize,
    });
    return { kind: "response", status: response.statusCode, headers, body: bytes, truncated, facts };
  } finally {
    await client.destroy();
    socket.destroy();
  }
}

function sentHeaders({ headers }: Hop): Record<string, string> {
  return { "user-agent": "mycel", "accept-encoding": ACCEPTED_CODINGS, ...Object.fromEntries(headers) };
}

/** Values of a header that came more than once are joined by commas, those of set-cookie too. */
function flatHeaders(headers: Readonly<Record<string, string | string[] | undefined>>): Record<string, string> {
  const entries = Object.entries(headers).map(([name, value]) => [
    name.toLowerCase(),
    Array.isArray(value) ? value.join(", ") : (value ?? ""),
  ]);
  return Object.fromEntries(entries);
}

function withoutTrace(next: Hop, { headers }: Hop): Hop {
  if (headers.has("traceparent")) return next;
  return { ...next, headers: new Map([...next.headers].filter(([name]) => name !== "traceparent")) };
}

/** The caller's own reason for ending the exchange goes through as it is. */
function asFailure(error: unknown, signal: AbortSignal, hop: Hop, facts: ExchangeFacts): unknown {
  const isCallers = signal.aborted && error === signal.reason && !(error instanceof OutboundError);
  return isCallers ? error : asOutboundError(error, hop, facts);
}

/** What undici and Node throw, as our codes; their messages may quote the other side and are left behind. */
function asOutboundError(error: unknown, hop: Hop, facts: ExchangeFacts): OutboundError {
  if (error instanceof OutboundError) {
    const phase = error.code === "TIMEOUT" ? ` (${phaseOf(facts, hop.target.secure)})` : "";
    return new OutboundError(error.code, error.message + phase, { cause: error.cause, facts });
  }
  const where = hostPort(hop.target);
  if (error instanceof errors.HeadersOverflowError) {
    return new OutboundError("RESPONSE_TOO_LARGE", `the head of the response of ${where} is too large`, { facts });
  }
  if (error instanceof errors.HTTPParserError) {
    return new OutboundError("BAD_RESPONSE", `${where} does not answer in HTTP`, { facts });
  }
  if (error instanceof errors.InvalidArgumentError) {
    return new OutboundError("INVALID_REQUEST", `the request cannot be sent: ${error.message}`, { facts });
  }
  const message = `the exchange with ${where} broke off: ${causeCode(error)}`;
  return new OutboundError("CONNECTION_LOST", message, { cause: error, facts });
}

function spanOf({ target, method }: Hop): SpanShape {
  return {
    name: method,
    options: {
      kind: SpanKind.CLIENT,
      attributes: {
        "http.request.method": method,
        "server.address": target.host,
        "server.port": target.port,
        // No more of the URL: queries carry secrets, and so do the paths of chat hooks, which are passwords by themselves.
        "url.scheme": target.secure ? "https" : "http",
      },
    },
  };
}
