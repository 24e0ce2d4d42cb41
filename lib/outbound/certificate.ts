// Owns what is told of the certificate that a TLS server presented. Reads it; trusts nothing by itself.
import type { TLSSocket } from "node:tls";

const DAY_MS = 86_400_000;
/** Longest name that is told, in UTF-16 code units: the other side chooses it. */
const MAX_NAME_LENGTH = 256;

// What a protobuf Timestamp can say.
const FIRST_DATE_MS = Date.parse("0001-01-01T00:00:00Z");
const LAST_DATE_MS = Date.parse("9999-12-31T23:59:59Z");

/** A certificate as a server presented it. */
export interface PeerCertificate {
  /** Whom it names, e.g. `CN=example.org`; at most 256 characters. */
  readonly subject: string;
  /** Who signed it; at most 256 characters. */
  readonly issuer: string;
  /** Valid from; from year 1 to 9999, and year 1 if it says no date. */
  readonly validFrom: Date;
  /** Valid until; within the same bounds. */
  readonly validTo: Date;
  /** Whole days that are left until then; negative when it is over. */
  readonly daysLeft: number;
  /** Whether it is trusted for the host that was asked for. */
  readonly authorized: boolean;
  /** Why it is not, e.g. `CERT_HAS_EXPIRED`; empty if it is. */
  readonly problem: string;
}

/** The certificate of a finished handshake as of `nowMs`, or undefined when the server presented none. */
export function certificateOf(socket: TLSSocket, nowMs: number): PeerCertificate | undefined {
  const certificate = socket.getPeerX509Certificate();
  if (certificate === undefined) return undefined;
  const validTo = toldDate(certificate.validToDate);
  return {
    subject: oneLine(certificate.subject),
    issuer: oneLine(certificate.issuer),
    validFrom: toldDate(certificate.validFromDate),
    validTo,
    daysLeft: Math.floor((validTo.getTime() - nowMs) / DAY_MS),
    authorized: socket.authorized,
    problem: socket.authorized ? "" : problemOf(socket.authorizationError),
  };
}

/** The other side may write a month 13, or a year 0. */
function toldDate(date: Date): Date {
  const ms = date.getTime();
  return new Date(Number.isNaN(ms) ? FIRST_DATE_MS : Math.min(Math.max(ms, FIRST_DATE_MS), LAST_DATE_MS));
}

// Declared as an Error, but Node puts the code of the error there.
function problemOf(reason: unknown): string {
  const text = reason instanceof Error ? reason.message : String(reason);
  return text.slice(0, MAX_NAME_LENGTH);
}

function oneLine(name: string | undefined): string {
  return (name ?? "").trim().replaceAll("\n", ", ").slice(0, MAX_NAME_LENGTH);
}
