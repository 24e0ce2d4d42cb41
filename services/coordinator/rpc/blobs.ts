// BlobService: contents too large to travel inline, in and out.

import { create } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import {
  type BlobService,
  DownloadBlobResponseSchema,
  type UploadBlobOpen,
  type UploadBlobRequest,
  UploadBlobResponseSchema,
} from "../../../gen/mycel/v1/blob_service_pb.ts";
import { type BlobRef, BlobRefSchema } from "../../../gen/mycel/v1/payload_pb.ts";
import { MAX_CONTENT_TYPE_LENGTH } from "../../../lib/core/limits.ts";
import { MeshError } from "../../../lib/core/mesh-error.ts";
import type { BlobInfo, BlobStore } from "../../../lib/nats/blobs.ts";
import { pause } from "../../../lib/time/pause.ts";
import { Violations } from "../../../lib/wire/validation.ts";
import { tenantOf } from "./caller.ts";

/** What the RPCs need. */
export interface BlobRpcParts {
  readonly blobs: BlobStore;
}

const MAX_CHUNK_BYTES = 256 * 1024;
// Clients on Node end the body of a call that they give up, and reset it some two milliseconds later.
const GIVEN_UP_MS = 50;
const DEFAULT_CONTENT_TYPE = "application/octet-stream";

/** Implements BlobService. */
export function blobRpcs({ blobs }: BlobRpcParts): ServiceImpl<typeof BlobService> {
  return {
    async uploadBlob(requests, context) {
      const messages = requests[Symbol.asyncIterator]();
      const open = await openOf(messages);
      const announced = {
        tenant: tenantOf(context),
        contentType: open.contentType === "" ? DEFAULT_CONTENT_TYPE : open.contentType,
        sha256: open.sha256.length === 0 ? undefined : open.sha256,
        sizeBytes: open.sizeBytes === undefined ? undefined : Number(open.sizeBytes),
      };
      const info = await blobs.upload(announced, contentOf(messages, open, context.signal));
      return create(UploadBlobResponseSchema, { blob: blobRef(info) });
    },
    async *downloadBlob({ blobId }, context) {
      const v = new Violations();
      v.taskId("blob_id", blobId);
      v.throwIfAny();
      const tenant = tenantOf(context);
      const blob = blobRef(await blobs.info(tenant, blobId));
      yield create(DownloadBlobResponseSchema, { part: { case: "blob", value: blob } });
      for await (const value of blobs.download(tenant, blobId)) {
        yield create(DownloadBlobResponseSchema, { part: { case: "chunk", value } });
      }
    },
  };
}

async function openOf(messages: AsyncIterator<UploadBlobRequest>): Promise<UploadBlobOpen> {
  const first = await messages.next();
  const v = new Violations();
  if (first.done === true || first.value.part.case !== "open") {
    v.add("open", "is required in the first message");
    throw v.error() ?? new MeshError("INVALID_REQUEST", "open");
  }
  const open = first.value.part.value;
  v.text("open.content_type", open.contentType, MAX_CONTENT_TYPE_LENGTH);
  if (open.sha256.length !== 0 && open.sha256.length !== 32) {
    v.add("open.sha256", `must be 32 bytes, has ${open.sha256.length}`);
  }
  v.blobSize("open.size_bytes", open.sizeBytes);
  v.throwIfAny();
  return open;
}

async function* contentOf(
  messages: AsyncIterator<UploadBlobRequest>,
  open: UploadBlobOpen,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array, void, void> {
  for (;;) {
    const next = await messages.next();
    // A content of unknown size and digest that was cut off first looks like one that ended.
    if (next.done === true && open.sizeBytes === undefined && open.sha256.length === 0) {
      await pause(GIVEN_UP_MS, signal);
    }
    signal.throwIfAborted();
    if (next.done === true) return;
    const { part } = next.value;
    const size = part.case === "chunk" ? part.value.length : 0;
    if (part.case !== "chunk" || size === 0 || size > MAX_CHUNK_BYTES) {
      const v = new Violations();
      v.add("chunk", `must be 1 to ${MAX_CHUNK_BYTES} bytes in every message but the first, has ${size}`);
      throw v.error() ?? new MeshError("INVALID_REQUEST", "chunk");
    }
    yield part.value;
  }
}

function blobRef(info: BlobInfo): BlobRef {
  const { blobId, sha256, sizeBytes, contentType } = info;
  return create(BlobRefSchema, { blobId, sha256, sizeBytes: BigInt(sizeBytes), contentType });
}
