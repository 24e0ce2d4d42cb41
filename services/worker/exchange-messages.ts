// What is known of an exchange over the network, as messages of the tasks that tell of it. Pure.
import type { MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { PhaseTimingsSchema, ServerCertificateSchema } from "../../gen/mycel/tasks/v1/http_exchange_pb.ts";
import type { PeerCertificate } from "../../lib/outbound/certificate.ts";
import type { ExchangeFacts } from "../../lib/outbound/outbound-error.ts";

/** How long the parts of an exchange took, to the microsecond. */
export function timingsMessage(facts: ExchangeFacts, totalMs: number): MessageInitShape<typeof PhaseTimingsSchema> {
  const { dnsMs, connectMs, tlsMs, firstByteMs } = facts;
  return {
    totalMs: roundMs(totalMs),
    ...(dnsMs === undefined ? {} : { dnsMs: roundMs(dnsMs) }),
    ...(connectMs === undefined ? {} : { connectMs: roundMs(connectMs) }),
    ...(tlsMs === undefined ? {} : { tlsMs: roundMs(tlsMs) }),
    ...(firstByteMs === undefined ? {} : { firstByteMs: roundMs(firstByteMs) }),
  };
}

/** A server's certificate. */
export function certificateMessage(certificate: PeerCertificate): MessageInitShape<typeof ServerCertificateSchema> {
  const { subject, issuer, validFrom, validTo, daysLeft, authorized, problem } = certificate;
  return {
    subject,
    issuer,
    validFrom: timestampFromDate(validFrom),
    validTo: timestampFromDate(validTo),
    daysLeft,
    authorized,
    problem,
  };
}

/** Milliseconds to the microsecond: what is finer is noise. */
export function roundMs(ms: number): number {
  return Math.round(ms * 1_000) / 1_000;
}
