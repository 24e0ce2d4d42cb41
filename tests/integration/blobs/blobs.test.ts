// What the blob store and BlobService promise, over a real nats-server and real HTTP/2.
import { createHash, randomBytes } from "node:crypto";
import { setTimeout } from "node:timers/promises";
import { create } from "@bufbuild/protobuf";
import { Code, createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { BlobService, type UploadBlobRequest, UploadBlobRequestSchema } from "../../../gen/mycel/v1/blob_service_pb.ts";
import { MAX_BLOB_BYTES } from "../../../lib/core/limits.ts";
import { BLOB_CHUNK_BYTES, BlobStore } from "../../../lib/nats/blobs.ts";
import { BLOBS_BUCKET } from "../../../lib/wire/subjects.ts";
import { meshErrors } from "../../../services/coordinator/interceptors/mesh-errors.ts";
import { blobRpcs } from "../../../services/coordinator/rpc/blobs.ts";
import { type MeshLog, openMeshLog, TENANT } from "../../support/mesh-log.ts";
import { openRpcServer, type RpcServer } from "../../support/rpc-server.ts";
import { calledBy } from "../../support/principals.ts";

const STREAM = `OBJ_${BLOBS_BUCKET}`;
const PIECE = randomBytes(250_000);

// Content as it comes from a caller: pieces that are never all in memory.
async function* pieces(count: number, piece: Uint8Array = PIECE): AsyncGenerator<Uint8Array> {
  for (let i = 0; i < count; i += 1) yield piece;
}

function sha256Of(count: number, piece: Uint8Array = PIECE): Buffer {
  const hash = createHash("sha256");
  for (let i = 0; i < count; i += 1) hash.update(piece);
  return hash.digest();
}

const announced = { tenant: TENANT, contentType: "text/plain", sha256: undefined, sizeBytes: undefined };

describe("a blob", () => {
  let log: MeshLog;
  let blobs: BlobStore;
  let server: RpcServer;
  beforeAll(async () => {
    log = await openMeshLog();
    blobs = new BlobStore(log);
    server = await openRpcServer({
      router: { interceptors: [calledBy(), meshErrors(() => undefined)] },
      routes: (router) => router.service(BlobService, blobRpcs({ blobs })),
    });
  });
  afterAll(async () => {
    await server[Symbol.asyncDispose]();
    await log[Symbol.asyncDispose]();
  });

  async function storedMessages(): Promise<number> {
    return (await log.manager.streams.info(STREAM)).state.messages;
  }

  test("of 100,000,000 bytes goes in and out whole, without being in memory whole", async () => {
    const count = MAX_BLOB_BYTES / PIECE.length;
    const sha256 = sha256Of(count);
    const before = process.memoryUsage();
    let highest = 0;
    const watch = (): void => {
      const { heapUsed, arrayBuffers } = process.memoryUsage();
      highest = Math.max(highest, heapUsed + arrayBuffers - before.heapUsed - before.arrayBuffers);
    };
    async function* watched(): AsyncGenerator<Uint8Array> {
      for await (const piece of pieces(count)) {
        watch();
        yield piece;
      }
    }
    const info = await blobs.upload({ ...announced, sha256, sizeBytes: MAX_BLOB_BYTES }, watched());
    expect(info).toMatchObject({ sizeBytes: MAX_BLOB_BYTES, contentType: "text/plain" });
    expect(Buffer.compare(info.sha256, sha256)).toBe(0);
    const hash = createHash("sha256");
    for await (const chunk of blobs.download(TENANT, info.blobId)) {
      expect(chunk.length).toBeLessThanOrEqual(BLOB_CHUNK_BYTES);
      hash.update(chunk);
      watch();
    }
    expect(Buffer.compare(hash.digest(), sha256)).toBe(0);
    // Garbage that is not collected yet counts, so the bound is wide; a whole blob would still exceed it.
    expect(highest).toBeLessThan(80_000_000);
  });

  test("may be empty", async () => {
    const { blobId } = await blobs.upload(announced, pieces(0));
    expect(await Array.fromAsync(blobs.download(TENANT, blobId))).toEqual([]);
    expect(await blobs.info(TENANT, blobId)).toMatchObject({ sizeBytes: 0 });
  });

  test("is its tenant's alone", async () => {
    const { blobId } = await blobs.upload(announced, pieces(1));
    await expect(blobs.info("acme", blobId)).rejects.toMatchObject({ reason: "BLOB_NOT_FOUND" });
    await expect(blobs.download("acme", blobId).next()).rejects.toMatchObject({ reason: "BLOB_NOT_FOUND" });
    await expect(blobs.info(TENANT, "nothing")).rejects.toMatchObject({ reason: "BLOB_NOT_FOUND" });
  });

  test.for([
    ["another SHA-256", { sha256: sha256Of(2) }, 1, "CHECKSUM_MISMATCH"],
    ["another size", { sizeBytes: 1 }, 1, "CHECKSUM_MISMATCH"],
    ["a size above the limit", { sizeBytes: MAX_BLOB_BYTES + 1 }, 1, "PAYLOAD_TOO_LARGE"],
    ["no size, but more than the limit", {}, MAX_BLOB_BYTES / PIECE.length + 1, "PAYLOAD_TOO_LARGE"],
  ] as const)("announced with %s is refused, and nothing of it is kept", async ([, wrong, count, reason]) => {
    const before = await storedMessages();
    await expect(blobs.upload({ ...announced, ...wrong }, pieces(count))).rejects.toMatchObject({ reason });
    expect(await storedMessages()).toBe(before);
  });

  test("that was damaged or cut in the store is not given out whole", async () => {
    const { blobId, sizeBytes } = await blobs.upload(announced, pieces(2));
    const { state } = await log.manager.streams.info(STREAM);
    // The last message is the description; the one before it is the last piece.
    await log.manager.streams.deleteMessage(STREAM, state.last_seq - 1);
    let received = 0;
    const download = (async () => {
      for await (const chunk of blobs.download(TENANT, blobId)) received += chunk.length;
    })();
    await expect(download).rejects.toMatchObject({ reason: "BLOB_CORRUPT" });
    expect(received).toBeLessThan(sizeBytes);
  });

  test("whose content changed under its checksum is not given out whole", async () => {
    const { blobId, sizeBytes } = await blobs.upload(announced, pieces(1));
    const description = await log.manager.streams.getMessage(STREAM, {
      last_by_subj: `$O.${BLOBS_BUCKET}.M.${Buffer.from(`${TENANT}.${blobId}`).toString("base64url")}`,
    });
    const { nuid } = description!.json<{ nuid: string }>();
    const subject = `$O.${BLOBS_BUCKET}.C.${nuid}`;
    await log.manager.streams.purge(STREAM, { filter: subject });
    await log.publisher.publish({ subject, body: PIECE.subarray(0, 125_000) });
    await log.publisher.publish({ subject, body: Buffer.alloc(125_000) });
    let received = 0;
    const download = (async () => {
      for await (const chunk of blobs.download(TENANT, blobId)) received += chunk.length;
    })();
    await expect(download).rejects.toMatchObject({ reason: "BLOB_CORRUPT" });
    expect(received).toBeLessThan(sizeBytes);
  });

  describe("over RPC", () => {
    const client = () => createClient(BlobService, createGrpcTransport({ baseUrl: server.url }));
    const open = (fields: { sha256?: Uint8Array; contentType?: string } = {}): UploadBlobRequest =>
      create(UploadBlobRequestSchema, { part: { case: "open", value: fields } });
    const chunk = (value: Uint8Array): UploadBlobRequest =>
      create(UploadBlobRequestSchema, { part: { case: "chunk", value } });

    test("is described first and then given out", async () => {
      const { blob } = await client().uploadBlob(
        (async function* () {
          yield open({ contentType: "image/png", sha256: sha256Of(3) });
          for await (const piece of pieces(3)) yield chunk(piece);
        })(),
      );
      const messages = await Array.fromAsync(client().downloadBlob({ blobId: blob!.blobId }));
      expect(messages[0]!.part).toMatchObject({
        case: "blob",
        value: { contentType: "image/png", sizeBytes: 750_000n },
      });
      const content = messages.slice(1).map(({ part }) => (part.case === "chunk" ? part.value : new Uint8Array()));
      expect(createHash("sha256").update(Buffer.concat(content)).digest()).toEqual(sha256Of(3));
    });

    test("whose upload is cut off leaves nothing", { repeats: 20 }, async () => {
      const before = await storedMessages();
      const caller = new AbortController();
      const upload = client().uploadBlob(
        (async function* () {
          yield open();
          for await (const piece of pieces(8)) yield chunk(piece);
          // Something of it is in the store when the caller vanishes.
          await expect.poll(storedMessages).toBeGreaterThan(before);
          caller.abort();
          // Whoever is cut off doesn't get to close its side.
          await new Promise(() => undefined);
        })(),
        { signal: caller.signal },
      );
      await expect(upload).rejects.toMatchObject({ code: Code.Canceled });
      await expect.poll(storedMessages).toBe(before);
    });

    test("whose source fails leaves nothing", { repeats: 2 }, async () => {
      const before = await storedMessages();
      const upload = client().uploadBlob(
        (async function* () {
          yield open();
          for await (const piece of pieces(8)) yield chunk(piece);
          await expect.poll(storedMessages).toBeGreaterThan(before + 14);
          // On a connection that fell idle, Node sends the end of the body and the reset of the call apart.
          await setTimeout(700);
          throw new Error("the disk broke");
        })(),
      );
      await expect(upload).rejects.toThrow("the disk broke");
      await expect.poll(storedMessages).toBe(before);
    });

    test.for([
      ["no message", []],
      ["no opening", [chunk(PIECE)]],
      ["a short SHA-256", [open({ sha256: new Uint8Array(3) })]],
      ["an empty chunk", [open(), chunk(new Uint8Array())]],
      ["a chunk that is too large", [open(), chunk(new Uint8Array(262_145))]],
      ["two openings", [open(), open()]],
    ] as const)("is refused with %s", async ([, messages]) => {
      const before = await storedMessages();
      const upload = client().uploadBlob(
        (async function* () {
          yield* messages;
        })(),
      );
      await expect(upload).rejects.toMatchObject({ code: Code.InvalidArgument });
      await expect.poll(storedMessages).toBe(before);
    });

    test("that is unknown is not found", async () => {
      const download = Array.fromAsync(client().downloadBlob({ blobId: "nothing" }));
      await expect(download).rejects.toMatchObject({ code: Code.NotFound });
      await expect(Array.fromAsync(client().downloadBlob({ blobId: "a/b" }))).rejects.toMatchObject({
        code: Code.InvalidArgument,
      });
    });
  });
});
