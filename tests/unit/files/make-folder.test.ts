import { mkdtemp, rm, stat, writeFile } from "node:fs/promises";
import { existsSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { makeFolder } from "../../../lib/files/make-folder.ts";

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "mycel-folder-"));
});
afterAll(() => rm(dir, { recursive: true }));

test("makes a folder with those above it, all with the same rights", async () => {
  await makeFolder(join(dir, "a/b/c"), { mode: 0o700 });
  for (const made of ["a", "a/b", "a/b/c"]) expect((await stat(join(dir, made))).mode & 0o777).toBe(0o700);
});

test("leaves a folder that is there as it is, however many make it at once", async () => {
  const path = join(dir, "x/y");
  await Promise.all(Array.from({ length: 20 }, () => makeFolder(path, { mode: 0o755 })));
  await makeFolder(path, { mode: 0o700 });
  expect((await stat(path)).mode & 0o777).toBe(0o755);
});

test("says so where a file is in the way", async () => {
  const file = join(dir, "file");
  await writeFile(file, "");
  await expect(makeFolder(file)).rejects.toThrow(/EEXIST/);
  await expect(makeFolder(join(file, "below"))).rejects.toThrow(/ENOTDIR/);
});

test.skipIf(!existsSync("/proc/self"))("ends below a folder that takes none", async () => {
  await expect(makeFolder("/proc/nowhere/at/all")).rejects.toThrow(/ENOENT|EACCES|EPERM/);
});
