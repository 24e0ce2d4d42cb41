// A key pair of the broker (nkey) that signs with Node's own Ed25519: nkeys' own takes many milliseconds of plain JavaScript for each
// signature, while a coordinator has a fleet to give credentials to.

import { createPrivateKey, type KeyObject, sign } from "node:crypto";
import { fromPublic, fromSeed, type KeyPair } from "@nats-io/nkeys";
import { Codec } from "@nats-io/nkeys/lib/codec.js";

/** What a key is for, by the first letter of its public part. */
export type KeyKind = "O" | "A" | "U";

/** How long a public key is, in characters. */
const PUBLIC_KEY_LENGTH = 56;

/** A key that can sign. Its secret part never leaves it but by {@link KeyPair.getSeed}. */
export class SigningKey implements KeyPair {
  readonly #pair: KeyPair;
  readonly #key: KeyObject;
  readonly #publicKey: string;
  #private: Uint8Array | undefined;

  /** Throws a RangeError of one line, which holds nothing of the seed, for a text that is no seed of this kind. */
  constructor(seed: Uint8Array, kind: KeyKind) {
    try {
      this.#pair = fromSeed(seed);
      this.#publicKey = this.#pair.getPublicKey();
      this.#key = privateKeyOf(seed, this.#publicKey);
    } catch {
      throw new RangeError(`a seed is not that of a key (S${kind}…)`);
    }
    if (!this.#publicKey.startsWith(kind)) throw new RangeError(`a seed is not that of a key of this kind (S${kind}…)`);
  }

  getPublicKey(): string {
    return this.#publicKey;
  }

  getPrivateKey(): Uint8Array {
    // Whoever signs asks for it first, to see that it is there.
    this.#private ??= this.#pair.getPrivateKey();
    return this.#private;
  }

  getSeed(): Uint8Array {
    return this.#pair.getSeed();
  }

  sign(input: Uint8Array): Uint8Array {
    return sign(null, input, this.#key);
  }

  verify(input: Uint8Array, signature: Uint8Array): boolean {
    return this.#pair.verify(input, signature);
  }

  clear(): void {
    this.#pair.clear();
    this.#private?.fill(0);
  }

  seal(input: Uint8Array, recipient: string, nonce?: Uint8Array): Uint8Array {
    return this.#pair.seal(input, recipient, nonce);
  }

  open(input: Uint8Array, sender: string): Uint8Array | null {
    return this.#pair.open(input, sender);
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
