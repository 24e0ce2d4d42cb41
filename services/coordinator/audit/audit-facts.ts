// What of an event stands in the audit log: bounded, because some of it is what callers chose to say.

import { type AuditFacts, DECISION } from "../../../lib/wire/audit-chain.ts";
import type { AuditEvent } from "./audit-log.ts";

/** The longest texts, in characters. */
const LONGEST = {
  principal: 512,
  address: 64,
  method: 160,
  resourceType: 128,
  resourceName: 256,
  reason: 256,
  traceId: 32,
  requestId: 128,
} as const;

/** The tenant whose log an event stands in; empty for none. */
export function tenantOfEvent({ tenant, principal }: AuditEvent): string {
  return tenant ?? principal?.tenant ?? "";
}

/** What is stored of an event. */
export function factsOf(event: AuditEvent, timeMs: number, count = 1): AuditFacts {
  const { principal, peer = "", action = "", method, resource, refusal, traceId = "", requestId = "" } = event;
  return {
    // Whole milliseconds: what is hashed is what can be read again.
    timeMs: Math.trunc(timeMs),
    principal: principal === undefined ? "" : cut(nameOf(principal), LONGEST.principal),
    peerAddress: cut(peer, LONGEST.address),
    action,
    method: cut(method, LONGEST.method),
    resourceType: cut(resource?.type ?? "", LONGEST.resourceType),
    resourceName: cut(resource?.name ?? "", LONGEST.resourceName),
    decision: refusal === undefined ? DECISION.allowed : DECISION.refused,
    reason: cut(refusal ?? "", LONGEST.reason),
    count,
    traceId: cut(traceId, LONGEST.traceId),
    requestId: cut(requestId, LONGEST.requestId),
  };
}

/** A principal as policies name it; without an id there is but one of its kind. */
function nameOf({ kind, id }: NonNullable<AuditEvent["principal"]>): string {
  return id === "" ? kind : `${kind}:${id}`;
}

function cut(text: string, longest: number): string {
  // Half a character has no form in UTF-8: it would be hashed as one thing and read as another.
  return text.slice(0, longest).toWellFormed();
}
