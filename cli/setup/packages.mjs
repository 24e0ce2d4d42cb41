// Owns the npm packages: whether node_modules holds what package-lock.json says, and `npm ci` when it does not.
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";

import { npm, tryNpm } from "./npm.mjs";
import { projectRoot, say } from "./project.mjs";

/** SHA-256 of the lock file. @param {string} lock @returns {string} */
export function lockDigest(lock) {
  return createHash("sha256").update(readFileSync(lock)).digest("hex");
}

/**
 * Compares the lock file with npm's own record of what it installed, so that a node_modules made by hand
 * (`npm ci`, `npm install`) is taken as it is. Optional packages may be missing: they are other platforms'.
 * @param {string} lock
 * @param {boolean} development whether packages that only development needs must be there too
 * @returns {boolean}
 */
export function packagesMatchLock(lock, development) {
  /** @type {Record<string, { version?: string }>} */
  let installed;
  try {
    installed = JSON.parse(readFileSync(join(projectRoot, "node_modules", ".package-lock.json"), "utf8")).packages;
  } catch {
    return false;
  }
  for (const [path, wanted] of Object.entries(JSON.parse(readFileSync(lock, "utf8")).packages)) {
    if (path === "") continue;
    const there = installed[path];
    const optional = wanted.optional === true || (!development && (wanted.dev === true || wanted.devOptional === true));
    if (there === undefined ? !optional : there.version !== wanted.version) return false;
  }
  return true;
}

/** Installs what the lock file says. Throws one line when it fails, after npm's own words. */
export async function installPackages() {
  say("installing npm packages (npm ci)");
  // --include=dev: with NODE_ENV=production npm would leave out what `npm test` needs, and the next start would find
  // the packages incomplete again.
  const { code, output } = await tryNpm(["ci", "--include=dev"]);
  if (code === 0) return;
  // npm ci refuses a lock that lacks another platform's optional package; npm install follows it and fills the gap.
  const incomplete = output.includes("EUSAGE");
  if (incomplete) say("npm ci finds package-lock.json incomplete, trying npm install");
  const command = incomplete ? ["install", "--no-save", "--include=dev"] : ["ci", "--include=dev"];
  await npm(command, "Check the network and npm's registry setting, then run: npm ci");
}
