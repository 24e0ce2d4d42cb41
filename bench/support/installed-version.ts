// Which version of a package is measured: the one that is installed, not the one that was asked for.

import { readFile } from "node:fs/promises";
import { resolve } from "node:path";

const PACKAGES = resolve(import.meta.dirname, "../../node_modules");

/** The version of an installed package. Rejects if it is not there. */
export async function installedVersion(name: string): Promise<string> {
  const manifest: unknown = JSON.parse(await readFile(resolve(PACKAGES, name, "package.json"), "utf8"));
  const known = typeof manifest === "object" && manifest !== null && "version" in manifest;
  return known ? String(manifest.version) : "unknown";
}
