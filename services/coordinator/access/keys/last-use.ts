// Notes when keys are used: lazily, for the operator who wonders which of them are needed, and never on the way of a call.

import type { ApiKey } from "../../../../gen/mycel/v1/api_key_pb.ts";
import type { Clock } from "../../../../lib/core/clock.ts";
import type { Logger } from "../../../../lib/core/logger.ts";
import type { KeyStore, StoredKey } from "../../../../lib/nats/key-store.ts";
import { msFromTimestamp, timestampFromMs } from "../../../../lib/wire/time-codec.ts";

/** What noting needs. */
export interface LastUseOptions {
  readonly keys: Pick<KeyStore, "change">;
  readonly clock: Pick<Clock, "now">;
  readonly logger: Logger;
}

/** A use is not noted that follows a noted one by less, in milliseconds. */
const NOTED_EVERY_MS = 60_000;

/** Notes the last use of each key, at most once a minute for all coordinators together, as far as they hear of each other. */
export class LastUse implements AsyncDisposable {
  readonly #options: LastUseOptions;
  /** When this process last tried to note the use of a key: a broker that does not answer is not asked at each call. */
  readonly #triedMs = new Map<string, number>();
  readonly #writes = new Set<Promise<void>>();
  #closed = false;

  constructor(options: LastUseOptions) {
    this.#options = options;
  }

  /** Tells that a key is used now. */
  used({ key }: StoredKey): void {
    const nowMs = this.#options.clock.now();
    if (this.#closed || !isDue(key, nowMs)) return;
    const triedMs = this.#triedMs.get(key.keyId);
    if (triedMs !== undefined && Math.abs(nowMs - triedMs) < NOTED_EVERY_MS) return;
    this.#triedMs.set(key.keyId, nowMs);
    const write = this.#write(key.keyId, nowMs).finally(() => this.#writes.delete(write));
    this.#writes.add(write);
  }

  /** Forgets a key that is no more. */
  forget(keyId: string): void {
    this.#triedMs.delete(keyId);
  }

  /** Resolves when everything is noted that was to be. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    await Promise.all(this.#writes);
  }

  async #write(keyId: string, nowMs: number): Promise<void> {
    try {
      await this.#options.keys.change(keyId, (standing) =>
        standing.revokeTime === undefined && isDue(standing, nowMs)
          ? { ...standing, lastUseTime: timestampFromMs(nowMs) }
          : standing,
      );
    } catch (err) {
      // The next use is another chance.
      this.#options.logger.debug({ err, key_id: keyId }, "last use of a key not noted");
    }
  }
}

function isDue({ lastUseTime }: ApiKey, nowMs: number): boolean {
  return nowMs - (msFromTimestamp(lastUseTime) ?? -Infinity) >= NOTED_EVERY_MS;
}
