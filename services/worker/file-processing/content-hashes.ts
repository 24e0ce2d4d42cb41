// Hashes of a content that arrives in pieces. Pure.
import { createHash, type Hash } from "node:crypto";
import { crc32 } from "node:zlib";

/** The hashes that can be asked for. */
export type HashName = "sha256" | "sha512" | "sha1" | "md5" | "crc32";

/** Their names. */
export const HASH_NAMES: readonly HashName[] = ["sha256", "sha512", "sha1", "md5", "crc32"];

/** Takes several hashes at once. */
export class ContentHashes {
  readonly #hashes: readonly (readonly [HashName, Hash | undefined])[];
  #crc = 0;

  constructor(names: readonly HashName[]) {
    this.#hashes = names.map((name) => [name, name === "crc32" ? undefined : createHash(name)] as const);
  }

  add(piece: Uint8Array): void {
    for (const [, hash] of this.#hashes) {
      if (hash === undefined) this.#crc = crc32(piece, this.#crc);
      else hash.update(piece);
    }
  }

  /** The hashes in hexadecimal digits, by name. Once, at the end. */
  digests(): Record<string, string> {
    return Object.fromEntries(
      this.#hashes.map(([name, hash]) => [name, hash?.digest("hex") ?? this.#crc.toString(16).padStart(8, "0")]),
    );
  }
}
