// Tells the operator that calls cannot be served now: once a second at most, however many calls there are.

import type { MeshError } from "../../../lib/core/mesh-error.ts";
import type { QuietLog } from "../quiet-log.ts";

/** Makes what hears of calls that could not be served. */
export function outageLog(log: QuietLog): (error: MeshError) => void {
  return (error) => {
    const cause = error.cause instanceof Error ? error.cause.message : undefined;
    log({ reason: error.reason, cause }, error.message);
  };
}
