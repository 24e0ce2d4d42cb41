// Warnings that anybody outside can cause as often as they like: one line a second of each kind at most.

import type { Clock } from "../../lib/core/clock.ts";
import type { LogFields, Logger } from "../../lib/core/logger.ts";

const QUIET_MS = 1_000;

/** Writes a warning, or counts it for the next one of the same message. */
export type QuietLog = (fields: LogFields, message: string) => void;

/** Makes a log whose lines say how many like them went unsaid before. Messages must be constant phrases. */
export function quietLog(logger: Logger, clock: Clock): QuietLog {
  const kinds = new Map<string, { quietUntilMs: number; unsaid: number }>();
  return (fields, message) => {
    const now = clock.monotonicMs();
    const kind = kinds.get(message);
    if (kind !== undefined && now < kind.quietUntilMs) {
      kind.unsaid += 1;
      return;
    }
    logger.warn({ ...fields, unsaid: kind?.unsaid ?? 0 }, message);
    kinds.set(message, { quietUntilMs: now + QUIET_MS, unsaid: 0 });
  };
}
