// Makes folders, with those above them. Node's own way to do so (24.21 and before) never ends below a folder that takes none, such as /proc.
import { mkdir, stat } from "node:fs/promises";
import { dirname } from "node:path";

/** How a folder is made. */
export interface FolderOptions {
  /** The rights of what is made, e.g. 0o700. Default 0o777, less the process's mask. */
  readonly mode?: number;
}

/** Resolves when the folder is there. Rejects as node:fs does, e.g. with EACCES, ENOTDIR, and ENOENT where no folder can be made. */
export async function makeFolder(path: string, options: FolderOptions = {}): Promise<void> {
  try {
    await mkdir(path, options);
  } catch (error) {
    if (codeOf(error) === "EEXIST" && (await isFolder(path))) return;
    const parent = dirname(path);
    if (codeOf(error) !== "ENOENT" || parent === path || (await isFolder(parent))) throw error;
    await makeFolder(parent, options);
    await makeFolder(path, options);
  }
}

async function isFolder(path: string): Promise<boolean> {
  return await stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  );
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && "code" in error ? error.code : undefined;
}
