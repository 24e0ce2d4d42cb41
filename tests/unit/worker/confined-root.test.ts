// What is opened is judged too: a folder that somebody swaps for a link, after its path was checked, leads nowhere.
import { mkdir, mkdtemp, realpath, rename, rm, symlink, unlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import {
  type AnalysisRefusedError,
  type ConfinedFile,
  openAllowedFile,
  openChecked,
} from "../../../services/worker/confined-root.ts";
import { type FilePlace, placeByName, placeOfFile } from "../../../services/worker/file-place.ts";

const SECRET = "secret";

/** A folder `in/sub` with a file, and the same names outside, with a secret. */
async function aFolder(): Promise<{ readonly inside: string; readonly outside: string }> {
  const folder = await realpath(await mkdtemp(join(tmpdir(), "mycel-confined-")));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const [inside, outside] = [join(folder, "in"), join(folder, "out")];
  for (const [path, text] of [
    [join(inside, "sub/a.txt"), "public"],
    [join(outside, "a.txt"), SECRET],
  ] as const) {
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, text);
  }
  return { inside, outside };
}

async function textOf(file: ConfinedFile): Promise<string> {
  if (file.kind === "unreadable") return file.reason;
  await using handle = file.handle;
  return (await handle.readFile()).toString();
}

async function swap({ inside, outside }: { readonly inside: string; readonly outside: string }): Promise<void> {
  await rename(join(inside, "sub"), join(inside, "aside"));
  await symlink(outside, join(inside, "sub"));
}

async function swapBack(inside: string): Promise<void> {
  await unlink(join(inside, "sub"));
  await rename(join(inside, "aside"), join(inside, "sub"));
}

const refused = (): Error => new Error("refused");

const PLACES: readonly (readonly [string, FilePlace])[] = [
  ["as the system tells it", placeOfFile],
  ["by its name", placeByName],
];

test.for(PLACES)("a file is opened where it was checked, its place found %s", async ([, placeOf]) => {
  const { inside } = await aFolder();
  const file = await openChecked(join(inside, "sub/a.txt"), { folders: [inside], refused, placeOf });
  expect(await textOf(file)).toBe("public");
});

test.for(PLACES)("a folder that became a link after the check is refused, its place found %s", async ([, placeOf]) => {
  const folders = await aFolder();
  const path = join(folders.inside, "sub/a.txt");
  await swap(folders);
  await expect(openChecked(path, { folders: [folders.inside], refused, placeOf })).rejects.toThrow("refused");
});

test("a folder that was a link only while the file was opened does not hide it", async () => {
  const folders = await aFolder();
  const path = join(folders.inside, "sub/a.txt");
  const swappedBack =
    (placeOf: FilePlace): FilePlace =>
    async (handle, opened) => {
      await swapBack(folders.inside);
      return placeOf(handle, opened);
    };
  await swap(folders);
  const byName = openChecked(path, { folders: [folders.inside], refused, placeOf: swappedBack(placeByName) });
  expect(await byName).toEqual({ kind: "unreadable", reason: "ESTALE" });
  await swap(folders);
  const told = openChecked(path, { folders: [folders.inside], refused, placeOf: swappedBack(placeOfFile) });
  // Where the kernel does not tell of descriptors, the name has to do.
  if (process.platform === "linux") await expect(told).rejects.toThrow("refused");
  else expect(await told).toEqual({ kind: "unreadable", reason: "ESTALE" });
});

test("no secret is read while somebody swaps a folder all the time", async () => {
  const folders = await aFolder();
  const path = join(folders.inside, "sub/a.txt");
  let swapping = true;
  const swaps = (async () => {
    while (swapping) {
      await swap(folders);
      await swapBack(folders.inside);
    }
  })();
  const seen = new Set<string>();
  for (let opened = 0; opened < 500; opened += 1) {
    seen.add(await openAllowedFile(path, [folders.inside]).then(textOf, (error: AnalysisRefusedError) => error.code));
  }
  swapping = false;
  await swaps;
  expect([...seen]).not.toContain(SECRET);
  expect(await openAllowedFile(path, [folders.inside]).then(textOf)).toBe("public");
});
