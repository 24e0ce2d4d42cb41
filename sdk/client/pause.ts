// Waits, and stops waiting when a signal says so.
import { setTimeout as sleep } from "node:timers/promises";

/** Waits so many milliseconds; resolves with false at once when one of the signals is or gets aborted. Never rejects. */
export async function pause(ms: number, ...signals: (AbortSignal | undefined)[]): Promise<boolean> {
  const signal = AbortSignal.any(signals.filter((one) => one !== undefined));
  return await sleep(ms, undefined, { signal }).then(
    () => true,
    () => false,
  );
}
