// Tells the operator that calls cannot be served now: once a second at most, however many calls there are.

import type { Clock } from "../../../lib/core/clock.ts";
import type { Logger } from "../../../lib/core/logger.ts";
import type { MeshError } from "../../../lib/core/mesh-error.ts";

const QUIET_MS = 1_000;

/** Makes what hears of calls that could not be served. */
export function outageLog(logger: Logger, clock: Clock): (error: MeshError) => void {
  let quietUntilMs = Number.NEGATIVE_INFINITY;
  let unsaid = 0;
  return (error) => {
    const now = clock.monotonicMs();
    if (now < quietUntilMs) {
      unsaid += 1;
      return;
    }
    const cause = error.cause instanceof Error ? error.cause.message : undefined;
    logger.warn({ reason: error.reason, cause, unsaid }, error.message);
    quietUntilMs = now + QUIET_MS;
    unsaid = 0;
  };
}
