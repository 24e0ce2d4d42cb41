// Decides which headers a caller may set on an outbound request, and which of them follow it to another origin. Pure.
import { validateHeaderName, validateHeaderValue } from "node:http";

/** Most headers of a request, and the most bytes of their names and values together. */
export const MAX_REQUEST_HEADERS = 64;
/** Most characters of all names and values together. */
export const MAX_REQUEST_HEADER_LENGTH = 16_384;

// What belongs to the connection and not to the message, or is ours to say: a caller who sets them could smuggle a
// second request past a server in front.
const NOT_FOR_CALLERS: ReadonlySet<string> = new Set([
  "connection",
  "content-length",
  "expect",
  "host",
  "http2-settings",
  "keep-alive",
  "proxy-authenticate",
  "proxy-authorization",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
]);

// Everything else may be a secret that is meant for the first origin, under whatever name it goes.
const FOR_EVERY_ORIGIN: ReadonlySet<string> = new Set([
  "accept",
  "accept-encoding",
  "accept-language",
  "cache-control",
  "content-encoding",
  "content-language",
  "content-type",
  "idempotency-key",
  "traceparent",
  "user-agent",
]);

/** What is wrong with a header that a caller wants to set, or undefined when it may be sent. */
export function headerProblem(name: string, value: string): string | undefined {
  if (NOT_FOR_CALLERS.has(name.toLowerCase())) return "is not for callers to set";
  try {
    validateHeaderName(name);
  } catch {
    return "is no header name";
  }
  try {
    validateHeaderValue(name, value);
  } catch {
    return "has a character that HTTP does not carry";
  }
  return undefined;
}

/** The headers that may go to another origin than the one they were meant for. */
export function forOtherOrigin(headers: ReadonlyMap<string, string>): Map<string, string> {
  return new Map([...headers].filter(([name]) => FOR_EVERY_ORIGIN.has(name)));
}

/** The headers of a request that lost its body. */
export function withoutBody(headers: ReadonlyMap<string, string>): Map<string, string> {
  return new Map([...headers].filter(([name]) => !name.startsWith("content-")));
}
