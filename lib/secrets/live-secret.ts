// Owns a secret that may change while the process runs: what it is now, and who hears of the next.
import type { Logger } from "../core/logger.ts";
import { pause } from "../time/pause.ts";
import type { Secret } from "./secret.ts";

/** A secret that is kept up to date. Take `current` for each use, or subscribe where something is built from it. */
export interface LiveSecret {
  /** What named it, for messages. */
  readonly named: string;
  /** The secret now. When its place cannot be read any more, the last one that could. */
  readonly current: Secret;
  /** Calls `listener` with each new secret, until the returned function is called. What it throws is logged. */
  subscribe(listener: (secret: Secret) => void): () => void;
}

/** What keeps a secret up to date. */
export interface RefreshOptions {
  readonly named: string;
  readonly first: Secret;
  /** Reads it anew. */
  readonly read: () => Promise<Secret>;
  /** The time between two readings; undefined for a secret that cannot change. */
  readonly everyMs: number | undefined;
  readonly logger: Logger;
}

/** Reads a secret again and again. Disposing it stops that. */
export class RefreshedSecret implements LiveSecret, AsyncDisposable {
  readonly named: string;
  readonly #options: RefreshOptions;
  readonly #closing = new AbortController();
  readonly #listeners = new Set<(secret: Secret) => void>();
  readonly #loop: Promise<void>;
  #current: Secret;

  constructor(options: RefreshOptions) {
    this.named = options.named;
    this.#options = options;
    this.#current = options.first;
    this.#loop = options.everyMs === undefined ? Promise.resolve() : this.#refresh(options.everyMs);
  }

  get current(): Secret {
    return this.#current;
  }

  subscribe(listener: (secret: Secret) => void): () => void {
    // A function of its own, so that the same listener may be there twice.
    const own = (secret: Secret): void => listener(secret);
    this.#listeners.add(own);
    return () => void this.#listeners.delete(own);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort();
    await this.#loop;
  }

  async #refresh(everyMs: number): Promise<void> {
    const { logger, read, named } = this.#options;
    let isFailing = false;
    while (await pause(everyMs, this.#closing.signal)) {
      try {
        const secret = await read();
        if (isFailing) logger.info({ setting: named }, "secret can be read again");
        isFailing = false;
        if (!secret.equals(this.#current)) this.#change(secret);
      } catch (err) {
        if (this.#closing.signal.aborted) return;
        // Once: whoever looks at the log a day later wants to see more than this.
        if (!isFailing) logger.warn({ err, setting: named }, "secret cannot be read again, keeping the last one");
        isFailing = true;
      }
    }
  }

  #change(secret: Secret): void {
    const { logger, named } = this.#options;
    this.#current = secret;
    logger.info({ setting: named }, "secret has changed");
    for (const listener of this.#listeners) {
      try {
        listener(secret);
      } catch (err) {
        logger.error({ err, setting: named }, "changed secret was not taken over");
      }
    }
  }
}
