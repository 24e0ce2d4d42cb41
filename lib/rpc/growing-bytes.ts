// Bytes that come in pieces, put together as they come. What is kept is copied out of the pieces: each of them holds on to all that was
// read from its connection at once, and those of one byte to a hundred times their size.

const NOTHING = new Uint8Array();

/** How many times as much as there is may be taken for what is still to come. */
const GROWTH = 4;

/** Pieces in a row. Adding n bytes piece by piece copies at most 3n bytes. */
export class GrowingBytes {
  /** What is there, with room for more behind it. */
  #held: Uint8Array = NOTHING;
  #length = 0;

  /** How many bytes are there. */
  get length(): number {
    return this.#length;
  }

  /** What is there. Whatever is done next may change it. */
  get bytes(): Uint8Array {
    return this.#held.subarray(0, this.#length);
  }

  /**
   * Copies a piece behind what is there. `wanted`: how many bytes are to come in all, if that is known. Then no more is taken than that, in
   * fewer steps, but never for the word of a sender alone: a message of 2 MiB took four times its size one after the other.
   */
  add(piece: Uint8Array, wanted?: number): void {
    const length = this.#length + piece.length;
    if (length > this.#held.length) {
      // Nobody has said how much comes beyond what was to come.
      const isKnown = wanted !== undefined && length <= wanted;
      const room = isKnown ? Math.min(wanted, GROWTH * length) : 2 * this.#held.length;
      const larger = new Uint8Array(Math.max(length, room));
      larger.set(this.bytes);
      this.#held = larger;
    }
    this.#held.set(piece, this.#length);
    this.#length = length;
  }

  /** Keeps a piece as it is, in place of what was there. */
  adopt(piece: Uint8Array): void {
    this.#held = piece;
    this.#length = piece.length;
  }

  /** Hands over what is there, and begins anew. */
  take(): Uint8Array {
    const taken = this.bytes;
    this.#held = NOTHING;
    this.#length = 0;
    return taken;
  }
}
