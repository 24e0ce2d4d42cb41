// How a service is asked to stop: by SIGINT or SIGTERM, or by the end of the process that started it.

import process from "node:process";

/** A terminal and a forwarding parent may both send the same signal; only one that comes later is meant as "at once". */
const SECOND_SIGNAL_AFTER_MS = 300;

/** Resolves when the process is asked to stop. A second signal ends it at once with code 1. */
export function stopSignal(): Promise<void> {
  return new Promise((resolve) => {
    let askedMs: number | undefined;
    const stop = (): void => {
      const now = performance.now();
      if (askedMs !== undefined && now - askedMs > SECOND_SIGNAL_AFTER_MS) process.exit(1);
      askedMs ??= now;
      resolve();
    };
    process.on("SIGINT", stop);
    process.on("SIGTERM", stop);
    if (process.channel !== undefined) {
      process.channel?.unref();
      process.once("disconnect", () => resolve());
    }
  });
}
