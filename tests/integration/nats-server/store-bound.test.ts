// How much a server of ours may store.
import { mkdtemp, rm, statfs, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { storeBound } from "../../../lib/nats/server/store-bound.ts";

async function openFolder() {
  const path = await mkdtemp(join(tmpdir(), "mycel-bound-"));
  return { path, [Symbol.asyncDispose]: async () => await rm(path, { recursive: true, force: true }) };
}

test("it is half of the space that was free when the folder was new", async () => {
  await using folder = await openFolder();
  const { blocks, bsize } = await statfs(folder.path);
  const bound = await storeBound(join(folder.path, "new"));
  expect(bound).toBeGreaterThan(0);
  expect(bound).toBeLessThanOrEqual((blocks * bsize) / 2);
});

test("it stays the same whatever becomes of the disk, and is chosen anew where its file is broken", async () => {
  await using folder = await openFolder();
  const file = join(folder.path, "max-file-bytes");
  await writeFile(file, "123456789\n");
  expect(await storeBound(folder.path)).toBe(123_456_789);
  await writeFile(file, "garbage");
  const bound = await storeBound(folder.path);
  expect(bound).not.toBe(123_456_789);
  expect(await storeBound(folder.path)).toBe(bound);
});
