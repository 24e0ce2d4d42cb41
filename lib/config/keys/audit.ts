// The settings of the audit log. One entry a key.
import { AUDIT_LEVELS, type AuditLevel } from "../../core/audit/level.ts";
import { isName } from "../../core/names.ts";
import type { Key } from "../key.ts";
import { bytes, duration, oneOf, text } from "../kinds.ts";

const DAY_MS = 86_400_000;

export const level: Key<AuditLevel> = oneOf(AUDIT_LEVELS, {
  path: "audit.level",
  variable: "MYCEL_AUDIT_LEVEL",
  fallback: "changes",
  doc: "What the audit log records: nothing (off), refused calls, also what changes the mesh (changes), or every call.",
});

export const retentionMs: Key<number> = duration({
  path: "audit.retention",
  variable: "MYCEL_AUDIT_RETENTION",
  fallback: 365 * DAY_MS,
  min: 3_600_000,
  max: 10 * 365 * DAY_MS,
  doc: "How long the audit log's entries are kept.",
});

export const maxBytes: Key<number | undefined> = bytes({
  path: "audit.maxBytes",
  variable: "MYCEL_AUDIT_MAX_BYTES",
  fallback: undefined,
  fallbackText: "an eighth of nats.maxBytes",
  min: 1024 * 1024,
  max: Number.MAX_SAFE_INTEGER,
  unlimited: true,
  doc: "The most that the audit log may take. Once it is full, administration is refused until there is room, except revocations; refused calls are only counted from four fifths on.",
});

export const operatorTenant: Key<string> = text({
  path: "audit.operatorTenant",
  variable: "MYCEL_AUDIT_OPERATOR_TENANT",
  fallback: "default",
  allowed: "the name of a tenant",
  check: (tenant) => {
    if (!isName(tenant)) throw new RangeError("must be the name of a tenant: 1 to 64 characters of A-Z a-z 0-9 _ -");
  },
  doc: "The tenant whose members with audit:read also see what belongs to no tenant, such as calls with bad credentials.",
});
