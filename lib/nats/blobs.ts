// Blobs in JetStream's object store: streamed in and out in small pieces, checked against their SHA-256 and size both ways.
//
// nats.js' object store writes well (a piece at a time, everything removed on failure). Its reader pushes a whole object into
// memory however slowly it is consumed, so content is read by direct gets here.

import { createHash, randomBytes } from "node:crypto";
import type { NatsConnection } from "@nats-io/nats-core";
import { type ObjectInfo, type ObjectStore, Objm } from "@nats-io/obj";
import { MAX_BLOB_BYTES } from "../core/limits.ts";
import { MeshError } from "../core/mesh-error.ts";
import { BLOBS_BUCKET } from "../wire/subjects.ts";
import type { DirectReader } from "./direct-reader.ts";
import { brokerUnavailable } from "./broker-errors.ts";

/** What is known of a blob. */
export interface BlobInfo {
  /** Names the blob within its tenant. */
  readonly blobId: string;
  readonly sha256: Uint8Array;
  readonly sizeBytes: number;
  readonly contentType: string;
}

/** What an upload announces. */
export interface BlobAnnouncement {
  readonly tenant: string;
  readonly contentType: string;
  /** The SHA-256 of the content, 32 bytes; not checked if undefined. */
  readonly sha256: Uint8Array | undefined;
  /** The size of the content in bytes; not checked if undefined. */
  readonly sizeBytes: number | undefined;
}

/** The largest piece of content that is stored and read, in bytes. */
export const BLOB_CHUNK_BYTES: number = 128 * 1024;

/** How many pieces one read brings: what a download holds at once. */
const READ_AHEAD = 4;

const STREAM = `OBJ_${BLOBS_BUCKET}`;
const SHA256 = "sha256";
const BLOB_ID_BYTES = 16;

/** Stores and reads blobs. Every method throws MeshError BROKER_UNAVAILABLE when the broker does not answer. */
export class BlobStore {
  readonly #connection: NatsConnection;
  readonly #reader: DirectReader;
  #store: Promise<ObjectStore> | undefined;

  constructor(parts: { readonly connection: NatsConnection; readonly reader: DirectReader }) {
    this.#connection = parts.connection;
    this.#reader = parts.reader;
  }

  /**
   * Stores a blob. Nothing is kept if it throws, or if `content` does. Throws MeshError CHECKSUM_MISMATCH, PAYLOAD_TOO_LARGE,
   * STORAGE_FULL.
   */
  async upload(blob: BlobAnnouncement, content: AsyncIterable<Uint8Array>): Promise<BlobInfo> {
    if ((blob.sizeBytes ?? 0) > MAX_BLOB_BYTES) throw tooLarge();
    const store = await this.#open();
    // Not to be guessed: whoever may read blobs at all reads each whose id it was told.
    const blobId = randomBytes(BLOB_ID_BYTES).toString("base64url");
    const check = new ContentCheck(blob);
    const metadata = { content_type: blob.contentType };
    const name = objectName(blob.tenant, blobId);
    const options = { max_chunk_size: BLOB_CHUNK_BYTES };
    try {
      const info = await store.put({ name, metadata, options }, ReadableStream.from(check.pass(content)));
      return { blobId, sha256: check.digest(), sizeBytes: info.size, contentType: blob.contentType };
    } catch (error) {
      throw check.failure ?? storeError(error);
    }
  }

