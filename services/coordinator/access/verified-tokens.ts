// Remembers what tokens said that were verified, so that a signature is not checked at each call. Keeps no token: only its digest.

import { createHash } from "node:crypto";

/** How many tokens are remembered. */
const MAX_TOKENS = 4_096;

interface Entry<Facts> {
  readonly facts: Facts;
  readonly untilMs: number;
}

/** A token's digest, as it is remembered by. */
export function digestOf(token: string): string {
  return createHash("sha256").update(token).digest("base64");
}

/** What verified tokens said, by digest. */
export class VerifiedTokens<Facts> {
  readonly #max: number;
  readonly #entries = new Map<string, Entry<Facts>>();

  /** `max` is how many are remembered at most: those that were verified first are forgotten first. From 1; default 4,096. */
  constructor(max: number = MAX_TOKENS) {
    this.#max = max;
  }

  /** How many are remembered. */
  get size(): number {
    return this.#entries.size;
  }

  /** What a token said; undefined if it is not remembered, or not for as long as until now. */
  get(digest: string, nowMs: number): Facts | undefined {
    const entry = this.#entries.get(digest);
    if (entry === undefined) return undefined;
    if (nowMs < entry.untilMs) return entry.facts;
    this.#entries.delete(digest);
    return undefined;
  }

  /** Remembers what a token said, until a time. */
  keep(digest: string, facts: Facts, untilMs: number): void {
    // One that is verified again goes to the end.
    this.#entries.delete(digest);
    if (this.#entries.size >= this.#max) {
      const [first] = this.#entries.keys();
      if (first !== undefined) this.#entries.delete(first);
    }
    this.#entries.set(digest, { facts, untilMs });
  }

  /** Forgets everything. */
  clear(): void {
    this.#entries.clear();
  }
}
