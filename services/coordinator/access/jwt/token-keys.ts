// The keys that tokens are verified with, as the verifier sees them.

import type { CryptoKey, JWTHeaderParameters } from "jose";

/** Keys that may change at any time. */
export interface TokenKeys extends AsyncDisposable {
  /** The algorithms that a token may be signed with; nothing that a token says adds to them. */
  readonly algorithms: readonly string[];
  /** Whether they are known well enough to rely on what was verified with them before. */
  readonly fresh: boolean;
  /**
   * The key for a token. Throws what jose throws if there is none, and MeshError ACCESS_UNAVAILABLE if that can't be found out now.
   */
  keyFor(header: JWTHeaderParameters): Promise<CryptoKey | Uint8Array>;
  /** Has a function called whenever they changed, or are not fresh any more; returns what stops that. */
  onChanged(changed: () => void): () => void;
}
