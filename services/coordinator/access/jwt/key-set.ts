// The public keys of whoever issues tokens, from a JWK set that is read again and again: keys come and go there without a restart.
//
// An unknown key makes it be read at once, but not more often than once in a while, whatever strangers send. What could not be read for
// long counts for nothing any more: a key may have been withdrawn, so nobody is let in by it.

import { type CryptoKey, createLocalJWKSet, errors, type JSONWebKeySet, type JWK, type LocalJWKSet } from "jose";
import type { Clock } from "../../../../lib/core/clock.ts";
import type { Logger } from "../../../../lib/core/logger.ts";
import { MeshError } from "../../../../lib/core/mesh-error.ts";
import { pause } from "../../../../lib/time/pause.ts";
import { checkAlgorithms, DEFAULT_ALGORITHMS } from "./algorithms.ts";
import { type JwksSource, readJwks } from "./jwks-source.ts";
import type { TokenKeys } from "./token-keys.ts";

/** What a key set needs. */
export interface KeySetOptions {
  readonly source: JwksSource;
  /** The algorithms that tokens may be signed with, of {@link KEY_PAIR_ALGORITHMS}. Default RS256, PS256, ES256, EdDSA and Ed25519. */
  readonly algorithms?: readonly string[];
  /** How often the set is read, in milliseconds. Default 5 minutes for a URL, 2 seconds for a file. */
  readonly refreshMs?: number;
  /** For how long what was read counts when it can't be read again, in milliseconds. Default 10 minutes. */
  readonly maxAgeMs?: number;
  /** How long after it was read, or was tried to be, an unknown key can make it be read again, in milliseconds. Default 30 seconds. */
  readonly cooldownMs?: number;
  /** How long a URL may take to answer, to the last byte, in milliseconds. Default 5 seconds. */
  readonly timeoutMs?: number;
  readonly clock: Clock;
  readonly logger: Logger;
}

const REFRESH_MS: Readonly<Record<JwksSource["kind"], number>> = { url: 300_000, file: 2_000 };
const MAX_AGE_MS = 600_000;
const COOLDOWN_MS = 30_000;
const TIMEOUT_MS = 5_000;
const RETRY_DELAY_MS = 1_000;
const MAX_KEYS = 100;

/**
 * Opens a key set. A URL that does not answer is asked again, and nobody is let in meanwhile. Throws RangeError for a file that can't be
 * read or holds no JWK set, and for wrong algorithms.
 */
export async function openKeySet(options: KeySetOptions): Promise<TokenKeys> {
  const keys = new KeySet(options);
  await keys.open();
  return keys;
}

class KeySet implements TokenKeys {
  readonly algorithms: readonly string[];
  readonly #options: KeySetOptions;
  readonly #maxAgeMs: number;
  readonly #cooldownMs: number;
  readonly #stopping = new AbortController();
  readonly #listeners = new Set<() => void>();
  #loop: Promise<void> = Promise.resolve();
  #text: string | undefined;
  #keys: LocalJWKSet = createLocalJWKSet({ keys: [] });
  #readMs = -Infinity;
  #triedMs = -Infinity;
  #reading: Promise<void> | undefined;
  #toldStale = false;

  constructor(options: KeySetOptions) {
    this.#options = options;
    this.algorithms = options.algorithms ?? DEFAULT_ALGORITHMS;
    checkAlgorithms(this.algorithms);
    this.#maxAgeMs = options.maxAgeMs ?? MAX_AGE_MS;
    this.#cooldownMs = options.cooldownMs ?? COOLDOWN_MS;
  }

  async open(): Promise<void> {
    const { source, logger } = this.#options;
    try {
      await this.#read();
    } catch (error) {
      if (source.kind === "file")
        throw new RangeError(`JWKS file ${source.path}: ${reasonOf(error)}`, { cause: error });
      logger.warn({ err: error }, "keys of tokens not read; trying again");
    }
    this.#loop = this.#refresh();
  }

  get fresh(): boolean {
    return this.#options.clock.monotonicMs() - this.#readMs <= this.#maxAgeMs;
  }

  async keyFor(header: Parameters<LocalJWKSet>[0]): Promise<CryptoKey> {
    if (!this.fresh) await this.#readAgain();
    if (!this.fresh) throw unavailable();
    try {
      return await this.#keys(header);
    } catch (error) {
      if (!(error instanceof errors.JWKSNoMatchingKey) || !this.#isDue()) throw error;
      await this.#readAgain();
      return await this.#keys(header);
    }
  }

  onChanged(changed: () => void): () => void {
    this.#listeners.add(changed);
    return () => this.#listeners.delete(changed);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping.abort();
    await this.#loop;
  }

  async #refresh(): Promise<void> {
    const { refreshMs = REFRESH_MS[this.#options.source.kind] } = this.#options;
    const { signal } = this.#stopping;
    // Sooner as long as there is nothing to rely on.
    while (await pause(this.fresh ? refreshMs : Math.min(refreshMs, this.#cooldownMs), signal)) {
      await this.#tryToRead();
      if (this.fresh) this.#toldStale = false;
      else if (!this.#toldStale) {
        this.#toldStale = true;
        this.#tell();
      }
    }
  }

  #isDue(): boolean {
    return this.#options.clock.monotonicMs() - this.#triedMs >= this.#cooldownMs;
  }

  /** Waits for what is being read, or reads if that was not tried just now. */
  async #readAgain(): Promise<void> {
    if (this.#reading !== undefined || this.#isDue()) await this.#tryToRead();
  }

  async #tryToRead(): Promise<void> {
    try {
      await this.#read();
    } catch (error) {
      if (!this.#stopping.signal.aborted) {
        this.#options.logger.warn({ err: error }, "keys of tokens not read; trying again");
      }
    }
  }

  /** One reading at a time serves everybody. */
  async #read(): Promise<void> {
    this.#reading ??= this.#readOnce().finally(() => (this.#reading = undefined));
    await this.#reading;
  }

  async #readOnce(): Promise<void> {
    const { clock, source, timeoutMs = TIMEOUT_MS } = this.#options;
    const triedMs = clock.monotonicMs();
    this.#triedMs = triedMs;
    const text = await readJwks(source, timeoutMs, this.#stopping.signal);
    const keys = createLocalJWKSet(publicKeysIn(text));
    // From when it was asked for: what was withdrawn while it was on its way may be in it.
    this.#readMs = triedMs;
    const changed = text !== this.#text;
    [this.#text, this.#keys] = [text, keys];
    if (changed) this.#tell();
  }

  #tell(): void {
    for (const changed of this.#listeners) changed();
  }
}

/** The public keys of a JWK set. Secrets and private keys are no keys to verify with: they are left out. Throws if it is no JWK set. */
function publicKeysIn(text: string): JSONWebKeySet {
  const parsed: unknown = JSON.parse(text);
  const listed = isRecord(parsed) ? parsed["keys"] : undefined;
  if (!Array.isArray(listed) || !listed.every(isRecord)) throw new Error("it is no JWK set");
  if (listed.length > MAX_KEYS) throw new Error(`it has ${listed.length} keys, at most ${MAX_KEYS} are read`);
  return { keys: listed.filter(isPublicKey) };
}

function isPublicKey(key: Readonly<Record<string, unknown>>): key is Readonly<Record<string, unknown>> & JWK {
  return typeof key["kty"] === "string" && key["kty"] !== "oct" && !Object.hasOwn(key, "d") && !Object.hasOwn(key, "k");
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function unavailable(): MeshError {
  return new MeshError("ACCESS_UNAVAILABLE", "credentials can't be verified now", { retryDelayMs: RETRY_DELAY_MS });
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
