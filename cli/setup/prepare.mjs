// Owns the order of the set-up: a supported machine, then npm packages, then Node 24. Cheap when nothing is missing.
import { existsSync } from "node:fs";
import { join } from "node:path";

import { withInstallLock } from "./install-lock.mjs";
import { findNode24, installNode24 } from "./node24.mjs";
import { installPackages, lockDigest, packagesMatchLock } from "./packages.mjs";
import { projectRoot, SetupError } from "./project.mjs";
import { readStamp, writeStamp } from "./stamp.mjs";

const OLDEST_NODE = 20;

/**
 * Makes the project runnable and returns the path of a Node 24. `development` also asks for the packages that only
 * tests and checks need.
 * @param {{ development: boolean }} options
 * @returns {Promise<{ node: string }>}
 */
export async function prepare({ development }) {
  checkMachine();
  // Installed as a package of another project there is no lock file: npm has seen to the packages.
  const lock = join(projectRoot, "package-lock.json");
  const digest = existsSync(lock) ? lockDigest(lock) : "none";
  const stamped = readStamp();
  if (stamped !== undefined && stamped.digest === digest && (stamped.development || !development)) {
    if (existsSync(stamped.node)) return { node: stamped.node };
  }
  return await withInstallLock(async () => {
    if (digest !== "none" && !packagesMatchLock(lock, development)) await installPackages();
    const node = (await findNode24()) ?? (await installNode24());
    writeStamp({ digest, development: digest === "none" || packagesMatchLock(lock, true), node });
    return { node };
  });
}

/**
 * Ends the process with one line for a failure that the user can act on; anything else is a defect and shows its stack.
 * @param {unknown} error
 */
export function reportFailure(error) {
  process.stderr.write(
    error instanceof SetupError ? `mycel: ${error.message}\n` : `${String(error?.stack ?? error)}\n`,
  );
  process.exitCode = 1;
}

function checkMachine() {
  if (process.platform !== "linux" && process.platform !== "darwin") {
    throw new SetupError("Mycel runs on Linux and macOS; on Windows use WSL.");
  }
  if (Number.parseInt(process.versions.node, 10) < OLDEST_NODE) {
    throw new SetupError(
      `Node ${process.versions.node} is too old: Mycel starts with Node ${OLDEST_NODE} or newer (https://nodejs.org).`,
    );
  }
}
