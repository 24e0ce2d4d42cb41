// Reads the one message of a request from the pieces in which it arrives. Knows the envelope, not what is in it.
import { Code, ConnectError } from "@connectrpc/connect";

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
  readonly #pieces: Uint8Array[] = [];
  #bytes = 0;
  /** As the head says, once it is there. */
  #length: number | undefined;

  /** `kind` is how errors call the method: `unary`, `server-streaming`. */
  constructor(maxBytes: number, kind: string) {
    this.#maxBytes = maxBytes;
    this.#kind = kind;
  }

  /** How many bytes are there. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Takes in a piece. Throws for a message that is too large before it is there, and for far more than one. */
  add(piece: Uint8Array): void {
    this.#pieces.push(piece);
    this.#bytes += piece.length;
    if (this.#length === undefined) {
      if (this.#bytes < HEAD_BYTES) return;
      const length = lengthIn(this.#all());
      if (length > this.#maxBytes) {
        const limit = `message size ${length} is larger than configured readMaxBytes ${this.#maxBytes}`;
        throw new ConnectError(limit, Code.ResourceExhausted);
      }
      this.#length = length;
    }
    if (this.#bytes - HEAD_BYTES - this.#length > HEAD_BYTES + this.#maxBytes) throw this.#moreThanOne();
  }

  /** The message, once the request has ended. */
  end(): Envelope {
    if (this.#bytes === 0) {
      throw new ConnectError(`protocol error: missing input message for ${this.#kind} method`, Code.Unimplemented);
    }
    const length = this.#length;
    if (length === undefined || this.#bytes < HEAD_BYTES + length) {
      throw incomplete();
    }
    const all = this.#all();
    const rest = all.subarray(HEAD_BYTES + length);
    if (rest.length >= HEAD_BYTES && rest.length >= HEAD_BYTES + lengthIn(rest)) throw this.#moreThanOne();
    if (rest.length > 0) throw incomplete();
    // A plain view: what is decoded from a Buffer would be Buffers.
    return { flags: all[0] ?? 0, data: new Uint8Array(all.buffer, all.byteOffset + HEAD_BYTES, length) };
  }

  #moreThanOne(): ConnectError {
    const message = `protocol error: received extra input message for ${this.#kind} method`;
    return new ConnectError(message, Code.Unimplemented);
  }

  /** All pieces as one, which stands first from then on. */
  #all(): Uint8Array {
    const [only] = this.#pieces;
    if (only !== undefined && this.#pieces.length === 1) return only;
    const all = Buffer.concat(this.#pieces);
    this.#pieces.splice(0, Infinity, all);
    return all;
  }
}

function incomplete(): ConnectError {
  return new ConnectError("protocol error: incomplete envelope", Code.InvalidArgument);
}

function lengthIn(head: Uint8Array): number {
  return (((head[1] ?? 0) << 24) | ((head[2] ?? 0) << 16) | ((head[3] ?? 0) << 8) | (head[4] ?? 0)) >>> 0;
}
