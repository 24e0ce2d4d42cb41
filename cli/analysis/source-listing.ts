// Finds the files that are worth analysing below some folders: text, not huge, not excluded by a .gitignore. Reads
// names, sizes and, where a name says nothing, the first bytes; follows no link.
import type { Dirent } from "node:fs";
import { open, readdir, readFile, realpath, stat } from "node:fs/promises";
import { basename, join, relative, sep } from "node:path";
import ignore, { type Ignore } from "ignore";
import { isText } from "istextorbinary";

/** Folders that are never entered: the repository's own, and the mesh's data and caches. */
const CLOSED_FOLDERS: ReadonlySet<string> = new Set([".git", ".mycel", ".cache"]);
/** Larger files are left out: the analyser would only count their lines. */
const MAX_FILE_BYTES = 2 * 1024 * 1024;
/** A NUL this near to the start makes a file binary, as for git. */
const PROBE_BYTES = 8_000;
/** 20,000 files are 800 tasks of 25: below the 1,000 that one bulk call takes. */
const DEFAULT_LIMIT = 20_000;

/** Which folders to list. */
export interface SourceListingOptions {
  /** Folders, absolute or relative to the working directory; each must exist. A folder named twice counts once. */
  readonly roots: readonly string[];
  /** Folder that paths are told relative to, for all roots that lie in it; other roots stand for themselves. */
  readonly base?: string | undefined;
  /** Most files to list, at least 1; default 20,000. */
  readonly limit?: number | undefined;
}

/** One file to analyse. */
export interface SourceFile {
  /** Absolute folder, links resolved. */
  readonly root: string;
  /** Path relative to `root`, with forward slashes. */
  readonly path: string;
  readonly bytes: number;
}

/** What was found. */
export interface SourceListing {
  /** Sorted by root, then by path, by code units. */
  readonly files: readonly SourceFile[];
  /** Files that were seen and left out, by reason; those that a .gitignore excludes were not looked at. */
  readonly leftOut: { readonly binary: number; readonly huge: number; readonly unreadable: number };
  /** Whether the limit was reached, so that there may be more. */
  readonly truncated: boolean;
}

/** A root cannot be listed; the message is one line for the user. */
export class SourceRootError extends Error {
  override readonly name = "SourceRootError";
  readonly code = "SOURCE_ROOT";
}

/** Lists the source files of some folders. Throws SourceRootError for a root that is no readable folder. */
export async function listSourceFiles(options: SourceListingOptions): Promise<SourceListing> {
  const { roots, base, limit = DEFAULT_LIMIT } = options;
  if (!Number.isInteger(limit) || limit < 1) throw new RangeError(`limit must be a whole number from 1, is ${limit}`);
  const walk: Walk = { limit, files: [], leftOut: { binary: 0, huge: 0, unreadable: 0 }, truncated: false };
  const baseFolder = base === undefined ? undefined : await resolveFolder(base);
  const folders = new Set(await Promise.all(roots.map((root) => resolveFolder(root))));
  for (const folder of folders) {
    const inBase = baseFolder !== undefined && (folder === baseFolder || folder.startsWith(baseFolder + sep));
    await listFolder(walk, { root: inBase ? baseFolder : folder, folder, rules: [] });
  }
  walk.files.sort((a, b) => compareText(a.root, b.root) || compareText(a.path, b.path));
  return { files: walk.files, leftOut: walk.leftOut, truncated: walk.truncated };
}

interface Walk {
  readonly limit: number;
  readonly files: SourceFile[];
  readonly leftOut: { binary: number; huge: number; unreadable: number };
  truncated: boolean;
}

/** The patterns of one .gitignore and the folder that they are relative to. */
interface IgnoreRule {
  readonly folder: string;
  readonly patterns: Ignore;
}

interface Place {
  readonly root: string;
  readonly folder: string;
  /** From the listed root inwards: the innermost file that says anything about a path decides. */
  readonly rules: readonly IgnoreRule[];
}

async function listFolder(walk: Walk, place: Place): Promise<void> {
  const { root, folder } = place;
  const entries = await readFolder(folder);
  if (entries === undefined) {
    walk.leftOut.unreadable += 1;
    return;
  }
  const rules = entries.some((entry) => entry.name === ".gitignore" && entry.isFile())
    ? [...place.rules, await readRule(folder)]
    : place.rules;
  const kept = entries
    .filter((entry) => (entry.isFile() || entry.isDirectory()) && !isExcluded(rules, folder, entry))
    .sort((a, b) => compareText(a.name, b.name));
  const files = kept.filter((entry) => entry.isFile()).map((entry) => join(folder, entry.name));
  // All at once: the wait is the file system's, and a folder holds hundreds of files at most in practice.
  const looks = await Promise.all(files.map((file) => lookAt(file)));
  for (const [index, file] of files.entries()) {
    const look = looks[index];
    if (look === undefined) continue;
    if (look.kind !== "text") walk.leftOut[look.kind] += 1;
    else if (walk.files.length < walk.limit) {
      walk.files.push({ root, path: relative(root, file).replaceAll(sep, "/"), bytes: look.bytes });
    } else walk.truncated = true;
  }
  for (const entry of kept) {
    if (walk.truncated) return;
    if (entry.isDirectory() && !CLOSED_FOLDERS.has(entry.name)) {
      await listFolder(walk, { root, folder: join(folder, entry.name), rules });
    }
  }
}

type Look = { readonly kind: "text"; readonly bytes: number } | { readonly kind: "binary" | "huge" | "unreadable" };

async function lookAt(file: string): Promise<Look> {
  try {
    const bytes = (await stat(file)).size;
    const byName = isText(basename(file));
    if (byName === false || (byName === null && (await startsBinary(file)))) return { kind: "binary" };
    return bytes > MAX_FILE_BYTES ? { kind: "huge" } : { kind: "text", bytes };
  } catch {
    return { kind: "unreadable" };
  }
}

async function startsBinary(file: string): Promise<boolean> {
  await using handle = await open(file, "r");
  const { buffer, bytesRead } = await handle.read(Buffer.alloc(PROBE_BYTES), 0, PROBE_BYTES, 0);
  return buffer.subarray(0, bytesRead).includes(0);
}

async function readFolder(folder: string): Promise<Dirent[] | undefined> {
  try {
    return await readdir(folder, { withFileTypes: true });
  } catch {
    return undefined;
  }
}

async function readRule(folder: string): Promise<IgnoreRule> {
  const text = await readFile(join(folder, ".gitignore"), "utf8").catch(() => "");
  return { folder, patterns: ignore().add(text) };
}

function isExcluded(rules: readonly IgnoreRule[], folder: string, entry: Dirent): boolean {
  for (const rule of rules.toReversed()) {
    const path = relative(rule.folder, join(folder, entry.name)).replaceAll(sep, "/");
    const verdict = rule.patterns.test(entry.isDirectory() ? `${path}/` : path);
    if (verdict.ignored) return true;
    if (verdict.unignored) return false;
  }
  return false;
}

async function resolveFolder(path: string): Promise<string> {
  try {
    const folder = await realpath(path);
    if ((await stat(folder)).isDirectory()) return folder;
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : undefined;
    throw new SourceRootError(
      code === "ENOENT" ? `there is no folder ${path}` : `folder ${path} cannot be read (${String(code)})`,
      { cause: error },
    );
  }
  throw new SourceRootError(`${path} is not a folder`);
}

/** By code units, the same on every machine, unlike a comparison by locale. */
function compareText(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}
