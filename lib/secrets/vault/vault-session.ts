// Owns the token with which a process speaks to HashiCorp Vault: logs in when one is needed, renews it before it expires, and logs in again
// when it cannot be renewed any more.
import type { Logger } from "../../core/logger.ts";
import { pause } from "../../time/pause.ts";
import type { Redactor } from "../redactor.ts";
import type { Secret } from "../secret.ts";
import type { VaultApi } from "./vault-api.ts";
import { logIn, renew, type VaultIdentity, type VaultLease } from "./vault-login.ts";

/** A third of its time is left for Vault to be away. */
const RENEW_AFTER = 2 / 3;
const RETRY_MS = 5_000;
const MIN_WAIT_MS = 200;
/** Longer waits overflow a timer. */
const MAX_WAIT_MS = 86_400_000;

/** What a session needs. */
export interface VaultSessionOptions {
  readonly api: VaultApi;
  readonly identity: VaultIdentity;
  /** Is told every token. */
  readonly redactor: Redactor;
  readonly logger: Logger;
}

/** A process's session. Disposing it stops renewing; the token is left to expire. */
export class VaultSession implements AsyncDisposable {
  readonly #options: VaultSessionOptions;
  readonly #closing = new AbortController();
  #lease: VaultLease | undefined;
  #latest: Secret | undefined;
  #former: Secret | undefined;
  #entering: Promise<VaultLease> | undefined;
  #keeping: Promise<void> | undefined;

  constructor(options: VaultSessionOptions) {
    this.#options = options;
  }

  /** A token that is good as far as is known. Throws VaultError or SecretError. */
  async token(): Promise<Secret> {
    const lease = this.#lease ?? (await this.#enter());
    return lease.token;
  }

  /** Takes back a token that Vault refused: the next one comes from a new login. */
  drop(token: Secret): void {
    if (this.#lease?.token.equals(token) === true) this.#lease = undefined;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort();
    await this.#keeping;
  }

  /** Logs in; whoever asks meanwhile gets the same token. */
  async #enter(): Promise<VaultLease> {
    this.#entering ??= logIn(this.#options.api, this.#options.identity).finally(() => (this.#entering = undefined));
    return this.#keep(await this.#entering);
  }

  #keep(lease: VaultLease): VaultLease {
    const { redactor } = this.#options;
    redactor.add(lease.token.reveal());
    if (this.#latest?.equals(lease.token) !== true) {
      // The one before may still be good, and may still be spoken of.
      if (this.#former !== undefined) redactor.forget(this.#former.reveal());
      [this.#former, this.#latest] = [this.#latest, lease.token];
    }
    this.#lease = lease;
    if (lease.ttlMs !== undefined && !this.#closing.signal.aborted) this.#keeping ??= this.#renewals();
    return lease;
  }

  async #renewals(): Promise<void> {
    const { logger } = this.#options;
    let failures = 0;
    let waitMs = waitOf(this.#lease);
    while (waitMs !== undefined && (await pause(waitMs, this.#closing.signal))) {
      try {
        waitMs = waitOf(await this.#renewed());
        if (failures > 0) logger.info({}, "vault token is good again");
        failures = 0;
      } catch (err) {
        if (this.#closing.signal.aborted) break;
        failures += 1;
        if (failures === 1) logger.warn({ err }, "vault token cannot be renewed, trying again");
        waitMs = Math.min(RETRY_MS, waitOf(this.#lease) ?? RETRY_MS);
      }
    }
    this.#keeping = undefined;
  }

  async #renewed(): Promise<VaultLease> {
    const lease = this.#lease;
    if (lease?.ttlMs === undefined || !lease.renewable) return this.#enter();
    try {
      const renewed = await renew(this.#options.api, lease);
      // Vault gives less and less as the token's longest life comes to its end.
      const isEnding = renewed.ttlMs !== undefined && renewed.ttlMs < lease.ttlMs / 2;
      return isEnding ? await this.#enter() : this.#keep(renewed);
    } catch {
      // Whatever stands against renewing, a new login does as well; what stands against both is told.
      return this.#enter();
    }
  }
}

function waitOf(lease: VaultLease | undefined): number | undefined {
  if (lease === undefined) return RETRY_MS;
  if (lease.ttlMs === undefined) return undefined;
  return Math.min(MAX_WAIT_MS, Math.max(MIN_WAIT_MS, lease.ttlMs * RENEW_AFTER));
}
