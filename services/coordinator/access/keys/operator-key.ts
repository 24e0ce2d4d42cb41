// The operator's key: how the first key of a mesh is made, and the way in when all others are lost. It stands in the configuration of
// the coordinators and nowhere else, and is held as its digest only.

import type { Secret } from "../../../../lib/secrets/secret.ts";
import { isOperatorKey, keyDigest } from "./key-text.ts";

/** The operator's key, which may be exchanged while it is in use. */
export class OperatorKey {
  #sha256: Uint8Array;
  readonly #listeners = new Set<() => void>();

  /** Throws RangeError for a secret that is not written as such a key: `mk_operator_` and 32 to 256 characters of `A-Z a-z 0-9 _ -`. */
  constructor(secret: Secret) {
    this.#sha256 = digestOf(secret);
  }

  /** SHA-256 of the key as it is presented. */
  get sha256(): Uint8Array {
    return this.#sha256;
  }

  /** Exchanges the key: the former one is worth nothing from now on. Throws RangeError as the constructor does; nothing changes then. */
  exchange(secret: Secret): void {
    const next = digestOf(secret);
    if (Buffer.from(next).equals(this.#sha256)) return;
    this.#sha256 = next;
    for (const exchanged of this.#listeners) exchanged();
  }

  /** Has a function called whenever it is exchanged; returns what stops that. */
  onExchanged(exchanged: () => void): () => void {
    this.#listeners.add(exchanged);
    return () => this.#listeners.delete(exchanged);
  }
}

function digestOf(secret: Secret): Uint8Array {
  const text = secret.reveal();
  if (!isOperatorKey(text)) {
    throw new RangeError("the operator's key must be mk_operator_ and 32 to 256 characters of A-Z a-z 0-9 _ -");
  }
  return keyDigest(text);
}
