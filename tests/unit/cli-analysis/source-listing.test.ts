// Listing the files to analyse, on real folders.
import { mkdir, mkdtemp, realpath, rm, symlink, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { defaultSources } from "../../../cli/analysis/default-sources.ts";
import { listSourceFiles, SourceRootError } from "../../../cli/analysis/source-listing.ts";

async function aFolder(files: Record<string, string>): Promise<string> {
  const folder = await realpath(await mkdtemp(join(tmpdir(), "mycel-listing-")));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  for (const [path, text] of Object.entries(files)) {
    await mkdir(dirname(join(folder, path)), { recursive: true });
    await writeFile(join(folder, path), text);
  }
  return folder;
}

async function pathsOf(root: string): Promise<string[]> {
  return (await listSourceFiles({ roots: [root] })).files.map(({ path }) => path);
}

test("files come sorted, with their root and size", async () => {
  const root = await aFolder({ "b.ts": "b", "a/z.md": "zz", "a.ts": "", "B.ts": "B" });
  expect(await listSourceFiles({ roots: [root] })).toEqual({
    files: [
      { root, path: "B.ts", bytes: 1 },
      { root, path: "a.ts", bytes: 0 },
      { root, path: "a/z.md", bytes: 2 },
      { root, path: "b.ts", bytes: 1 },
    ],
    leftOut: { binary: 0, huge: 0, unreadable: 0 },
    truncated: false,
  });
});

test("the repository's own folder, data and caches are not entered", async () => {
  const root = await aFolder({ ".git/a": "a", "x/.mycel/a.ts": "a", ".cache/a.ts": "a", ".github/a.yml": "a" });
  expect(await pathsOf(root)).toEqual([".github/a.yml"]);
});

test("binary and huge files are left out and counted", async () => {
  const root = await aFolder({ "a.png": "text", nul: "a\0b", text: "a", "big.ts": "", "max.ts": "", big: "\0" });
  await truncate(join(root, "big.ts"), 2 * 1024 * 1024 + 1);
  await truncate(join(root, "max.ts"), 2 * 1024 * 1024);
  await truncate(join(root, "big"), 2 * 1024 * 1024 + 1);
  const { files, leftOut } = await listSourceFiles({ roots: [root] });
  expect(files.map(({ path }) => path)).toEqual(["max.ts", "text"]);
  expect(leftOut).toEqual({ binary: 3, huge: 1, unreadable: 0 });
});

test("links are not followed", async () => {
  const root = await aFolder({ "in/a.ts": "a", "out/b.ts": "b" });
  await symlink(join(root, "out"), join(root, "in/folder"));
  await symlink(join(root, "out/b.ts"), join(root, "in/b.ts"));
  expect(await pathsOf(join(root, "in"))).toEqual(["a.ts"]);
});

test("what a .gitignore excludes is left out, nested ones decide for their own folder", async () => {
  const root = await aFolder({
    ".gitignore": "node_modules/\n*.log\n/top.ts\n!keep.log\n",
    "node_modules/a/index.js": "a",
    "a.log": "a",
    "keep.log": "a",
    "top.ts": "a",
    "sub/top.ts": "a",
    "sub/a.log": "a",
    "sub/.gitignore": "!a.log\nlocal.ts\n",
    "sub/local.ts": "a",
    "sub/deep/local.ts": "a",
    "other/local.ts": "a",
    "other/node_modules/b.js": "a",
  });
  expect(await pathsOf(root)).toEqual([
    ".gitignore",
    "keep.log",
    "other/local.ts",
    "sub/.gitignore",
    "sub/a.log",
    "sub/top.ts",
  ]);
});

test("roots within the base are told relative to it, others for themselves, each once", async () => {
  const root = await aFolder({ "base/.gitignore": "lib", "base/a.ts": "a", "base/lib/b.ts": "b", "else/c.ts": "c" });
  const base = join(root, "base");
  const roots = [base, join(base, "lib"), join(root, "else"), `${base}/`];
  const { files } = await listSourceFiles({ roots, base });
  expect(files.map((file) => [file.root, file.path])).toEqual([
    [base, ".gitignore"],
    [base, "a.ts"],
    [base, "lib/b.ts"],
    [join(root, "else"), "c.ts"],
  ]);
});

test("a limit cuts the list and says so", async () => {
  const root = await aFolder({ "a/1.ts": "", "b/2.ts": "", "c/3.ts": "" });
  expect(await listSourceFiles({ roots: [root], limit: 3 })).toMatchObject({ truncated: false });
  const cut = await listSourceFiles({ roots: [root], limit: 2 });
  expect(cut).toMatchObject({ truncated: true, files: [{ path: "a/1.ts" }, { path: "b/2.ts" }] });
  await expect(listSourceFiles({ roots: [root], limit: 0 })).rejects.toThrow("limit must be a whole number from 1");
});

test("a root that is missing or no folder is one clear line", async () => {
  const root = await aFolder({ "a.ts": "" });
  const gone = join(root, "gone");
  await expect(listSourceFiles({ roots: [gone] })).rejects.toThrow(new SourceRootError(`there is no folder ${gone}`));
  const file = join(root, "a.ts");
  await expect(listSourceFiles({ roots: [file] })).rejects.toThrow(new SourceRootError(`${file} is not a folder`));
});

test("the default job is over 1,000 files of this project and its installed packages, all below one root", async () => {
  const project = resolve(import.meta.dirname, "../../..");
  const { files, truncated } = await listSourceFiles(await defaultSources(project));
  const paths = files.map(({ path }) => path);
  expect(paths.length).toBeGreaterThan(1_000);
  expect(truncated).toBe(false);
  expect(new Set(files.map(({ root }) => root)).size).toBe(1);
  expect(paths).toContain("cli/analysis/default-sources.ts");
  expect(paths).toContain("node_modules/typescript/package.json");
  expect(paths.some((path) => path.startsWith("node_modules/@nats-io/jetstream/"))).toBe(true);
  expect(paths.some((path) => path.startsWith("node_modules/vitest/"))).toBe(false);
  expect(new Set(paths).size).toBe(paths.length);
});

test("the default job of a project without packages is the project alone", async () => {
  const root = await aFolder({ "a.ts": "" });
  expect(await defaultSources(root)).toEqual({ base: root, roots: [root] });
});
