// Reads the one message of a request from the pieces in which it arrives. Knows the envelope, not what is in it.
import { Code, ConnectError } from "@connectrpc/connect";

/** One message as it arrived. */
export interface Envelope {
  readonly flags: number;
  readonly data: Uint8Array;
}

/** Flags and length in front of every message. */
const HEAD_BYTES = 5;
const NOTHING = new Uint8Array();

/** Puts one message together. What it throws is a ConnectError with the words and codes of Connect. */
export class MessageReader {
  readonly #maxBytes: number;
  readonly #kind: string;
  /** What is there, with room for more behind it. */
  #held: Uint8Array = NOTHING;
  #bytes = 0;

  /** `kind` is how errors call the method: `unary`, `server-streaming`. */
  constructor(maxBytes: number, kind: string) {
    this.#maxBytes = maxBytes;
    this.#kind = kind;
  }

  /** Takes in a piece. Throws for a message that is too large before it is there, and for more than one. */
  add(piece: Uint8Array): void {
    // Almost every message comes as one piece, which need not be copied. A part of one must be: it would hold on to all that was read from
    // the connection with it, and one that comes byte by byte to a hundred times its size.
    if (this.#bytes === 0 && isWhole(piece)) this.#held = piece;
    else this.#copy(piece);
    this.#bytes += piece.length;
    const length = this.#checkedLength(0);
    if (length === undefined) return;
    const next = HEAD_BYTES + length;
    const extra = this.#checkedLength(next);
    if (extra !== undefined && this.#bytes >= next + HEAD_BYTES + extra) throw this.#moreThanOne();
  }

  /** The message, once the request has ended. Nothing is held any more then. */
  end(): Envelope {
    if (this.#bytes === 0) {
      throw new ConnectError(`protocol error: missing input message for ${this.#kind} method`, Code.Unimplemented);
    }
    const held = this.#held;
    const length = this.#checkedLength(0);
    if (length === undefined || this.#bytes !== HEAD_BYTES + length) {
      throw new ConnectError("protocol error: incomplete envelope", Code.InvalidArgument);
    }
    this.#held = NOTHING;
    this.#bytes = 0;
    // A plain view: what is decoded from a Buffer would be Buffers.
    return { flags: held[0] ?? 0, data: new Uint8Array(held.buffer, held.byteOffset + HEAD_BYTES, length) };
  }

  #copy(piece: Uint8Array): void {
    const bytes = this.#bytes + piece.length;
    if (bytes > this.#held.length) {
      const larger = new Uint8Array(Math.max(bytes, 2 * this.#held.length));
      larger.set(this.#held.subarray(0, this.#bytes));
      this.#held = larger;
    }
    this.#held.set(piece, this.#bytes);
  }

  /** The length of the message whose head begins at an offset, if that is there. */
  #checkedLength(at: number): number | undefined {
    if (this.#bytes < at + HEAD_BYTES) return undefined;
    const length = lengthIn(this.#held.subarray(at));
    if (length <= this.#maxBytes) return length;
    const limit = `message size ${length} is larger than configured readMaxBytes ${this.#maxBytes}`;
    throw new ConnectError(limit, Code.ResourceExhausted);
  }

  #moreThanOne(): ConnectError {
    const message = `protocol error: received extra input message for ${this.#kind} method`;
    return new ConnectError(message, Code.Unimplemented);
  }
}

function isWhole(piece: Uint8Array): boolean {
  return piece.length >= HEAD_BYTES && piece.length >= HEAD_BYTES + lengthIn(piece);
}

function lengthIn(head: Uint8Array): number {
  return (((head[1] ?? 0) << 24) | ((head[2] ?? 0) << 16) | ((head[3] ?? 0) << 8) | (head[4] ?? 0)) >>> 0;
}
