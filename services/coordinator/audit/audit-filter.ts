// Which entries of the audit log a caller asked for, and whether what it asked is as the contract has it.

import type { AuditEntry } from "../../../gen/mycel/v1/audit_pb.ts";
import { AuditDecision } from "../../../gen/mycel/v1/audit_pb.ts";
import type { AuditFilter } from "../../../gen/mycel/v1/audit_service_pb.ts";
import { matchesGlob } from "../../../lib/core/access/glob.ts";
import { msFromTimestamp } from "../../../lib/wire/time-codec.ts";
import type { Violations } from "../../../lib/wire/validation.ts";

const MAX_NAMES = 64;
const MAX_PRINCIPAL_LENGTH = 512;
const MAX_ACTION_LENGTH = 64;
const MAX_RESOURCE_TYPE_LENGTH = 128;
const MAX_RESOURCE_NAME_LENGTH = 256;

/** Adds what is wrong with a filter. */
export function checkAuditFilter(v: Violations, filter: AuditFilter | undefined): void {
  if (filter === undefined) return;
  v.timestamp("filter.start_time", filter.startTime);
  v.timestamp("filter.end_time", filter.endTime);
  checkPatterns(v, "filter.principals", filter.principals, MAX_PRINCIPAL_LENGTH);
  checkPatterns(v, "filter.actions", filter.actions, MAX_ACTION_LENGTH);
  v.oneOf("filter.decision", filter.decision, AuditDecision);
  v.text("filter.resource_type", filter.resourceType, MAX_RESOURCE_TYPE_LENGTH);
  v.text("filter.resource_name", filter.resourceName, MAX_RESOURCE_NAME_LENGTH);
}

/** What a filter says of an entry. */
export function auditFilterOf(filter: AuditFilter | undefined): (entry: AuditEntry) => boolean {
  if (filter === undefined) return () => true;
  const { decision, resourceType, resourceName } = filter;
  const startMs = msFromTimestamp(filter.startTime) ?? -Infinity;
  const endMs = msFromTimestamp(filter.endTime) ?? Infinity;
  const isPrincipal = anyOf(filter.principals);
  const isAction = anyOf(filter.actions);
  return (entry) => {
    const timeMs = msFromTimestamp(entry.time) ?? 0;
    return (
      timeMs >= startMs &&
      timeMs < endMs &&
      (decision === AuditDecision.UNSPECIFIED || entry.decision === decision) &&
      (resourceType === "" || entry.resourceType === resourceType) &&
      (resourceName === "" || entry.resourceName === resourceName) &&
      isPrincipal(entry.principal) &&
      isAction(entry.action)
    );
  };
}

function checkPatterns(v: Violations, field: string, patterns: readonly string[], longest: number): void {
  v.count(field, patterns.length, 0, MAX_NAMES);
  const bad = patterns.slice(0, MAX_NAMES).findIndex((text) => text === "" || text.length > longest);
  if (bad !== -1) v.add(`${field}[${bad}]`, `must be 1 to ${longest} characters`);
}

function anyOf(patterns: readonly string[]): (text: string) => boolean {
  if (patterns.length === 0) return () => true;
  return (text) => patterns.some((pattern) => matchesGlob(pattern, text));
}
