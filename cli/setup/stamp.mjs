// Owns the note in node_modules that the set-up was checked, so that the next start needs to hash one file only.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { projectRoot } from "./project.mjs";

const FILE = join(projectRoot, "node_modules", ".mycel-setup.json");

/**
 * What was found in order: the lock file's digest, whether development packages are there too, Node 24's path.
 * @typedef {{ digest: string, development: boolean, node: string }} Stamp
 */

/** Reads the note; undefined when there is none. @returns {Stamp | undefined} */
export function readStamp() {
  try {
    return JSON.parse(readFileSync(FILE, "utf8"));
  } catch {
    return undefined;
  }
}

/** Writes the note. A read-only installation works too, only slower. @param {Stamp} stamp */
export function writeStamp(stamp) {
  try {
    writeFileSync(FILE, `${JSON.stringify(stamp)}\n`);
  } catch {
    // Checked again next time.
  }
}
