// How callers are refused who may not do what they ask for. Refusals look alike: why a credential is not good is for the log alone.

import type { Action } from "../../../lib/core/access/action.ts";
import { MeshError } from "../../../lib/core/mesh-error.ts";

/** The error for a call without any credential. */
export function credentialMissing(): MeshError {
  return new MeshError("CREDENTIAL_MISSING", "this call needs a credential");
}

/** The error for a credential that is not good, whatever is wrong with it. `why` is for the log and the audit log, never for the caller. */
export function credentialInvalid(why: string, cause?: unknown): MeshError {
  return new MeshError("CREDENTIAL_INVALID", "the credential is not valid", { cause: new Error(why, { cause }) });
}

/** The error for a caller who may not do what it asks for. */
export function actionNotAllowed(action: Action): MeshError {
  return new MeshError("ACTION_NOT_ALLOWED", `this caller may not do this: it needs ${action}`, {
    metadata: { action },
  });
}

/** The error that ends a call when what its caller may do was changed: whoever calls again is judged anew. */
export function accessChanged(cause?: unknown): MeshError {
  const message = "what this caller may do was changed: call again";
  return new MeshError("ACCESS_CHANGED", message, { retryDelayMs: 100, cause });
}
