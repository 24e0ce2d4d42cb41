// Uploads and downloads what is too large to travel inline, with its checksum.
import { createHash } from "node:crypto";
import type { Client } from "@connectrpc/connect";
import type { BlobService, UploadBlobRequestSchema } from "../../gen/mycel/v1/blob_service_pb.ts";
import type { BlobRef } from "../../gen/mycel/v1/payload_pb.ts";
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { ResolvedOptions } from "./client-options.ts";
import { withSignal } from "./call-signal.ts";
import { MycelError } from "./mycel-error.ts";
import { pause } from "../../lib/time/pause.ts";
import { delayBeforeTry } from "./retry.ts";

/** Content to upload. A stream is read once, as fast as the server takes it. */
export type BlobSource = Uint8Array | AsyncIterable<Uint8Array> | Iterable<Uint8Array>;

/** Options of `uploadBlob`. */
export interface UploadOptions {
  /** The media type. Default `application/octet-stream`. */
  readonly contentType?: string;
  /** Ends the upload; nothing is kept. */
  readonly signal?: AbortSignal;
}

/** A blob on its way. Iterating it rejects with a MycelError (CHECKSUM_MISMATCH) at the end if the content is not what was stored. */
export interface BlobDownload extends AsyncIterable<Uint8Array> {
  /** Everything in one piece. Not together with iterating. */
  bytes(): Promise<Uint8Array>;
}

/** What uploads and downloads need of a client. */
export interface BlobCalls {
  readonly rpc: Pick<Client<typeof BlobService>, "uploadBlob" | "downloadBlob">;
  readonly options: Pick<ResolvedOptions, "timeoutMs" | "maximumTries">;
}

// Half of what the server takes: two pieces in flight keep a connection busy, larger ones only take memory.
const PIECE_BYTES = 128 * 1024;

/** Uploads content. Bytes are sent again, for as long as a call may last, if the connection breaks; a stream cannot be. */
export async function uploadBlob(calls: BlobCalls, source: BlobSource, options: UploadOptions): Promise<BlobRef> {
  const { contentType = "", signal } = options;
  const callOptions = withSignal(signal);
  if (!(source instanceof Uint8Array)) {
    return refOf(await calls.rpc.uploadBlob(uploadOf({ contentType }, source), callOptions));
  }
  const open = { contentType, sha256: sha256(source), sizeBytes: BigInt(source.length) };
  const deadline = deadlineOf(calls);
  for (let tries = 1; ; tries += 1) {
    try {
      return refOf(await calls.rpc.uploadBlob(uploadOf(open, [source]), callOptions));
    } catch (error) {
      // An upload that was cut off keeps nothing, or at worst a blob that nobody refers to and that expires.
      await beforeNextTry(calls, error, tries, deadline, signal);
    }
  }
}

/** Downloads a blob, over as many connections as it takes. With a full reference, size and SHA-256 are checked against it, otherwise against what the server announces. */
export function downloadBlob(
  calls: BlobCalls,
  blob: Pick<BlobRef, "blobId"> & Partial<Pick<BlobRef, "sha256" | "sizeBytes">>,
  signal: AbortSignal | undefined,
): BlobDownload {
  async function* pieces(): AsyncGenerator<Uint8Array> {
    const hash = createHash("sha256");
    let expected = blob.sha256;
    let size = 0;
    for (let tries = 1, deadline = deadlineOf(calls); ; tries += 1) {
      const before = size;
      // What was got already is told again from the beginning: content never changes under its id.
      let known = size;
      const left = new AbortController();
      const ended = signal === undefined ? left.signal : AbortSignal.any([left.signal, signal]);
      try {
        for await (const { part } of calls.rpc.downloadBlob({ blobId: blob.blobId }, { signal: ended })) {
          if (part.case === "blob") expected ??= part.value.sha256;
          if (part.case !== "chunk") continue;
          const news = part.value.subarray(known);
          known -= part.value.length - news.length;
          if (news.length === 0) continue;
          hash.update(news);
          size += news.length;
          yield news;
        }
        break;
      } catch (error) {
        // A download that moves on may break as often as it likes.
        if (size > before) [tries, deadline] = [1, deadlineOf(calls)];
        await beforeNextTry(calls, error, tries, deadline, signal);
      } finally {
        // Connect does not tell the server of a loop that is left.
        left.abort();
      }
    }
    if (expected !== undefined && expected.length > 0 && !hash.digest().equals(expected)) {
      throw new MycelError("data_loss", `blob ${blob.blobId} arrived damaged: its SHA-256 differs (${size} bytes)`, {
        reason: "CHECKSUM_MISMATCH",
      });
    }
  }
  return {
    [Symbol.asyncIterator]: pieces,
    bytes: async () => Buffer.concat(await Array.fromAsync(pieces())),
  };
}

function deadlineOf({ options }: BlobCalls): number {
  return performance.now() + options.timeoutMs;
}

/** Waits until the same can be tried again; throws the error if that cannot help, or there is no time or try left. */
async function beforeNextTry(
  { options }: BlobCalls,
  error: unknown,
  tries: number,
  deadline: number,
  signal: AbortSignal | undefined,
): Promise<void> {
  const lost = error instanceof MycelError && error.code === "unavailable" && signal?.aborted !== true;
  const delayMs = delayBeforeTry({ kind: "lost" }, tries, 1, Math.random());
  const spent = tries >= options.maximumTries || performance.now() + delayMs >= deadline;
  if (!lost || spent) throw error;
  await pause(delayMs, signal);
}

async function* uploadOf(
  open: { contentType: string; sha256?: Uint8Array<ArrayBuffer>; sizeBytes?: bigint },
  source: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
): AsyncGenerator<MessageInitShape<typeof UploadBlobRequestSchema>> {
  yield { part: { case: "open", value: open } };
  for await (const piece of source) {
    for (let at = 0; at < piece.length; at += PIECE_BYTES) {
      yield { part: { case: "chunk", value: new Uint8Array(piece.subarray(at, at + PIECE_BYTES)) } };
    }
  }
}

function sha256(data: Uint8Array): Uint8Array<ArrayBuffer> {
  return new Uint8Array(createHash("sha256").update(data).digest());
}

function refOf(response: { readonly blob?: BlobRef | undefined }): BlobRef {
  if (response.blob === undefined) throw new MycelError("internal", "the server stored a blob without naming it");
  return response.blob;
}
