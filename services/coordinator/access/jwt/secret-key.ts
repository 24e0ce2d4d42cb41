// One secret that the issuer of tokens and the coordinators share.

import type { Secret } from "../../../../lib/secrets/secret.ts";
import { SECRET_ALGORITHM } from "./algorithms.ts";
import type { TokenKeys } from "./token-keys.ts";

/** As long as what it is hashed to: RFC 7518, 3.2. */
const MIN_BYTES = 32;

/** A secret that may be exchanged while it is in use. */
export interface SecretKey extends TokenKeys {
  /** Exchanges the secret: from now on only tokens are valid that were signed with the new one. Throws RangeError as {@link secretKey} does. */
  exchange(secret: Secret): void;
}

/** Makes keys of a secret of at least 32 bytes, as it is written. Throws RangeError. */
export function secretKey(secret: Secret): SecretKey {
  let key = keyOf(secret);
  const listeners = new Set<() => void>();
  return {
    algorithms: [SECRET_ALGORITHM],
    fresh: true,
    keyFor: () => Promise.resolve(key),
    exchange(next) {
      key = keyOf(next);
      for (const changed of listeners) changed();
    },
    onChanged(changed) {
      listeners.add(changed);
      return () => listeners.delete(changed);
    },
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

function keyOf(secret: Secret): Uint8Array {
  const key = new TextEncoder().encode(secret.reveal());
  if (key.length < MIN_BYTES) {
    throw new RangeError(`the secret of tokens must have at least ${MIN_BYTES} bytes, has ${key.length}`);
  }
  return key;
}
