// The secrets that sign stream tokens: one for each day, the same for all coordinators, made ahead so that everybody knows it before it is
// used, and forgotten when nothing that it has signed can still be valid.

import { randomBytes } from "node:crypto";
import type { Clock } from "../../../../lib/core/clock.ts";
import type { Logger } from "../../../../lib/core/logger.ts";
import { MeshError } from "../../../../lib/core/mesh-error.ts";
import type { KeyStore } from "../../../../lib/nats/key-store.ts";
import { pause } from "../../../../lib/time/pause.ts";

/** What keeping the secrets needs. */
export interface StreamSecretsOptions {
  readonly keys: Pick<KeyStore, "secret" | "secretDays" | "addSecret" | "removeSecret" | "listen">;
  readonly clock: Pick<Clock, "now">;
  readonly logger: Logger;
  /** How often it is looked whether a secret is to be made or forgotten, in milliseconds. Default 10 minutes. */
  readonly lookMs?: number;
}

/** A secret with the day whose tokens it signs. */
export interface StreamSecret {
  readonly day: number;
  readonly secret: Uint8Array;
}

/** No stream token lives longer, in milliseconds. */
export const MAX_STREAM_TOKEN_MS = 86_400_000;

const DAY_MS = 86_400_000;
const AHEAD_MS = 3_600_000;
const LOOK_MS = 600_000;
const RETRY_MS = 5_000;
const SECRET_BYTES = 32;

/** The secrets of stream tokens. */
export class StreamSecrets implements AsyncDisposable {
  readonly #options: StreamSecretsOptions;
  readonly #stopping = new AbortController();
  #loop: Promise<void> = Promise.resolve();

  private constructor(options: StreamSecretsOptions) {
    this.#options = options;
  }

  /** Opens the secrets, of which there is one for today then; or, where the broker does not take it now, as soon as it does. */
  static async open(options: StreamSecretsOptions): Promise<StreamSecrets> {
    const secrets = new StreamSecrets(options);
    secrets.#loop = secrets.#keepUpAgain(await secrets.#tryToKeepUp());
    return secrets;
  }

  /** The secret that signs now; made if somebody has deleted it. Throws MeshError BROKER_UNAVAILABLE. */
  async current(): Promise<StreamSecret> {
    const { keys, clock } = this.#options;
    const today = dayOf(clock.now());
    if (keys.secret(today) === undefined) await this.#keepUp();
    const secret = keys.secret(today);
    if (secret === undefined)
      throw new MeshError("BROKER_UNAVAILABLE", "there is no secret to sign with", { retryDelayMs: 1_000 });
    return { day: today, secret };
  }

  /** The secret of a day; undefined for one that can have signed nothing that is valid now. */
  of(day: number): Uint8Array | undefined {
    const today = dayOf(this.#options.clock.now());
    // A clock of another coordinator may be ahead.
    return day < today - 1 || day > today + 1 ? undefined : this.#options.keys.secret(day);
  }

  /** Has a function called whenever the secrets are others than before; returns what stops that. */
  onChanged(changed: () => void): () => void {
    return this.#options.keys.listen({ onSecretsChanged: changed });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping.abort();
    await this.#loop;
  }

  async #keepUpAgain(isUp: boolean): Promise<void> {
    const { lookMs = LOOK_MS } = this.#options;
    for (let up = isUp; await pause(up ? lookMs : Math.min(lookMs, RETRY_MS), this.#stopping.signal);) {
      up = await this.#tryToKeepUp();
    }
  }

  async #tryToKeepUp(): Promise<boolean> {
    try {
      await this.#keepUp();
      return true;
    } catch (err) {
      this.#options.logger.warn({ err }, "secrets of stream tokens not kept up; trying again");
      return false;
    }
  }

  async #keepUp(): Promise<void> {
    const { keys, clock } = this.#options;
    const nowMs = clock.now();
    const today = dayOf(nowMs);
    // Whoever is first wins; all use what stands then.
    for (const day of new Set([today, dayOf(nowMs + AHEAD_MS)])) {
      if (keys.secret(day) === undefined) await keys.addSecret(day, randomBytes(SECRET_BYTES), nowMs);
    }
    for (const day of keys.secretDays) if (!(day >= today - 1)) await keys.removeSecret(day);
  }
}

function dayOf(ms: number): number {
  return Math.floor(ms / DAY_MS);
}
