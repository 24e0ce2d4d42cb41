// Reads the one message of a request from the pieces in which it arrives. Knows the envelope, not what is in it.
import { Code, ConnectError } from "@connectrpc/connect";
import { GrowingBytes } from "../growing-bytes.ts";

/** One message as it arrived. */
export interface Envelope {
  readonly flags: number;
  readonly data: Uint8Array;
}

/** Flags and length in front of every message. */
const HEAD_BYTES = 5;

/** Puts one message together. What it throws is a ConnectError with the words and codes of Connect. */
export class MessageReader {
  readonly #maxBytes: number;
  readonly #kind: string;
  readonly #held = new GrowingBytes();
  /** How many bytes the message has with its head, once that is there. */
  #wanted: number | undefined;

  /** `kind` is how errors call the method: `unary`, `server-streaming`. */
  constructor(maxBytes: number, kind: string) {
    this.#maxBytes = maxBytes;
    this.#kind = kind;
  }

  /** Takes in a piece. Throws for a message that is too large before it is there, and for more than one. */
  add(piece: Uint8Array): void {
    // Almost every message comes as one piece, which need not be copied.
    if (this.#held.length === 0 && isWhole(piece)) this.#held.adopt(piece);
    else this.#held.add(piece, this.#wanted);
    const length = this.#checkedLength(0);
    if (length === undefined) return;
    this.#wanted = HEAD_BYTES + length;
    const next = HEAD_BYTES + length;
    const extra = this.#checkedLength(next);
    if (extra !== undefined && this.#held.length >= next + HEAD_BYTES + extra) throw this.#moreThanOne();
  }

  /** The message, once the request has ended. Nothing is held any more then. */
  end(): Envelope {
    if (this.#held.length === 0) {
      throw new ConnectError(`protocol error: missing input message for ${this.#kind} method`, Code.Unimplemented);
    }
    const length = this.#checkedLength(0);
    if (length === undefined || this.#held.length !== HEAD_BYTES + length) {
      throw new ConnectError("protocol error: incomplete envelope", Code.InvalidArgument);
    }
    const held = this.#held.take();
    // A plain view: what is decoded from a Buffer would be Buffers.
    return { flags: held[0] ?? 0, data: new Uint8Array(held.buffer, held.byteOffset + HEAD_BYTES, length) };
  }

  /** The length of the message whose head begins at an offset, if that is there. */
  #checkedLength(at: number): number | undefined {
    if (this.#held.length < at + HEAD_BYTES) return undefined;
    const length = lengthIn(this.#held.bytes.subarray(at));
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
