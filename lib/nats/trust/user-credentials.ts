// The credentials of the mesh's own users: a JWT and the seed of its key in one file, in the broker's own form, so that its tools read it too.

import { type Claims, signClaims } from "./claims.ts";
import type { Permissions } from "./mesh-permissions.ts";
import { SigningKey } from "./signing-key.ts";

/** Whom to make credentials for. */
export interface UserRequest {
  /** How it is shown. */
  readonly name: string;
  /** The key of its account. */
  readonly account: SigningKey;
  /** What it may do. Undefined: everything in its account. */
  readonly permissions?: Permissions | undefined;
  /** In seconds since 1970. */
  readonly issuedAtS: number;
}

/** Makes a user with a new key, and returns the text of its file. */
export function makeUserCredentials({ name, account, permissions, issuedAtS }: UserRequest): string {
  const key = SigningKey.create("U");
  const claims: Claims = {
    subject: key.publicKey,
    name,
    kind: "user",
    issuedAtS,
    nats: {
      ...(permissions === undefined
        ? {}
        : { pub: { allow: permissions.publish }, sub: { allow: permissions.subscribe } }),
      subs: -1,
      data: -1,
      payload: -1,
    },
  };
  return [
    "-----BEGIN NATS USER JWT-----",
    signClaims(claims, account),
    "------END NATS USER JWT------",
    "",
    "Whoever has this file is this user.",
    "",
    "-----BEGIN USER NKEY SEED-----",
    key.seed,
    "------END USER NKEY SEED------",
    "",
  ].join("\n");
}
