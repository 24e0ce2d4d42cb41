// Verifies stream tokens: by their signature alone, and once. Of whoever had one issued only its API key is looked at again, which this
// process knows: what was let out with a stolen key ends with the key.

import type { Principal } from "../../../../lib/core/access/principal.ts";
import type { Clock } from "../../../../lib/core/clock.ts";
import type { KeyStore } from "../../../../lib/nats/key-store.ts";
import type { Authenticator } from "../authenticator.ts";
import { bearerIn } from "../bearer.ts";
import { OPERATOR_KEY_ID } from "../keys/key-text.ts";
import { credentialInvalid } from "../refusals.ts";
import { digestOf, VerifiedTokens } from "../verified-tokens.ts";
import type { StreamSecrets } from "./stream-secrets.ts";
import { readStreamToken, STREAM_TOKEN_PREFIX, type StreamTokenFacts } from "./stream-token.ts";

/** What verifying stream tokens needs. */
export interface StreamTokenOptions {
  readonly secrets: Pick<StreamSecrets, "of" | "onChanged">;
  readonly keys: Pick<KeyStore, "get" | "listen">;
  readonly clock: Pick<Clock, "now">;
}

const KEY_ISSUER = "key:";

interface Verified {
  readonly principal: Principal;
  readonly issuer: string;
}

/** Makes the authenticator of stream tokens. */
export function createStreamTokenAuthenticator({ secrets, keys, clock }: StreamTokenOptions): Authenticator {
  const known = new VerifiedTokens<Verified>();
  let generation = 0;
  secrets.onChanged(() => {
    generation += 1;
    known.clear();
  });

  const checked = ({ principal, issuer }: Verified): Principal => {
    // Where everybody gets in, tokens are issued to everybody: they are not to outlive that.
    if (issuer === "") throw credentialInvalid("it was issued where nobody had to show who it is");
    const keyId = issuer.startsWith(KEY_ISSUER) ? issuer.slice(KEY_ISSUER.length) : OPERATOR_KEY_ID;
    const stored = keys.get(keyId);
    if (keyId !== OPERATOR_KEY_ID && (stored === undefined || stored.key.revokeTime !== undefined)) {
      throw credentialInvalid(`key ${keyId}, with which it was issued, is no more`);
    }
    return principal;
  };

  const verify = async (token: string, digest: string): Promise<Principal> => {
    const at = generation;
    let facts: StreamTokenFacts;
    try {
      facts = await readStreamToken(token, (day) => secrets.of(day), clock.now());
    } catch (error) {
      throw credentialInvalid(error instanceof Error ? error.message : "not verified", error);
    }
    const verified = { principal: principalOf(facts), issuer: facts.issuer };
    if (at === generation) known.keep(digest, verified, facts.expiresMs);
    return checked(verified);
  };

  return {
    authenticate({ authorization }) {
      const token = bearerIn(authorization);
      if (token === undefined || !token.startsWith(STREAM_TOKEN_PREFIX)) return undefined;
      const digest = digestOf(token);
      const remembered = known.get(digest, clock.now());
      return remembered === undefined ? verify(token, digest) : checked(remembered);
    },
    onRevoked(revoked) {
      const stops = [secrets.onChanged(revoked), keys.listen({ onKeyEnded: revoked })];
      return () => {
        for (const stop of stops) stop();
      };
    },
  };
}

function principalOf({ id, issuer, tenant, taskId, rules, expiresMs }: StreamTokenFacts): Principal {
  return {
    kind: "stream-token",
    id: `${id}@${issuer}`,
    tenant,
    grants: rules.map(({ types, labels }) => ({ actions: new Set(["task:read"]), taskTypes: types, labels })),
    expiresMs,
    ...(taskId === undefined ? {} : { taskId }),
  };
}
