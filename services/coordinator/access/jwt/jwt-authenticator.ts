// Verifies the tokens of an issuer outside of the mesh. Everything that counts is set here and nowhere in the token: the algorithms, the
// keys, the issuer, the audience. What a token's holder may do is the policy's word.

import { jwtVerify, type JWTPayload } from "jose";
import type { Clock } from "../../../../lib/core/clock.ts";
import type { Principal } from "../../../../lib/core/access/principal.ts";
import { MeshError } from "../../../../lib/core/mesh-error.ts";
import type { Authenticator } from "../authenticator.ts";
import { bearerIn } from "../bearer.ts";
import type { Policy } from "../policy.ts";
import { credentialInvalid } from "../refusals.ts";
import { digestOf, VerifiedTokens } from "../verified-tokens.ts";
import type { TokenKeys } from "./token-keys.ts";

/** What verifying tokens needs. */
export interface JwtOptions {
  readonly keys: TokenKeys;
  /** Who must have issued a token: its `iss`, as it is written. Not empty. */
  readonly issuer: string;
  /** For whom it must have been issued: its `aud`, or one of them. Not empty. */
  readonly audience: string;
  /** By how much the issuer's clock may differ from this one, in milliseconds. From 0 to 300,000; default 30,000. */
  readonly clockSkewMs?: number;
  /** The longest token that is looked at, in characters. From 256 to 65,536; default 8,192. */
  readonly maxTokenLength?: number;
  /** What bearers begin with that are another authenticator's. */
  readonly foreignPrefixes: readonly string[];
  readonly policy: Policy;
  readonly clock: Clock;
}

const CLOCK_SKEW_MS = 30_000;
const MAX_CLOCK_SKEW_MS = 300_000;
const MAX_TOKEN_LENGTH = 8_192;
const [LEAST_TOKEN_LENGTH, MOST_TOKEN_LENGTH] = [256, 65_536];

/** The longest subject, which names a principal in logs and bindings. */
const MAX_SUBJECT_LENGTH = 256;
const SUBJECT = /^[!-~]+$/;

/** What a verified token says. */
interface Verified {
  readonly subject: string;
  readonly claims: JWTPayload;
  /** When it ends, in milliseconds since 1970. */
  readonly expMs: number;
}

/** Makes the authenticator of tokens. Throws RangeError for a wrong option. */
export function createJwtAuthenticator(options: JwtOptions): Authenticator {
  const { keys, issuer, audience, foreignPrefixes, policy, clock } = options;
  const { clockSkewMs = CLOCK_SKEW_MS, maxTokenLength = MAX_TOKEN_LENGTH } = options;
  if (issuer === "") throw new RangeError("issuer must not be empty");
  if (audience === "") throw new RangeError("audience must not be empty");
  inRange("clockSkewMs", clockSkewMs, 0, MAX_CLOCK_SKEW_MS);
  inRange("maxTokenLength", maxTokenLength, LEAST_TOKEN_LENGTH, MOST_TOKEN_LENGTH);

  const known = new VerifiedTokens<Verified>();
  /** Grows whenever keys change: what was verified before is not remembered after. */
  let generation = 0;
  const listeners = new Set<() => void>();
  keys.onChanged(() => {
    generation += 1;
    known.clear();
    for (const revoked of listeners) revoked();
  });

  const principalOf = ({ subject, claims, expMs }: Verified): Principal => {
    const { tenant, roles } = policy.bindingOf({ kind: "token", id: subject, claims });
    const expiresMs = expMs + clockSkewMs;
    return { kind: "token", id: subject, tenant, grants: policy.grantsOf(roles), expiresMs };
  };

  const verify = async (token: string): Promise<Verified> => {
    try {
      const { payload } = await jwtVerify(token, (header) => keys.keyFor(header), {
        algorithms: [...keys.algorithms],
        issuer,
        audience,
        requiredClaims: ["exp", "sub"],
        clockTolerance: clockSkewMs / 1_000,
        currentDate: new Date(clock.now()),
      });
      const { sub = "", exp = 0 } = payload;
      if (sub.length > MAX_SUBJECT_LENGTH || !SUBJECT.test(sub)) throw new Error("its subject names nobody");
      return { subject: sub, claims: payload, expMs: exp * 1_000 };
    } catch (error) {
      if (error instanceof MeshError) throw error;
      throw credentialInvalid(error instanceof Error ? error.message : "not verified", error);
    }
  };

  return {
    authenticate({ authorization }) {
      const token = bearerIn(authorization);
      if (token === undefined || foreignPrefixes.some((prefix) => token.startsWith(prefix))) return undefined;
      if (token.length > maxTokenLength) throw credentialInvalid(`the token has ${token.length} characters`);
      const digest = digestOf(token);
      const remembered = keys.fresh ? known.get(digest, clock.now()) : undefined;
      if (remembered !== undefined) return principalOf(remembered);
      const at = generation;
      return verify(token).then((verified) => {
        if (at === generation) known.keep(digest, verified, verified.expMs);
        return principalOf(verified);
      });
    },
    onRevoked(revoked) {
      listeners.add(revoked);
      return () => listeners.delete(revoked);
    },
  };
}

function inRange(option: string, value: number, min: number, max: number): void {
  if (!(value >= min && value <= max)) throw new RangeError(`${option} must be from ${min} to ${max}, is ${value}`);
}
