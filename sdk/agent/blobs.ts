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

/** A blob whose content is on its way. Iterate it, once, or abort the attempt: until then its download is open. */
export interface BlobStream extends AsyncIterable<Uint8Array> {
  /** The reference, as the mesh has it. */
  readonly blob: BlobRef;
}

/** The blob store as handlers see it. */
export interface Blobs {
  /** Stores content and returns a payload that refers to it. Throws {@link AgentError} BLOB_UNAVAILABLE. */
  upload(content: BlobContent, signal?: AbortSignal): Promise<Payload>;
  /** Reads content and checks its SHA-256. Throws {@link AgentError} BLOB_UNAVAILABLE. */
  download(ref: BlobRef, signal?: AbortSignal): Promise<Uint8Array>;
  /**
   * Opens content for reading piece by piece, over as many connections as it takes. Its SHA-256 is checked at its end. Throws
   * {@link AgentError} BLOB_UNAVAILABLE, also while it is read.
   */
  open(blobId: string, signal?: AbortSignal): Promise<BlobStream>;
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
    async open(blobId, signal) {
      const parts = partsWithErrors(coordinators, blobId, signal);
      const first = await parts.next();
      if (first.done === true || first.value instanceof Uint8Array) {
        throw new AgentError("BLOB_UNAVAILABLE", `cannot read blob ${blobId}: the answer does not say what it is`);
      }
      return { blob: first.value, [Symbol.asyncIterator]: () => chunksOf(parts) };
    },
  };
}

async function* chunksOf(parts: AsyncGenerator<BlobRef | Uint8Array>): AsyncGenerator<Uint8Array> {
  for await (const part of parts) if (part instanceof Uint8Array) yield part;
}

async function* partsWithErrors(
  coordinators: Pick<Coordinators, "url" | "blobs" | "leave">,
  blobId: string,
  signal: AbortSignal | undefined,
): AsyncGenerator<BlobRef | Uint8Array> {
  try {
    yield* streamed(coordinators, blobId, signal);
  } catch (error) {
    throw new AgentError("BLOB_UNAVAILABLE", `cannot read blob ${blobId}: ${lineOf(error)}`, { cause: error });
  }
}

/** The reference, then the content: after a break from where it was, because the store sends a blob from its start. */
async function* streamed(
  coordinators: Pick<Coordinators, "url" | "blobs" | "leave">,
  blobId: string,
  signal: AbortSignal | undefined,
): AsyncGenerator<BlobRef | Uint8Array> {
  const hash = createHash("sha256");
  let ref: BlobRef | undefined;
  let given = 0;
  for (let tries = 1; ; tries += 1) {
    const { url } = coordinators;
    let passed = 0;
    try {
      for await (const { part } of coordinators.blobs().downloadBlob({ blobId }, callOptions(signal))) {
        if (part.case === "blob" && ref === undefined) yield (ref = part.value);
        if (part.case !== "chunk") continue;
        const fresh = part.value.subarray(Math.max(0, given - passed));
        passed += part.value.length;
        if (fresh.length === 0) continue;
        given += fresh.length;
        // What has moved on may break as often again.
        tries = 1;
        hash.update(fresh);
        yield fresh;
      }
      break;
    } catch (error) {
      await beforeAnother(coordinators, url, error, tries, signal);
    }
  }
  if (ref !== undefined && !hash.digest().equals(ref.sha256)) {
    throw new Error("the content does not have the SHA-256 of its reference");
  }
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
      await beforeAnother(coordinators, url, error, tries, signal);
    }
  }
}

/** Throws the error where another try does not make sense; otherwise turns to the next coordinator and waits. */
async function beforeAnother(
  coordinators: Pick<Coordinators, "leave">,
  url: string,
  error: unknown,
  tries: number,
  signal: AbortSignal | undefined,
): Promise<void> {
  const worthwhile = error instanceof ConnectError && !isFinal(error) && signal?.aborted !== true;
  if (!worthwhile || tries === MAX_TRIES) throw error;
  coordinators.leave(url);
  await pause(FIRST_BACKOFF_MS * 2 ** (tries - 1) * (0.5 + Math.random() / 2), signal);
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
