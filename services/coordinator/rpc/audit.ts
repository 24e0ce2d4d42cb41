// The RPCs about the audit log.

import type { ServiceImpl } from "@connectrpc/connect";
import type { AuditService } from "../../../gen/mycel/v1/audit_service_pb.ts";
import { MeshError } from "../../../lib/core/mesh-error.ts";
import { timestampFromMs } from "../../../lib/wire/time-codec.ts";
import { Violations } from "../../../lib/wire/validation.ts";
import { checkAuditFilter } from "../audit/audit-filter.ts";
import { type AuditQuestion, decodeAuditPlace, encodeAuditPlace } from "../audit/audit-place.ts";
import type { AuditReader } from "../audit/audit-reader.ts";
import { tenantOf } from "./caller.ts";

/** What the RPCs need. */
export interface AuditRpcParts {
  readonly reader: Pick<AuditReader, "page" | "watch">;
  /** The tenant that also sees what belongs to no tenant. */
  readonly operatorTenant: string;
  /** Aborts, with the error that ends all streams, when the coordinator drains. */
  readonly draining: AbortSignal;
}

const DEFAULT_PAGE_SIZE = 100;
const MAX_PAGE_SIZE = 1_000;

/** Implements the service. */
export function auditRpcs({ reader, operatorTenant, draining }: AuditRpcParts): ServiceImpl<typeof AuditService> {
  /** Whose log is asked for: empty for what belongs to no tenant. */
  const logOf = (tenant: string, mesh: boolean): string => {
    if (!mesh) return tenant;
    if (tenant === operatorTenant) return "";
    throw new MeshError("ACTION_NOT_ALLOWED", "what belongs to no tenant is for the operator's tenant alone");
  };
  return {
    listAuditEntries: async ({ filter, pageSize, pageToken, oldestFirst, mesh }, context) => {
      const order = oldestFirst ? "oldest" : "newest";
      const question: AuditQuestion = { tenant: logOf(tenantOf(context), mesh), filter, order };
      const after = pageToken === "" ? undefined : decodeAuditPlace(question, pageToken);
      const v = new Violations();
      checkAuditFilter(v, filter);
      if (pageSize < 0) v.add("page_size", `must be at least 0, is ${pageSize}`);
      if (pageToken !== "" && after === undefined) v.add("page_token", "is not a token of a list with this request");
      v.throwIfAny();
      const size = Math.min(pageSize || DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE);
      const { entries, next, keptFromMs } = await reader.page(question, size, after);
      return {
        entries: [...entries],
        nextPageToken: next === undefined ? "" : encodeAuditPlace(question, next),
        ...(keptFromMs === undefined ? {} : { keptFromTime: timestampFromMs(keptFromMs) }),
      };
    },
    watchAudit: async function* watchAudit({ filter, cursor, newest, mesh }, context) {
      const question: AuditQuestion = { tenant: logOf(tenantOf(context), mesh), filter, order: "watch" };
      const from = cursor === "" ? { newest } : decodeAuditPlace(question, cursor);
      const v = new Violations();
      checkAuditFilter(v, filter);
      if (newest < 0 || newest > MAX_PAGE_SIZE) v.add("newest", `must be from 0 to ${MAX_PAGE_SIZE}, is ${newest}`);
      if (from === undefined) v.add("cursor", "is not a cursor of a watch with this request");
      v.throwIfAny();
      const over = AbortSignal.any([context.signal, draining]);
      for await (const { entries, next } of reader.watch(question, from ?? { newest }, over)) {
        yield { entries: [...entries], cursor: encodeAuditPlace(question, next) };
      }
      draining.throwIfAborted();
    },
  };
}
