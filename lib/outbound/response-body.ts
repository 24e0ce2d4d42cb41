// Owns the reading of a response's body: decompressed as it streams, and never more of it in memory than allowed, so
// that a few bytes that unpack to gigabytes end as a few bytes too many.
import type { Duplex, Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createBrotliDecompress, createGunzip } from "node:zlib";
import { OutboundError } from "./outbound-error.ts";

/** What a body larger than the limit means. */
export type Oversize = "fail" | "truncate";

/** A body that was read. */
export interface ReadBody {
  /** Decoded; empty for none. */
  readonly bytes: Uint8Array;
  /** Whether there was more than the limit. */
  readonly truncated: boolean;
}

/** A compressed body may be this much larger than what is in it: headers and checksums. */
const CODING_OVERHEAD_BYTES = 1_024;

// One layer of these is unpacked; whatever else is declared stays as it came.
const DECODERS: ReadonlyMap<string, () => Duplex> = new Map([
  ["gzip", () => createGunzip()],
  ["x-gzip", () => createGunzip()],
  ["br", () => createBrotliDecompress()],
]);

/** The codings that are unpacked, as a request offers them. */
export const ACCEPTED_CODINGS = "gzip, br";

/**
 * Reads `body` to its end or to `maxBytes` of decoded content.
 *
 * Throws OutboundError RESPONSE_TOO_LARGE if there is more and `oversize` says `fail`, BAD_RESPONSE if it cannot be
 * unpacked, or whatever the stream fails with.
 */
export async function readBody(
  body: Readable,
  { coding, maxBytes, oversize }: { readonly coding: string; readonly maxBytes: number; readonly oversize: Oversize },
): Promise<ReadBody> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  const full = new Full();
  const collect = async (source: AsyncIterable<Uint8Array>): Promise<void> => {
    for await (const chunk of source) {
      const room = maxBytes - size;
      chunks.push(chunk.byteLength > room ? chunk.subarray(0, room) : chunk);
      size += Math.min(chunk.byteLength, room);
      if (chunk.byteLength > room) throw full;
    }
  };
  const decoder = DECODERS.get(coding.trim().toLowerCase())?.();
  const raw = new RawBytes(maxBytes + CODING_OVERHEAD_BYTES);
  let failure: unknown;
  try {
    if (decoder === undefined) await pipeline(body, collect);
    else await pipeline(body, (source: AsyncIterable<Uint8Array>) => raw.read(source), decoder, collect);
  } catch (error) {
    failure = error;
  }
  if (failure === full || raw.isOver) {
    if (oversize === "truncate") return { bytes: Buffer.concat(chunks), truncated: true };
    throw new OutboundError("RESPONSE_TOO_LARGE", `the response's body has more than ${maxBytes} bytes`);
  }
  if (failure === undefined) return { bytes: Buffer.concat(chunks), truncated: false };
  if (decoder === undefined || !isZlibError(failure)) throw failure;
  // What answers HEAD, and 204 and 304, may name the coding of a body that is not there.
  if (raw.isEmpty) return { bytes: new Uint8Array(), truncated: false };
  throw new OutboundError("BAD_RESPONSE", "the response's compressed body is broken", { cause: failure });
}

/** Thrown inside to stop reading. */
class Full extends Error {
  override readonly name = "Full";
}

/** Reads no more than so many bytes of a compressed stream, which can go on for ever without a byte of content. */
class RawBytes {
  /** Whether there was more; what unpacks of the beginning is cut off then. */
  isOver = false;
  /** Whether there was nothing at all. */
  isEmpty = true;
  #room: number;

  constructor(maxBytes: number) {
    this.#room = maxBytes;
  }

  async *read(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    for await (const chunk of source) {
      this.isEmpty &&= chunk.byteLength === 0;
      this.isOver = chunk.byteLength > this.#room;
      yield this.isOver ? chunk.subarray(0, this.#room) : chunk;
      if (this.isOver) return;
      this.#room -= chunk.byteLength;
    }
  }
}

function isZlibError(error: unknown): boolean {
  if (!(error instanceof Error) || !("code" in error) || typeof error.code !== "string") return false;
  return error.code.startsWith("Z_") || error.code.startsWith("ERR_BROTLI") || error.code.startsWith("ERR_ZLIB");
}
