// Cuts what arrives on a stream into messages, however it was cut into pieces on the way. Knows the envelope, not what is in it.
import { Code, ConnectError } from "@connectrpc/connect";
import { GrowingBytes } from "../../../lib/rpc/growing-bytes.ts";

/** One message as it arrived. */
export interface Envelope {
  readonly flags: number;
  readonly data: Uint8Array;
}

/** Flags and length in front of every message. */
export const HEAD_BYTES = 5;

/** Splits one answer. */
export class MessageSplitter {
  readonly #maxBytes: number;
  /** The beginning of a message whose rest has not arrived. */
  readonly #begun = new GrowingBytes();

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** Whether what has arrived ends in the middle of a message. */
  get incomplete(): boolean {
    return this.#begun.length > 0;
  }

  /** The messages that are complete with this piece. Throws ConnectError RESOURCE_EXHAUSTED for one that is too large, before it is there. */
  add(piece: Uint8Array): readonly Envelope[] {
    // Almost every message comes as one piece.
    if (!this.incomplete) return this.#split(piece);
    this.#begun.add(piece);
    const wanted = this.#lengthAt(this.#begun.bytes, 0);
    return wanted === undefined || this.#begun.length < wanted ? [] : this.#split(this.#begun.take());
  }

  #split(bytes: Uint8Array): readonly Envelope[] {
    const found: Envelope[] = [];
    let at = 0;
    for (;;) {
      const length = this.#lengthAt(bytes, at);
      if (length === undefined || bytes.length < at + length) break;
      // Copied: a field of bytes would hold on to all that was read from the connection with it.
      found.push({ flags: bytes[at] ?? 0, data: new Uint8Array(bytes.subarray(at + HEAD_BYTES, at + length)) });
      at += length;
    }
    if (at < bytes.length) this.#begun.add(bytes.subarray(at));
    return found;
  }

  /** The length with its head of the message that begins at an offset, if its head is there. */
  #lengthAt(bytes: Uint8Array, at: number): number | undefined {
    if (bytes.length < at + HEAD_BYTES) return undefined;
    const length =
      (((bytes[at + 1] ?? 0) << 24) |
        ((bytes[at + 2] ?? 0) << 16) |
        ((bytes[at + 3] ?? 0) << 8) |
        (bytes[at + 4] ?? 0)) >>>
      0;
    if (length <= this.#maxBytes) return HEAD_BYTES + length;
    const limit = `message size ${length} is larger than configured readMaxBytes ${this.#maxBytes}`;
    throw new ConnectError(limit, Code.ResourceExhausted);
  }
}

/** A message with its head. */
export function enveloped(data: Uint8Array, flags = 0): Buffer {
  const envelope = Buffer.allocUnsafe(HEAD_BYTES + data.length);
  envelope.set(data, HEAD_BYTES);
  return withHead(envelope, flags);
}

/** Writes the head of a message that was encoded with {@link HEAD_BYTES} of room in front. */
export function withHead(envelope: Uint8Array, flags = 0): Buffer {
  const bytes = Buffer.from(envelope.buffer, envelope.byteOffset, envelope.length);
  bytes[0] = flags;
  bytes.writeUInt32BE(envelope.length - HEAD_BYTES, 1);
  return bytes;
}
