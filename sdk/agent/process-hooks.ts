// Owns what a running agent listens to on its process: stop signals, and rejections that nobody handles.
import type { Logger } from "../../lib/core/logger.ts";

const STOP_SIGNALS: readonly NodeJS.Signals[] = ["SIGTERM", "SIGINT"];

/** Calls `drain` on the first stop signal and exits with 1 on the second. Returns what takes the listeners away. */
export function onStopSignal(drain: () => void, logger: Logger): () => void {
  let asked = false;
  const listener = (signal: NodeJS.Signals): void => {
    if (asked) process.exit(1);
    asked = true;
    logger.info({ signal }, "draining");
    drain();
  };
  for (const signal of STOP_SIGNALS) process.on(signal, listener);
  return () => {
    for (const signal of STOP_SIGNALS) process.off(signal, listener);
  };
}

/**
 * Logs rejections that nobody handles: a promise that one handler forgot must not end the attempts of all others. Leaves a process alone
 * that has its own listener. Returns what takes the listener away.
 */
export function containRejections(logger: Logger): () => void {
  if (process.listenerCount("unhandledRejection") > 0) return () => undefined;
  const listener = (reason: unknown): void => {
    logger.error(
      { err: reason },
      "a promise was rejected and nobody handled it: probably a missing await in a handler",
    );
  };
  process.on("unhandledRejection", listener);
  return () => {
    process.off("unhandledRejection", listener);
  };
}
