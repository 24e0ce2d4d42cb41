// The broker's JWTs: signed and read here, as nats-server takes them (https://docs.nats.io/running-a-nats-service/configuration/securing_nats/auth_intro/jwt).
// Written here because the broker's own package sets the time of issue by the local clock, and it must be the caller's: the newest of several
// JWTs of an account is the one that counts.

import { createHash } from "node:crypto";
import type { SigningKey } from "./signing-key.ts";

/** What a JWT says besides who signed it. */
export interface Claims {
  /** The public key that it is about. */
  readonly subject: string;
  /** How people call that. */
  readonly name: string;
  /** In seconds since 1970. */
  readonly issuedAtS: number;
  /** When it ends, in seconds since 1970. Undefined: never. */
  readonly expiresS?: number | undefined;
  readonly kind: "operator" | "account" | "user";
  /** What the broker is told, by its own names of fields. */
  readonly nats: Readonly<Record<string, unknown>>;
}

const HEADER = encode({ typ: "JWT", alg: "ed25519-nkey" });

/** Writes and signs a JWT. */
export function signClaims(claims: Claims, key: SigningKey): string {
  const { subject, name, issuedAtS, expiresS, kind, nats } = claims;
  const body = {
    iat: issuedAtS,
    iss: key.publicKey,
    name,
    sub: subject,
    ...(expiresS === undefined ? {} : { exp: expiresS }),
    nats: { ...nats, type: kind, version: 2 },
  };
  const jti = createHash("sha256").update(JSON.stringify(body)).digest("hex");
  const text = `${HEADER}.${encode({ jti, ...body })}`;
  return `${text}.${Buffer.from(key.sign(Buffer.from(text))).toString("base64url")}`;
}

/** What a JWT says that a broker gave out; undefined if it is none. The signature is not looked at: the broker has done so. */
export function readClaims(
  jwt: string,
): { readonly issuedAtS: number; readonly nats: Readonly<Record<string, unknown>> } | undefined {
  try {
    const body: unknown = JSON.parse(Buffer.from(jwt.split(".")[1] ?? "", "base64url").toString("utf8"));
    if (!isRecord(body)) return undefined;
    const { iat, nats } = body;
    return typeof iat === "number" && isRecord(nats) ? { issuedAtS: iat, nats } : undefined;
  } catch {
    return undefined;
  }
}

function encode(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString("base64url");
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
