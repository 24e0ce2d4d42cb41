// The blob store for handlers that run in this process: they read from the mesh, and store nothing, since what they give stays here.
import type { BlobRef } from "../../../gen/mycel/v1/payload_pb.ts";
import { AgentError } from "../../agent/index.ts";
import type { Blobs } from "../../agent/blobs.ts";
import type { MycelClient } from "../../client/index.ts";
import { toMycelError } from "../../client/mycel-error.ts";

/** Reads blobs by a client. */
export function meshBlobs(client: Pick<MycelClient, "downloadBlob" | "blobs">): Blobs {
  return {
    upload: () => Promise.reject(new AgentError("BLOB_UNAVAILABLE", "what runs in this process stores nothing")),
    async download(ref, signal) {
      try {
        return await client.downloadBlob(ref, optional(signal)).bytes();
      } catch (error) {
        throw unavailable(ref.blobId, error);
      }
    },
    async open(blobId, signal) {
      try {
        const blob = await referenceOf(client, blobId, signal);
        return { blob, [Symbol.asyncIterator]: () => pieces(client, blob, signal) };
      } catch (error) {
        throw unavailable(blobId, error);
      }
    },
  };
}

/** What the mesh knows of a blob: the first message of a download. */
async function referenceOf(
  client: Pick<MycelClient, "blobs">,
  blobId: string,
  signal: AbortSignal | undefined,
): Promise<BlobRef> {
  const left = new AbortController();
  const ended = signal === undefined ? left.signal : AbortSignal.any([left.signal, signal]);
  try {
    for await (const { part } of client.blobs.downloadBlob({ blobId }, { signal: ended })) {
      if (part.case === "blob") return part.value;
    }
  } finally {
    left.abort();
  }
  throw new Error("the answer names no blob");
}

async function* pieces(
  client: Pick<MycelClient, "downloadBlob">,
  blob: BlobRef,
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array> {
  try {
    yield* client.downloadBlob(blob, optional(signal));
  } catch (error) {
    throw unavailable(blob.blobId, error);
  }
}

function optional(signal: AbortSignal | undefined): { readonly signal?: AbortSignal } {
  return signal === undefined ? {} : { signal };
}

function unavailable(blobId: string, error: unknown): AgentError {
  return new AgentError("BLOB_UNAVAILABLE", `cannot read blob ${blobId}: ${toMycelError(error).message}`, {
    cause: error,
  });
}
