// What the client promises about blobs: whole, and what was stored, whatever happens to connections.
import { expect, test } from "vitest";
import { createClient } from "../../../sdk/client/index.ts";
import { openFakeCoordinator, unavailable } from "../../support/fake-coordinator.ts";

test("an upload is made again when the connection breaks", async () => {
  await using mesh = await openFakeCoordinator();
  await using client = createClient({ url: mesh.url });
  // More often than a fixed handful of tries: an upload lasts as long as any call.
  mesh.failNext("UploadBlob", "cut", ...Array.from({ length: 6 }, () => unavailable()));
  const ref = await client.uploadBlob(Buffer.from("content"), { contentType: "text/plain" });
  expect(ref).toMatchObject({ sizeBytes: 7n, contentType: "text/plain" });
  expect(mesh.count("UploadBlob")).toBe(8);
});

test("a download goes on where it broke off, and begins again if it could not begin", async () => {
  await using mesh = await openFakeCoordinator();
  await using client = createClient({ url: mesh.url });
  const content = Buffer.from(Array.from({ length: 300_000 }, (_, i) => i % 251));
  const ref = await client.uploadBlob(content);
  const breaksAt = new Set([65_536, 262_144]);
  const data = Object.assign(Buffer.from(content), {
    subarray: (from: number, to: number) => {
      if (breaksAt.delete(from)) throw unavailable();
      return content.subarray(from, to);
    },
  });
  mesh.blobs.set(ref.blobId, { ref, data });
  mesh.failNext("DownloadBlob", "cut", unavailable());
  expect(content.equals(await client.downloadBlob(ref).bytes())).toBe(true);
  expect(mesh.count("DownloadBlob")).toBe(5);
});

test("a download is not gone on with for ever", async () => {
  await using mesh = await openFakeCoordinator();
  await using client = createClient({ url: mesh.url, timeoutMs: 300 });
  const ref = await client.uploadBlob(Buffer.from("content"));
  mesh.failNext("DownloadBlob", ...Array.from({ length: 100 }, () => unavailable()));
  await expect(client.downloadBlob(ref).bytes()).rejects.toMatchObject({ code: "unavailable" });
});

test("a download that is not what was stored is refused", async () => {
  await using mesh = await openFakeCoordinator();
  await using client = createClient({ url: mesh.url });
  const ref = await client.uploadBlob([Buffer.from("con"), Buffer.from("tent")]);
  expect(Buffer.from(await client.downloadBlob(ref).bytes()).toString()).toBe("content");
  mesh.blobs.set(ref.blobId, { ref, data: Buffer.from("tampered") });
  await expect(client.downloadBlob(ref).bytes()).rejects.toMatchObject({
    code: "data_loss",
    reason: "CHECKSUM_MISMATCH",
  });
  await expect(client.downloadBlob(ref.blobId).bytes()).rejects.toMatchObject({ reason: "CHECKSUM_MISMATCH" });
});
