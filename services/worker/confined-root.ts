// Keeps tasks that read files inside the folders that the operator allows. Every path is judged after resolving its links, so is
// what was opened by it, and files are only ever opened for reading.
import { constants } from "node:fs";
import { type FileHandle, open, realpath } from "node:fs/promises";
import { join, sep } from "node:path";
import { type FilePlace, placeOfFile } from "./file-place.ts";

/** Why a path was refused. */
export type PathRefusalCode = "ROOT_NOT_ALLOWED" | "ROOT_NOT_FOUND" | "PATH_OUTSIDE_ROOT" | "PATH_NOT_ALLOWED";

/** The task asks for what this agent may not read. Trying again does not help. */
export class AnalysisRefusedError extends Error {
  override readonly name = "AnalysisRefusedError";
  readonly code: PathRefusalCode;
  /** The path that was asked for, as it was given. */
  readonly path: string;

  constructor(code: PathRefusalCode, path: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
    this.path = path;
  }
}

/** A regular file that was opened, or the reason why it cannot be read. */
export type ConfinedFile =
  | { readonly kind: "opened"; readonly handle: FileHandle; readonly bytes: number }
  | { readonly kind: "unreadable"; readonly reason: string };

/** A folder that was checked against the allowed roots. */
export interface ConfinedRoot {
  /** Opens the file at `path`, relative to the root. Throws AnalysisRefusedError PATH_OUTSIDE_ROOT if it lies elsewhere. */
  openFile(path: string): Promise<ConfinedFile>;
}

/**
 * Resolves `root` and checks that it is one of `allowedRoots` or lies below one; an empty list allows nothing. An
 * allowed root that does not exist allows nothing either.
 *
 * Throws AnalysisRefusedError: ROOT_NOT_ALLOWED, or ROOT_NOT_FOUND for an allowed folder that is not there.
 */
export async function resolveConfinedRoot(root: string, allowedRoots: readonly string[]): Promise<ConfinedRoot> {
  const allowed = (await Promise.all(allowedRoots.map((path) => resolveLinks(path)))).filter(
    (resolved) => typeof resolved === "string",
  );
  const folder = await resolveLinks(root);
  if (typeof folder !== "string") {
    // What is outside must look the same whether it exists or not, or a task could probe the agent's disk.
    if (!allowedRoots.some((path) => contains(path, join(root)))) throw rootNotAllowed(root);
    throw new AnalysisRefusedError("ROOT_NOT_FOUND", root, `root ${shown(root)} cannot be read: ${folder.code}`, {
      cause: folder.error,
    });
  }
  if (!allowed.some((path) => contains(path, folder))) throw rootNotAllowed(root);
  return { openFile: (path) => openWithin(folder, path) };
}

/**
 * Opens the file at `path`, absolute, if it lies in one of `allowedRoots` after its links are resolved; an empty list allows nothing.
 *
 * Throws AnalysisRefusedError PATH_NOT_ALLOWED.
 */
export async function openAllowedFile(path: string, allowedRoots: readonly string[]): Promise<ConfinedFile> {
  const refused = (): AnalysisRefusedError =>
    new AnalysisRefusedError(
      "PATH_NOT_ALLOWED",
      path,
      `file ${shown(path)} is outside the folders this agent may read`,
    );
  const resolved = await resolveLinks(path);
  if (typeof resolved !== "string") {
    // As with a root: what is outside looks the same whether it exists or not.
    if (!allowedRoots.some((root) => contains(root, join(path)))) throw refused();
    return { kind: "unreadable", reason: resolved.code };
  }
  const roots = await Promise.all(allowedRoots.map((root) => resolveLinks(root)));
  const folders = roots.filter((root) => typeof root === "string");
  if (!folders.some((folder) => contains(folder, resolved))) throw refused();
  return openChecked(resolved, { folders, refused });
}

async function openWithin(folder: string, path: string): Promise<ConfinedFile> {
  const asked = join(folder, path);
  if (!contains(folder, asked)) throw pathOutsideRoot(path);
  const resolved = await resolveLinks(asked);
  if (typeof resolved !== "string") return { kind: "unreadable", reason: resolved.code };
  if (!contains(folder, resolved)) throw pathOutsideRoot(path);
  return openChecked(resolved, { folders: [folder], refused: () => pathOutsideRoot(path) });
}

/** What a file that was opened must be. */
export interface OpenedCheck {
  /** Where it may lie; absolute, without links. */
  readonly folders: readonly string[];
  /** What is thrown if it lies elsewhere. */
  readonly refused: () => Error;
  /** How its place is found; by the descriptor where the system can tell, if left out. */
  readonly placeOf?: FilePlace;
}

/**
 * Opens the file at `resolved`, a path that was judged, and judges what it opened: whoever may write in a folder can put a link in
 * place of a folder below it at any time. A file whose place cannot be told is unreadable (`ESTALE`). Throws what `refused` gives.
 */
export async function openChecked(
  resolved: string,
  { folders, refused, placeOf = placeOfFile }: OpenedCheck,
): Promise<ConfinedFile> {
  let handle: FileHandle;
  try {
    // NOFOLLOW: a link put there since it was resolved is refused. NONBLOCK: opening a pipe does not wait for a writer.
    handle = await open(resolved, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    return { kind: "unreadable", reason: systemErrorCode(error) };
  }
  let outcome: ConfinedFile | "elsewhere" = "elsewhere";
  try {
    outcome = await judged(handle, await placeOf(handle, resolved), folders);
  } catch (error) {
    outcome = { kind: "unreadable", reason: systemErrorCode(error) };
  } finally {
    if (outcome === "elsewhere" || outcome.kind === "unreadable") await handle.close();
  }
  if (outcome === "elsewhere") throw refused();
  return outcome;
}

async function judged(
  handle: FileHandle,
  place: string | undefined,
  folders: readonly string[],
): Promise<ConfinedFile | "elsewhere"> {
  if (place === undefined) return { kind: "unreadable", reason: "ESTALE" };
  if (!folders.some((folder) => contains(folder, place))) return "elsewhere";
  const stats = await handle.stat();
  return stats.isFile() ? { kind: "opened", handle, bytes: stats.size } : { kind: "unreadable", reason: "NOT_A_FILE" };
}

async function resolveLinks(path: string): Promise<string | { readonly code: string; readonly error: unknown }> {
  try {
    return await realpath(path);
  } catch (error) {
    return { code: systemErrorCode(error), error };
  }
}

/** Whether `path` is `folder` or lies below it; both absolute and normal. */
function contains(folder: string, path: string): boolean {
  return path === folder || path.startsWith(folder.endsWith(sep) ? folder : folder + sep);
}

function rootNotAllowed(root: string): AnalysisRefusedError {
  return new AnalysisRefusedError(
    "ROOT_NOT_ALLOWED",
    root,
    `root ${shown(root)} is outside the folders this agent may read`,
  );
}

function pathOutsideRoot(path: string): AnalysisRefusedError {
  return new AnalysisRefusedError("PATH_OUTSIDE_ROOT", path, `file ${shown(path)} resolves to a place outside root`);
}

/** A path in a message, which is one line whatever the path holds. */
export function shown(path: string): string {
  return /\p{C}/u.test(path) ? JSON.stringify(path) : path;
}

/** `ENOENT` and the like; rethrows what is no system error, because that would be a defect of ours. */
export function systemErrorCode(error: unknown): string {
  if (error instanceof Error && "code" in error && typeof error.code === "string") return error.code;
  throw error;
}
