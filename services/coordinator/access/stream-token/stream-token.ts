// How a stream token is written: a JWT of the mesh for itself, `mst_` and three parts, signed with a secret that only coordinators have.
// It says everything that is to be known of it, so that it is verified without a lookup.

import { jwtVerify, SignJWT } from "jose";
import { z } from "zod";
import type { ScopeRule } from "../../../../lib/core/access/task-scope.ts";
import type { StreamSecret } from "./stream-secrets.ts";

/** What every stream token begins with: it is told from other tokens by it. */
export const STREAM_TOKEN_PREFIX = "mst_";

/** The longest stream token, in characters. */
export const MAX_STREAM_TOKEN_LENGTH = 4_096;

const ALGORITHM = "HS256";
const TYPE = "mycel-stream+jwt";
const ISSUER = "mycel";
const AUDIENCE = "mycel-stream-results";

const CLAIMS = z.strictObject({
  iss: z.literal(ISSUER),
  aud: z.literal(AUDIENCE),
  iat: z.number(),
  exp: z.number(),
  jti: z.string(),
  /** The name of whoever it was issued to. */
  by: z.string(),
  tenant: z.string(),
  /** The only task. */
  task: z.string().optional(),
  /** The tasks of which it is about, as grants have them. */
  // Pairs: of a record, a label that objects have by themselves could get lost, and the rule be about more than it says.
  rules: z.array(z.strictObject({ types: z.array(z.string()), labels: z.array(z.tuple([z.string(), z.string()])) })),
});

/** What a stream token says. */
export interface StreamTokenFacts {
  /** Names it among all. */
  readonly id: string;
  /** The name of the principal that had it issued; empty where nobody had to show who it is. */
  readonly issuer: string;
  readonly tenant: string;
  readonly taskId: string | undefined;
  readonly rules: readonly ScopeRule[];
  /** When it ends, in milliseconds since 1970, a whole second. */
  readonly expiresMs: number;
}

/** Writes a token that is issued now. */
export async function writeStreamToken(
  facts: StreamTokenFacts,
  { day, secret }: StreamSecret,
  nowMs: number,
): Promise<string> {
  const { id, issuer, tenant, taskId, expiresMs } = facts;
  const rules = facts.rules.map(({ types, labels }) => ({ types, labels: Object.entries(labels) }));
  const token = await new SignJWT({ by: issuer, tenant, rules, ...(taskId === undefined ? {} : { task: taskId }) })
    .setProtectedHeader({ alg: ALGORITHM, typ: TYPE, kid: String(day) })
    .setIssuer(ISSUER)
    .setAudience(AUDIENCE)
    .setJti(id)
    .setIssuedAt(Math.floor(nowMs / 1_000))
    .setExpirationTime(expiresMs / 1_000)
    .sign(secret);
  return STREAM_TOKEN_PREFIX + token;
}

/** Reads a token; `secretOf` tells the secret of a day. Throws whatever is wrong with it. */
export async function readStreamToken(
  token: string,
  secretOf: (day: number) => Uint8Array | undefined,
  nowMs: number,
): Promise<StreamTokenFacts> {
  if (token.length > MAX_STREAM_TOKEN_LENGTH) throw new Error(`it has ${token.length} characters`);
  const keyFor = ({ kid = "" }: { readonly kid?: string }): Uint8Array => {
    const secret = /^\d{1,9}$/.test(kid) ? secretOf(Number(kid)) : undefined;
    if (secret === undefined) throw new Error("no secret that is in use has signed it");
    return secret;
  };
  const { payload } = await jwtVerify(token.slice(STREAM_TOKEN_PREFIX.length), keyFor, {
    algorithms: [ALGORITHM],
    typ: TYPE,
    issuer: ISSUER,
    audience: AUDIENCE,
    requiredClaims: ["exp"],
    currentDate: new Date(nowMs),
  });
  const { jti: id, by: issuer, tenant, task: taskId, exp, ...claims } = CLAIMS.parse(payload);
  const rules = claims.rules.map(({ types, labels }) => ({ types, labels: Object.fromEntries(labels) }));
  // No token is about everything, whoever has made it.
  const isBounded = taskId !== undefined || rules.every(({ labels }) => Object.keys(labels).length > 0);
  if (!isBounded) throw new Error("it is about neither a task nor a group");
  return { id, issuer, tenant, taskId, rules, expiresMs: exp * 1_000 };
}
