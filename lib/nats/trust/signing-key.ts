// A key pair of the broker (nkey) that signs with Node's own Ed25519: nkeys' own takes many milliseconds of plain JavaScript for each
// signature, while a coordinator has a fleet to give credentials to.

import { createPrivateKey, type KeyObject, sign } from "node:crypto";
import { createPair, fromPublic, fromSeed, Prefix } from "@nats-io/nkeys";
import { Codec } from "@nats-io/nkeys/lib/codec.js";

/** Whose key it is, by the first letter of its public part: an operator's, an account's, a user's. */
export type KeyKind = "O" | "A" | "U";

const PREFIXES: Readonly<Record<KeyKind, Prefix>> = { O: Prefix.Operator, A: Prefix.Account, U: Prefix.User };

/** How long a public key is, in characters. */
const PUBLIC_KEY_LENGTH = 56;

/** A key that can sign. */
export class SigningKey {
  /** Its public part. */
  readonly publicKey: string;
  readonly #seed: string;
  readonly #key: KeyObject;

  /** Throws a RangeError of one line, which holds nothing of the seed, for a text that is no seed of this kind. */
  constructor(seed: string, kind: KeyKind) {
    this.#seed = seed.trim();
    const raw = new TextEncoder().encode(this.#seed);
    try {
      this.publicKey = fromSeed(raw).getPublicKey();
      this.#key = privateKeyOf(raw, this.publicKey);
    } catch {
      throw new RangeError(`it is no seed of a key (S${kind}…)`);
    }
    if (!this.publicKey.startsWith(kind)) throw new RangeError(`it is not the seed of a key of this kind (S${kind}…)`);
  }

  /** Makes a new one. */
  static create(kind: KeyKind): SigningKey {
    return new SigningKey(new TextDecoder().decode(createPair(PREFIXES[kind]).getSeed()), kind);
  }

  /** The secret part, to be stored where nobody else reads it. */
  get seed(): string {
    return this.#seed;
  }

  /** Signs. */
  sign(input: Uint8Array): Uint8Array {
    return sign(null, input, this.#key);
  }
}

/** Whether a text is a public key of this kind: its checksum is right, and it starts with this letter. */
export function isPublicKey(text: string, kind: KeyKind): boolean {
  if (!text.startsWith(kind) || text.length !== PUBLIC_KEY_LENGTH) return false;
  try {
    return fromPublic(text).getPublicKey() === text;
  } catch {
    return false;
  }
}

function privateKeyOf(seed: Uint8Array, publicKey: string): KeyObject {
  // Node takes such a key only with both of its parts. The public one stands behind a letter and before a checksum.
  const point = Codec._decode(new TextEncoder().encode(publicKey)).subarray(1);
  const d = Buffer.from(Codec.decodeSeed(seed).buf).toString("base64url");
  const x = Buffer.from(point).toString("base64url");
  return createPrivateKey({ format: "jwk", key: { kty: "OKP", crv: "Ed25519", d, x } });
}
