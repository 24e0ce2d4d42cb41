// Keeps the lanes of every queue as paused as they are set, whoever set it: after each change, and once at the start for what a
// coordinator that died has left undone.

import type { Logger } from "../../../lib/core/logger.ts";
import type { LanePauses } from "../../../lib/nats/lane-pauses.ts";
import type { QueueSettings } from "../../../lib/nats/queue-settings.ts";
import { pause } from "../../../lib/time/pause.ts";

/** What following needs. */
export interface PauseFollowerParts {
  readonly settings: Pick<QueueSettings, "known" | "listen">;
  readonly pauses: Pick<LanePauses, "settle">;
  readonly logger: Logger;
  /** How long to wait before a queue is tried again, in milliseconds. Default 1,000. */
  readonly retryMs?: number;
}

/** Follows the settings until it is disposed. */
export function openPauseFollower({ settings, pauses, logger, retryMs = 1_000 }: PauseFollowerParts): AsyncDisposable {
  const stopping = new AbortController();
  const { signal } = stopping;
  const waiting = new Map<string, readonly [tenant: string, queue: string]>();
  let running: Promise<void> | undefined;

  const work = async (): Promise<void> => {
    for (let next = waiting.entries().next(); next.done !== true; next = waiting.entries().next()) {
      const [key, [tenant, queue]] = next.value;
      waiting.delete(key);
      try {
        await pauses.settle(tenant, queue);
      } catch (err) {
        logger.warn({ err, queue }, "queue not paused or resumed as it is set; trying again");
        if (!waiting.has(key)) waiting.set(key, [tenant, queue]);
        await pause(retryMs, signal);
      }
      if (signal.aborted) break;
    }
    // In the same step that has found nothing more: whatever comes next begins anew.
    running = undefined;
  };
  const look = (tenant: string, queue: string): void => {
    waiting.set(`${tenant}.${queue}`, [tenant, queue]);
    running ??= work();
  };

  const stop = settings.listen(look);
  for (const { tenant, queue } of settings.known) look(tenant, queue);
  return {
    async [Symbol.asyncDispose]() {
      stop();
      stopping.abort();
      await running;
    },
  };
}
