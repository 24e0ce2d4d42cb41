// How a key is written, `mk_<id>_<secret>`, and what the mesh keeps of it.

import { createHash, randomBytes } from "node:crypto";

/** What every key begins with: it is told from tokens by it, and found by it where it should not be. */
export const KEY_PREFIX = "mk_";

/** The id of the operator's key, which stands in the coordinators' configuration. No other key can have it. */
export const OPERATOR_KEY_ID = "operator";

const ID_BYTES = 8;
const SECRET_BYTES = 32;
const MADE_KEY = /^mk_([0-9a-f]{16})_[A-Za-z0-9_-]{43}$/;
/** An operator may make the secret by any means: 32 characters of hexadecimal digits are the weakest that there is reason for. */
const OPERATOR_KEY = /^mk_operator_[A-Za-z0-9_-]{32,256}$/;

/** A key that was made just now. */
export interface NewKey {
  readonly keyId: string;
  /** The key as it is presented: the only time that it is known. */
  readonly text: string;
  readonly sha256: Uint8Array;
}

/** Makes a key. */
export function newKey(): NewKey {
  const keyId = randomBytes(ID_BYTES).toString("hex");
  const text = `${keyPrefix(keyId)}${randomBytes(SECRET_BYTES).toString("base64url")}`;
  return { keyId, text, sha256: keyDigest(text) };
}

/** What a key begins with, by its id. */
export function keyPrefix(keyId: string): string {
  return `${KEY_PREFIX}${keyId}_`;
}

/** The id of a key as it is presented; undefined if it is not written as one. */
export function keyIdIn(text: string): string | undefined {
  return isOperatorKey(text) ? OPERATOR_KEY_ID : MADE_KEY.exec(text)?.[1];
}

/** Whether a text is written as the operator's key. */
export function isOperatorKey(text: string): boolean {
  return OPERATOR_KEY.test(text);
}

/** What is kept of a key: 32 bytes. */
export function keyDigest(text: string): Uint8Array {
  return createHash("sha256").update(text).digest();
}
