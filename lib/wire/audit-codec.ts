// Entries of the audit log to and from Protobuf, as they are stored and as callers get them.

import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import {
  AuditDecision,
  type AuditEntry as AuditEntryMessage,
  AuditEntriesSchema,
  AuditEntrySchema,
  type AuditLink as AuditLinkMessage,
  AuditLinkSchema,
} from "../../gen/mycel/v1/audit_pb.ts";
import { type AuditEntry, type AuditLink, DECISION } from "./audit-chain.ts";
import { msFromTimestamp, timestampFromMs } from "./time-codec.ts";

/** Writes entries of one chain as one message of the stream. */
export function encodeAuditEntries(entries: readonly AuditEntry[]): Uint8Array {
  return toBinary(AuditEntriesSchema, create(AuditEntriesSchema, { entries: entries.map(auditEntryMessage) }));
}

/** Reads a message of the stream; undefined if it is none. */
export function decodeAuditEntries(body: Uint8Array): readonly AuditEntryMessage[] | undefined {
  try {
    return fromBinary(AuditEntriesSchema, body).entries;
  } catch {
    return undefined;
  }
}

/** An entry as callers get it. */
export function auditEntryMessage(entry: AuditEntry): AuditEntryMessage {
  const { timeMs, number, count, previous, decision, ...rest } = entry;
  return create(AuditEntrySchema, {
    ...rest,
    number: BigInt(number),
    count: BigInt(count),
    time: timestampFromMs(timeMs),
    decision: decision === DECISION.refused ? AuditDecision.REFUSED : AuditDecision.ALLOWED,
    ...(previous === undefined ? {} : { previous: linkMessage(previous) }),
  });
}

/** What a message says, whatever that is: that it is right is for its hash to show. */
export function auditEntryIn(message: AuditEntryMessage): AuditEntry {
  const { previous, time, number, count, ...rest } = message;
  return {
    tenant: rest.tenant,
    writer: rest.writer,
    number: Number(number),
    timeMs: msFromTimestamp(time) ?? 0,
    principal: rest.principal,
    peerAddress: rest.peerAddress,
    action: rest.action,
    method: rest.method,
    resourceType: rest.resourceType,
    resourceName: rest.resourceName,
    decision: rest.decision,
    reason: rest.reason,
    count: Number(count),
    traceId: rest.traceId,
    requestId: rest.requestId,
    previous: previous === undefined ? undefined : linkIn(previous),
    hash: rest.hash,
  };
}

function linkMessage({ writer, number, timeMs, hash }: AuditLink): AuditLinkMessage {
  return create(AuditLinkSchema, { writer, number: BigInt(number), time: timestampFromMs(timeMs), hash });
}

function linkIn({ writer, number, time, hash }: AuditLinkMessage): AuditLink {
  return { writer, number: Number(number), timeMs: msFromTimestamp(time) ?? 0, hash };
}
