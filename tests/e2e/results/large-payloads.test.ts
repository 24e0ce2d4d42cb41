// Inputs, results and outputs too large to travel inline go by blob, without the caller or the handler noticing.

import { expect, test } from "vitest";
import { createClient } from "../../../sdk/client/index.ts";
import { openMesh } from "../../support/processes.ts";

test("a large input and a large result travel as blobs", async () => {
  await using mesh = await openMesh();
  await mesh.startAgent("echoing");
  await using client = createClient({ url: mesh.urls[0]! });
  const text = "mycel ".repeat(100_000);

  const { taskId } = await client.submit("reverse", { text });
  const result = await client.result<string>(taskId);

  expect(result).toBe(Array.from(text).toReversed().join(""));
  const task = await client.get(taskId);
  expect([task.input?.kind.case, task.result?.kind.case]).toEqual(["blob", "blob"]);
});

test("ten megabytes come back as they went in, and damage is noticed by their checksum", async () => {
  await using mesh = await openMesh();
  await using client = createClient({ url: mesh.urls[0]! });
  const bytes = new Uint8Array(10_000_000).map((_, i) => i % 251);
  const blob = await client.uploadBlob(bytes, { contentType: "application/x-test" });
  const parts: Uint8Array[] = [];
  for await (const part of client.downloadBlob(blob)) parts.push(part);
  expect(Buffer.compare(Buffer.concat(parts), bytes)).toBe(0);

  const wrong = { ...blob, sha256: new Uint8Array(32) };
  await expect(
    (async () => {
      for await (const _ of client.downloadBlob(wrong));
    })(),
  ).rejects.toMatchObject({ code: "data_loss" });
});
