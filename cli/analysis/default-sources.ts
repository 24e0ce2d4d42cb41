// What the main job analyses when no folder is named: the project itself and the TypeScript, NATS and RPC packages that
// are installed beside it, together over 1,000 files on a fresh install.
import { stat } from "node:fs/promises";
import { join } from "node:path";
import type { SourceListingOptions } from "./source-listing.ts";

/** Folders of `node_modules`; `@typescript` holds the compiler's library declarations, one folder for each platform. */
const PACKAGES: readonly string[] = ["typescript", "@typescript", "@nats-io", "@connectrpc", "@bufbuild/protobuf"];

/** The listing of the default job for the project in `projectFolder`; packages that are not installed are left out. */
export async function defaultSources(projectFolder: string): Promise<SourceListingOptions> {
  const folders = PACKAGES.map((name) => join(projectFolder, "node_modules", name));
  const installed = await Promise.all(folders.map((folder) => isFolder(folder)));
  return { base: projectFolder, roots: [projectFolder, ...folders.filter((_, index) => installed[index])] };
}

async function isFolder(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isDirectory();
  } catch {
    return false;
  }
}
