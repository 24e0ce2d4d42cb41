// Owns the closed set of errors of an outbound request, which of them may pass with time, and what is known of the
// exchange when one comes. Its messages never quote what the other side sent.
import type { PeerCertificate } from "./certificate.ts";

/** Why an outbound request came to nothing. */
export type OutboundErrorCode =
  /** The URL is none, is not http or https, carries credentials, or has no usable port. */
  | "INVALID_URL"
  /** A method, header or limit of the request is not allowed. */
  | "INVALID_REQUEST"
  /** The host is, or resolves to, an address that is not public and not allowed by the operator. */
  | "ADDRESS_REFUSED"
  /** The host name does not exist or has no address. */
  | "HOST_NOT_FOUND"
  /** The name service did not answer as it should. */
  | "DNS_FAILED"
  /** No address of the host took the connection. */
  | "CONNECT_FAILED"
  /** Name, connection and TLS together took longer than the connect timeout. */
  | "CONNECT_TIMEOUT"
  /** The TLS handshake failed, or the certificate is not trusted for this host. */
  | "TLS_ERROR"
  /** The whole exchange took longer than its timeout. */
  | "TIMEOUT"
  /** The connection broke before the response was complete. */
  | "CONNECTION_LOST"
  /** What came is no HTTP response, or its compressed body is broken. */
  | "BAD_RESPONSE"
  /** The head or the decoded body of the response is larger than allowed. */
  | "RESPONSE_TOO_LARGE"
  /** The other side redirects more often than allowed. */
  | "TOO_MANY_REDIRECTS"
  /** A redirect leads from https to http, or to what is no URL. */
  | "REDIRECT_REFUSED";

// What the other side or the network may do better at the next attempt; all else stays as it is.
const PASSING: ReadonlySet<OutboundErrorCode> = new Set([
  "HOST_NOT_FOUND",
  "DNS_FAILED",
  "CONNECT_FAILED",
  "CONNECT_TIMEOUT",
  "TLS_ERROR",
  "TIMEOUT",
  "CONNECTION_LOST",
  "BAD_RESPONSE",
]);

/** How far an exchange came and how long each part took, in milliseconds; what was not reached is left out. */
export interface ExchangeFacts {
  /** The address that was connected to. */
  readonly address?: string;
  /** From the start to the addresses of the host; near 0 for a literal address. */
  readonly dnsMs?: number;
  /** From the addresses to the TCP connection. */
  readonly connectMs?: number;
  /** From the TCP connection to the end of the TLS handshake; only for https. */
  readonly tlsMs?: number;
  /** From the ready connection to the head of the response. */
  readonly firstByteMs?: number;
  /** What the host presented in the TLS handshake, trusted or not; only for https. */
  readonly certificate?: PeerCertificate;
}

/** An outbound request that came to nothing; the message is one line for people. */
export class OutboundError extends Error {
  override readonly name = "OutboundError";
  /** What went wrong, for programs. */
  readonly code: OutboundErrorCode;
  /** How far the last exchange came. */
  readonly facts: ExchangeFacts;

  constructor(code: OutboundErrorCode, message: string, options: ErrorOptions & { facts?: ExchangeFacts } = {}) {
    super(message, options);
    this.code = code;
    this.facts = options.facts ?? {};
  }

  /** Whether the same request may succeed later. */
  get retryable(): boolean {
    return PASSING.has(this.code);
  }
}

/** The code of a system error such as `ECONNREFUSED`, or the name of what was thrown. */
export function causeCode(error: unknown): string {
  if (error instanceof AggregateError && error.errors.length > 0) return causeCode(error.errors[0]);
  if (!(error instanceof Error)) return typeof error;
  return "code" in error && typeof error.code === "string" && error.code !== "" ? error.code : error.name;
}
