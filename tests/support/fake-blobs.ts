// The blobs of fakes: kept in memory, received and sent as the contract says.
import { createHash } from "node:crypto";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { Code } from "@connectrpc/connect";
import type { DownloadBlobResponseSchema, UploadBlobRequest } from "../../gen/mycel/v1/blob_service_pb.ts";
import { type BlobRef, BlobRefSchema } from "../../gen/mycel/v1/payload_pb.ts";
import { richError } from "../../lib/rpc/rich-error.ts";

const CHUNK_BYTES = 65_536;

/** Blobs by their ids. */
export type FakeBlobs = Map<string, { readonly ref: BlobRef; readonly data: Uint8Array }>;

/** Keeps a blob and returns its reference. */
export function storeBlob(blobs: FakeBlobs, data: Uint8Array, contentType: string): BlobRef {
  const blobId = `blob-${blobs.size + 1}`;
  const sha256 = new Uint8Array(createHash("sha256").update(data).digest());
  const ref = create(BlobRefSchema, { blobId, sha256, sizeBytes: BigInt(data.length), contentType });
  blobs.set(blobId, { ref, data });
  return ref;
}

/** Answers UploadBlob. */
export async function receiveBlob(
  blobs: FakeBlobs,
  requests: AsyncIterable<UploadBlobRequest>,
): Promise<{ readonly blob: BlobRef }> {
  const pieces: Uint8Array[] = [];
  let contentType = "";
  for await (const { part } of requests) {
    if (part.case === "open") contentType = part.value.contentType;
    if (part.case === "chunk") pieces.push(part.value);
  }
  return { blob: storeBlob(blobs, Buffer.concat(pieces), contentType) };
}

/** Answers DownloadBlob. */
export async function* sendBlob(
  blobs: FakeBlobs,
  blobId: string,
): AsyncGenerator<MessageInitShape<typeof DownloadBlobResponseSchema>> {
  const blob = blobs.get(blobId);
  if (blob === undefined) {
    throw richError({
      code: Code.NotFound,
      reason: "BLOB_NOT_FOUND",
      message: `no blob ${JSON.stringify(blobId)}`,
    });
  }
  yield { part: { case: "blob", value: blob.ref } };
  for (let at = 0; at < blob.data.length; at += CHUNK_BYTES) {
    yield { part: { case: "chunk", value: new Uint8Array(blob.data.subarray(at, at + CHUNK_BYTES)) } };
  }
}
