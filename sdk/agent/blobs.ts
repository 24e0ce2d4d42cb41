// Owns the agent's way to the blob store: uploads what is too large to travel inline, downloads what a task refers to, checks both.
import { createHash } from "node:crypto";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { type Client, ConnectError } from "@connectrpc/connect";
import { type BlobService, UploadBlobRequestSchema } from "../../gen/mycel/v1/blob_service_pb.ts";
import { type BlobRef, type Payload, PayloadSchema } from "../../gen/mycel/v1/payload_pb.ts";
import { MAX_BLOB_BYTES } from "../../lib/core/limits.ts";
import { pause } from "../../lib/time/pause.ts";
import { AgentError, lineOf } from "./agent-error.ts";
import { type Coordinators, isFinal } from "./coordinators.ts";
import type { BlobContent } from "./payload.ts";

/** The blob store as handlers see it. */
export interface Blobs {
  /** Stores content and returns a payload that refers to it. Throws {@link AgentError} BLOB_UNAVAILABLE. */
  upload(content: BlobContent, signal?: AbortSignal): Promise<Payload>;
  /** Reads content and checks its SHA-256. Throws {@link AgentError} BLOB_UNAVAILABLE. */
  download(ref: BlobRef, signal?: AbortSignal): Promise<Uint8Array>;
}

const CHUNK_BYTES = 128 * 1024;
// With the pauses between them: as long as a coordinator needs to come back.
const MAX_TRIES = 6;
const FIRST_BACKOFF_MS = 100;

/** Makes the blob store of an agent. A coordinator that does not answer is left for the next, and asked again when its turn comes. */
export function createBlobs(coordinators: Pick<Coordinators, "url" | "blobs" | "leave">): Blobs {
  return {
    async upload(content, signal) {
      if (content.data.length > MAX_BLOB_BYTES) {
        const size = `${content.data.length} bytes, at most ${MAX_BLOB_BYTES} are allowed`;
        throw new AgentError("BLOB_UNAVAILABLE", `the content has ${size}`);
      }
      try {
        const { blob } = await patiently(coordinators, signal, (client) =>
          client.uploadBlob(partsOf(content), callOptions(signal)),
        );
        if (blob === undefined) throw new Error("the answer names no blob");
        return create(PayloadSchema, { kind: { case: "blob", value: blob } });
      } catch (error) {
        throw new AgentError("BLOB_UNAVAILABLE", `cannot upload ${content.data.length} bytes: ${lineOf(error)}`, {
          cause: error,
        });
      }
    },
    async download(ref, signal) {
      try {
        return await patiently(coordinators, signal, (client) => downloaded(client, ref, signal));
      } catch (error) {
        throw new AgentError("BLOB_UNAVAILABLE", `cannot read blob ${ref.blobId}: ${lineOf(error)}`, { cause: error });
      }
    },
  };
}

async function patiently<T>(
  coordinators: Pick<Coordinators, "url" | "blobs" | "leave">,
  signal: AbortSignal | undefined,
  call: (client: Client<typeof BlobService>) => Promise<T>,
): Promise<T> {
  for (let tries = 1; ; tries += 1) {
    const { url } = coordinators;
    try {
      return await call(coordinators.blobs());
    } catch (error) {
      const worthwhile = error instanceof ConnectError && !isFinal(error) && signal?.aborted !== true;
      if (!worthwhile || tries === MAX_TRIES) throw error;
      coordinators.leave(url);
      await pause(FIRST_BACKOFF_MS * 2 ** (tries - 1) * (0.5 + Math.random() / 2), signal);
    }
  }
}

async function downloaded(
  client: Client<typeof BlobService>,
  ref: BlobRef,
  signal: AbortSignal | undefined,
): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  const hash = createHash("sha256");
  for await (const { part } of client.downloadBlob({ blobId: ref.blobId }, callOptions(signal))) {
    if (part.case !== "chunk") continue;
    chunks.push(part.value);
    hash.update(part.value);
  }
  if (!hash.digest().equals(ref.sha256)) throw new Error("the content does not have the SHA-256 of its reference");
  return Buffer.concat(chunks);
}

function callOptions(signal: AbortSignal | undefined): { signal?: AbortSignal } {
  return signal === undefined ? {} : { signal };
}

async function* partsOf(content: BlobContent): AsyncGenerator<MessageInitShape<typeof UploadBlobRequestSchema>> {
  const { data, contentType } = content;
  const sha256 = createHash("sha256").update(data).digest();
  yield { part: { case: "open", value: { contentType, sha256, sizeBytes: BigInt(data.length) } } };
  for (let at = 0; at < data.length; at += CHUNK_BYTES) {
    yield { part: { case: "chunk", value: data.subarray(at, at + CHUNK_BYTES) } };
  }
}
