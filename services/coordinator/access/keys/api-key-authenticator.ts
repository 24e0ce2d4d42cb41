// Verifies API keys. A key is looked up by its id, and its digest compared in a time that says nothing of it; a key that there is not is
// compared, too. What a key allows is the policy's word on its roles, each time anew.

import { timingSafeEqual } from "node:crypto";
import type { Clock } from "../../../../lib/core/clock.ts";
import type { Principal } from "../../../../lib/core/access/principal.ts";
import { DEFAULT_TENANT } from "../../../../lib/core/names.ts";
import type { KeyStore, StoredKey } from "../../../../lib/nats/key-store.ts";
import { msFromTimestamp } from "../../../../lib/wire/time-codec.ts";
import type { Authenticator } from "../authenticator.ts";
import { bearerIn } from "../bearer.ts";
import type { Policy } from "../policy.ts";
import { OPEN_PRINCIPAL } from "../principal-values.ts";
import { credentialInvalid } from "../refusals.ts";
import { KEY_PREFIX, keyDigest, keyIdIn, OPERATOR_KEY_ID } from "./key-text.ts";
import type { OperatorKey } from "./operator-key.ts";

/** What verifying keys needs. */
export interface ApiKeyOptions {
  readonly keys: Pick<KeyStore, "get" | "listen">;
  /** The operator's key; undefined where there is none. */
  readonly operatorKey: OperatorKey | undefined;
  readonly policy: Pick<Policy, "grantsOf">;
  readonly clock: Pick<Clock, "now">;
  /** Hears of each key that was accepted. Must not throw, nor take its time. */
  readonly onUse: (key: StoredKey) => void;
}

/** The digest of no key: what those that there are not are compared with. */
const NO_KEY = new Uint8Array(32);

/** The operator may do everything whatever the policy makes of roles: who else could mend it. */
const OPERATOR: Principal = {
  kind: "key",
  id: OPERATOR_KEY_ID,
  tenant: DEFAULT_TENANT,
  grants: OPEN_PRINCIPAL.grants,
  expiresMs: Infinity,
};

/** Makes the authenticator of keys. */
export function createApiKeyAuthenticator(options: ApiKeyOptions): Authenticator {
  const { keys, operatorKey, policy, clock, onUse } = options;

  const principalOf = (stored: StoredKey): Principal => {
    const { keyId, tenant, roles, revokeTime, expireTime } = stored.key;
    const expiresMs = msFromTimestamp(expireTime) ?? Infinity;
    if (revokeTime !== undefined) throw credentialInvalid(`key ${keyId} is revoked`);
    if (expiresMs <= clock.now()) throw credentialInvalid(`key ${keyId} has expired`);
    onUse(stored);
    return { kind: "key", id: keyId, tenant, grants: policy.grantsOf(roles), expiresMs };
  };

  return {
    authenticate({ authorization }) {
      const presented = bearerIn(authorization);
      if (presented === undefined || !presented.startsWith(KEY_PREFIX)) return undefined;
      const keyId = keyIdIn(presented);
      const isOperator = keyId === OPERATOR_KEY_ID;
      const stored = keyId === undefined || isOperator ? undefined : keys.get(keyId);
      const known = isOperator ? operatorKey?.sha256 : stored?.secretSha256;
      const isEqual = timingSafeEqual(keyDigest(presented), known ?? NO_KEY);
      if (known === undefined) throw credentialInvalid(`there is no key ${keyId ?? "that is written so"}`);
      if (!isEqual) throw credentialInvalid(`not the secret of key ${keyId ?? ""}`);
      return stored === undefined ? OPERATOR : principalOf(stored);
    },
    onRevoked(revoked) {
      const stops = [keys.listen({ onKeyEnded: revoked }), operatorKey?.onExchanged(revoked)];
      return () => {
        for (const stop of stops) stop?.();
      };
    },
  };
}
