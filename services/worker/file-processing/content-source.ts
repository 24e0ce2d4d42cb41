// Where the bytes of a file come from: memory, an open file, or a blob of the mesh. Each is read once, piece by piece.
import type { FileHandle } from "node:fs/promises";
import type { BlobStream } from "../../../sdk/agent/index.ts";

const PIECE_BYTES = 256 * 1024;

/** A content that can be read. */
export interface ContentSource {
  /** Its size as it was when it was opened. */
  readonly sizeBytes: number;
  /** The content, once, from its start. A piece is valid until the next is asked for. */
  pieces(): AsyncIterable<Uint8Array>;
  /** Where any part of it can be read again: a file descriptor, or memory; undefined for what goes by only once. */
  readonly again: number | Uint8Array | undefined;
}

/** A content in memory. */
export function memorySource(content: Uint8Array): ContentSource {
  return {
    sizeBytes: content.length,
    again: content,
    async *pieces() {
      for (let at = 0; at < content.length; at += PIECE_BYTES) yield content.subarray(at, at + PIECE_BYTES);
    },
  };
}

/** An open file. What is added to it meanwhile is not read. */
export function fileSource(handle: FileHandle, sizeBytes: number): ContentSource {
  return {
    sizeBytes,
    again: handle.fd,
    async *pieces() {
      const buffer = Buffer.alloc(Math.min(PIECE_BYTES, sizeBytes));
      for (let at = 0; at < sizeBytes;) {
        const { bytesRead } = await handle.read(buffer, 0, Math.min(buffer.length, sizeBytes - at), at);
        if (bytesRead === 0) return;
        at += bytesRead;
        yield buffer.subarray(0, bytesRead);
      }
    },
  };
}

/** A blob of the mesh. */
export function blobSource(stream: BlobStream): ContentSource {
  return { sizeBytes: Number(stream.blob.sizeBytes), again: undefined, pieces: () => stream };
}
