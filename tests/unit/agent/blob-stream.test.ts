// Reading a blob piece by piece: whole and once, whatever breaks on the way, and never taken for something else.
import { randomBytes } from "node:crypto";
import { Code, ConnectError, createClient, createRouterTransport } from "@connectrpc/connect";
import { expect, test } from "vitest";
import { BlobService } from "../../../gen/mycel/v1/blob_service_pb.ts";
import { type Blobs, createBlobs } from "../../../sdk/agent/blobs.ts";
import { type FakeBlobs, sendBlob, storeBlob } from "../../support/fake-blobs.ts";

/** A blob store whose downloads break after so many messages each; those beyond the list do not. */
function storeOf(blobs: FakeBlobs, breaksAfter: number[] = []): { readonly store: Blobs; readonly left: string[] } {
  const left: string[] = [];
  const transport = createRouterTransport((router) => {
    router.service(BlobService, {
      async *downloadBlob({ blobId }) {
        let messages = breaksAfter.shift() ?? Number.POSITIVE_INFINITY;
        for await (const message of sendBlob(blobs, blobId)) {
          if (messages === 0) throw new ConnectError("the coordinator is gone", Code.Unavailable);
          messages -= 1;
          yield message;
        }
      },
    });
  });
  const client = createClient(BlobService, transport);
  return { store: createBlobs({ url: "here", blobs: () => client, leave: (url) => void left.push(url) }), left };
}

test("a blob says what it is before it is read, and is read whole", async () => {
  const blobs: FakeBlobs = new Map();
  const data = randomBytes(200_000);
  const ref = storeBlob(blobs, data, "image/png");
  const { store } = storeOf(blobs);
  const stream = await store.open(ref.blobId);
  expect(stream.blob).toMatchObject({ contentType: "image/png", sizeBytes: 200_000n });
  expect(Buffer.concat(await Array.fromAsync(stream)).equals(data)).toBe(true);
});

test("after a break it goes on where it was, at another coordinator", async () => {
  const blobs: FakeBlobs = new Map();
  const data = randomBytes(300_000);
  const { blobId } = storeBlob(blobs, data, "");
  const { store, left } = storeOf(blobs, [0, 3, 1, 4]);
  const pieces = await Array.fromAsync(await store.open(blobId));
  expect(Buffer.concat(pieces).equals(data)).toBe(true);
  expect(left).toHaveLength(4);
});

test("content without the SHA-256 of its reference is told at its end", async () => {
  const blobs: FakeBlobs = new Map();
  const ref = storeBlob(blobs, randomBytes(10), "");
  blobs.set(ref.blobId, { ref, data: randomBytes(10) });
  const stream = await storeOf(blobs).store.open(ref.blobId);
  await expect(Array.fromAsync(stream)).rejects.toMatchObject({
    code: "BLOB_UNAVAILABLE",
    message: `cannot read blob ${ref.blobId}: the content does not have the SHA-256 of its reference`,
  });
});

test("a blob that is not there is told at once", async () => {
  await expect(storeOf(new Map()).store.open("nothing")).rejects.toMatchObject({
    code: "BLOB_UNAVAILABLE",
    cause: expect.objectContaining({ code: Code.NotFound }),
  });
});
