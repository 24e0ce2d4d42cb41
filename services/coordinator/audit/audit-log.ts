// What the rest of the coordinator sees of the audit log: it is told what was decided, and says whether that has to wait. Who is told what
// is decided elsewhere; what is stored, and how, too.

import type { Action } from "../../../lib/core/access/action.ts";
import type { Principal } from "../../../lib/core/access/principal.ts";

/** What happened. Nothing that a call carries may stand here: no payloads, inputs, results, labels or secrets. */
export interface AuditEvent {
  /** Who did it; absent if the caller was not recognised, or the mesh did it itself. */
  readonly principal?: Pick<Principal, "kind" | "id" | "tenant"> | undefined;
  /** The tenant that it belongs to; the principal's by default, and none without a principal. */
  readonly tenant?: string | undefined;
  /** The address that the call came from; absent for what is no call. */
  readonly peer?: string | undefined;
  /** The action that it needs; absent for what needs none. */
  readonly action?: Action | undefined;
  /** Whether it only looks, as a list of what its action lets callers change. */
  readonly looks?: boolean | undefined;
  /** The method, e.g. `mycel.v1.QueueService/PauseQueue`, or a name of what else happened, e.g. `agent.credential.issued`. */
  readonly method: string;
  /** What it was done to. */
  readonly resource?: { readonly type: string; readonly name: string } | undefined;
  /** Why it was refused, the reason first: `CREDENTIAL_INVALID: the token has expired`. Absent if it was allowed. */
  readonly refusal?: string | undefined;
  /** The trace of the call: 32 hexadecimal digits. */
  readonly traceId?: string | undefined;
  /** The request's id, as the caller is told it. */
  readonly requestId?: string | undefined;
}

/** Is told what was decided. */
export interface AuditLog {
  /**
   * Whether allowed calls that need this action are recorded at all, or those that only look: asked once for each method, so that others
   * cost nothing.
   */
  wants(action: Action, looks: boolean): boolean;
  /**
   * Records a call that is allowed, before it begins. Returns a promise if the call must wait for it: of administration, until its entry is
   * stored. Undefined if it need not wait.
   *
   * @throws (by the promise) MeshError AUDIT_UNAVAILABLE or STORAGE_FULL: the call must not happen then.
   */
  record(event: AuditEvent): Promise<void> | undefined;
  /** Records a refusal, or what happened by itself. Never waits and never throws; refusals that come again and again are gathered. */
  note(event: AuditEvent): void;
}

/** Records nothing. */
export const NO_AUDIT: AuditLog = {
  wants: () => false,
  record: () => undefined,
  note: () => undefined,
};