  /** What is known of a blob. Throws MeshError BLOB_NOT_FOUND, BLOB_CORRUPT. */
  async info(tenant: string, blobId: string): Promise<BlobInfo> {
    return blobInfo(blobId, await this.#find(tenant, blobId));
  }

  /** The content of a blob, in pieces of at most 128 KiB. Throws MeshError BLOB_NOT_FOUND, BLOB_CORRUPT. */
  async *download(tenant: string, blobId: string): AsyncGenerator<Uint8Array, void, void> {
    const found = await this.#find(tenant, blobId);
    const { sha256 } = blobInfo(blobId, found);
    const subject = `$O.${BLOBS_BUCKET}.C.${found.nuid}`;
    const hash = createHash(SHA256);
    let [after, left] = [0, found.size];
    // The last piece is held back until the whole is known to be right: who has got all of it can trust it.
    let held: Uint8Array | undefined;
    while (left > 0) {
      const pieces = await this.#reader.read(STREAM, { seq: after + 1, next_by_subj: subject, batch: READ_AHEAD });
      if (pieces.length === 0) throw corrupt(blobId);
      for (const { body, sequence } of pieces) {
        hash.update(body);
        after = sequence;
        left -= body.length;
        if (held !== undefined) yield held;
        held = body;
      }
    }
    if (left !== 0 || Buffer.compare(hash.digest(), sha256) !== 0) throw corrupt(blobId);
    if (held !== undefined) yield held;
  }

  async #find(tenant: string, blobId: string): Promise<ObjectInfo> {
    const store = await this.#open();
    const found = await store.info(objectName(tenant, blobId)).catch((error: unknown) => {
      if (isNoMessage(error)) return null;
      if (error instanceof SyntaxError) throw corrupt(blobId);
      throw brokerUnavailable(error);
    });
    if (found === null || found.deleted) {
      throw new MeshError("BLOB_NOT_FOUND", `no blob ${JSON.stringify(blobId)}`, {
        resource: { type: "mycel.v1.Blob", name: blobId },
      });
    }
    return found;
  }

  async #open(): Promise<ObjectStore> {
    this.#store ??= new Objm(this.#connection).open(BLOBS_BUCKET, false);
    try {
      return await this.#store;
    } catch (error) {
      // The next call tries anew.
      this.#store = undefined;
      throw brokerUnavailable(error);
    }
  }
}

/** Watches content go by. The object is only stored once all of it has passed. */
class ContentCheck {
  readonly #blob: BlobAnnouncement;
  readonly #hash = createHash(SHA256);
  #size = 0;
  #digest: Uint8Array = new Uint8Array();
  /** Why the content was refused, or what its source threw. */
  failure: unknown;

  constructor(blob: BlobAnnouncement) {
    this.#blob = blob;
  }

  async *pass(content: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, void> {
    try {
      for await (const piece of content) {
        this.#size += piece.length;
        if (this.#size > MAX_BLOB_BYTES) throw tooLarge();
        this.#hash.update(piece);
        yield piece;
      }
      this.#digest = this.#hash.digest();
      const { sha256, sizeBytes } = this.#blob;
      if (sizeBytes !== undefined && sizeBytes !== this.#size) {
        throw mismatch(`the content has ${this.#size} bytes, announced were ${sizeBytes}`);
      }
      if (sha256 !== undefined && Buffer.compare(sha256, this.#digest) !== 0) {
        throw mismatch("the content does not have the announced SHA-256");
      }
    } catch (error) {
      this.failure = error;
      throw error;
    }
  }

  digest(): Uint8Array {
    return this.#digest;
  }
}

/** Tenants and ids have no dots, so no tenant can name another's blob. */
function objectName(tenant: string, blobId: string): string {
  return `${tenant}.${blobId}`;
}

function blobInfo(blobId: string, info: ObjectInfo): BlobInfo {
  // Typed as there, but read from what stands in the bucket.
  const digest: string | undefined = info.digest;
  const sha256 = /^SHA-256=(.+)$/.exec(digest ?? "")?.[1];
  if (sha256 === undefined || !Number.isSafeInteger(info.size) || info.size < 0) throw corrupt(blobId);
  const contentType = info.metadata?.["content_type"] ?? "application/octet-stream";
  return { blobId, sha256: Buffer.from(sha256, "base64url"), sizeBytes: info.size, contentType };
}

function isNoMessage(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === 10037;
}

function storeError(error: unknown): unknown {
  const code = error instanceof Error && "code" in error ? error.code : 0;
  if (code === 10077 || code === 10047) {
    return new MeshError("STORAGE_FULL", "the blob store is full", { retryDelayMs: 10_000, cause: error });
  }
  return brokerUnavailable(error);
}

function tooLarge(): MeshError {
  return new MeshError("PAYLOAD_TOO_LARGE", `a blob may have at most ${MAX_BLOB_BYTES} bytes`);
}

function mismatch(message: string): MeshError {
  return new MeshError("CHECKSUM_MISMATCH", message);
}

function corrupt(blobId: string): MeshError {
  return new MeshError("BLOB_CORRUPT", `blob ${JSON.stringify(blobId)} is not what was stored`);
}
