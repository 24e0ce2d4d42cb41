// Owns finding Node 24: the npm package `node` brings it, unless npm was told not to run packages' install scripts.
import { execFile } from "node:child_process";
import { existsSync, linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";

import { npm } from "./npm.mjs";
import { projectRoot, say, SetupError } from "./project.mjs";

const WANTED_MAJOR = 24;
const VERSION_TIMEOUT_MS = 20_000;

/** Finds a Node 24 that runs here; undefined when there is none. @returns {Promise<string | undefined>} */
export async function findNode24() {
  for (const candidate of candidates()) {
    if (existsSync(candidate) && (await majorOf(candidate)) === WANTED_MAJOR) return candidate;
  }
  return undefined;
}

/**
 * Gets Node 24 through npm although the package's install script did not run. Throws one line when that fails.
 * @returns {Promise<string>}
 */
export async function installNode24() {
  say("installing Node 24 (npm package `node`)");
  const remedy = `Install Node ${WANTED_MAJOR} (https://nodejs.org) and start again with it.`;
  const owner = nodePackage();
  if (owner === undefined) throw new SetupError(`the npm package \`node\` is missing. ${remedy}`);
  const { version } = JSON.parse(readFileSync(join(owner, "package.json"), "utf8"));
  // The platform's package is plain files and needs no script. It gets a folder of its own, because an install beside
  // the others would make npm tidy them too.
  const room = join(projectRoot, "node_modules", ".mycel-node");
  mkdirSync(room, { recursive: true });
  writeFileSync(join(room, "package.json"), '{ "private": true }\n');
  await npm(["install", "--no-save", "--no-package-lock", `${platformPackage()}@${version}`], remedy, room);
  const downloaded = join(room, "node_modules", platformPackage(), "bin", "node");
  if (!existsSync(downloaded) || (await majorOf(downloaded)) !== WANTED_MAJOR) {
    throw new SetupError(`npm's Node ${version} does not run on this machine. ${remedy}`);
  }
  return linkInto(owner, downloaded);
}

/** Puts the binary where the package's own script would have, so that node_modules/.bin/node is Node 24 too. */
function linkInto(owner, binary) {
  const wanted = join(owner, "bin", "node");
  try {
    mkdirSync(dirname(wanted), { recursive: true });
    rmSync(wanted, { force: true });
    linkSync(binary, wanted);
    return wanted;
  } catch {
    return binary;
  }
}

function candidates() {
  const owner = nodePackage();
  const found = [];
  if (owner !== undefined) {
    found.push(join(owner, "bin", "node"));
    for (const folder of [join(owner, "node_modules"), dirname(owner)]) {
      found.push(join(folder, platformPackage(), "bin", "node"));
    }
  }
  // npm's Node does not run everywhere (it needs glibc); the user's own Node 24 does.
  found.push(process.execPath);
  return found;
}

function platformPackage() {
  const prefix = process.platform === "darwin" && process.arch === "arm64" ? "node-bin" : "node";
  return `${prefix}-${process.platform}-${process.arch}`;
}

function nodePackage() {
  try {
    return dirname(createRequire(join(projectRoot, "package.json")).resolve("node/package.json"));
  } catch {
    return undefined;
  }
}

async function majorOf(binary) {
  return await new Promise((resolve) => {
    execFile(binary, ["--version"], { timeout: VERSION_TIMEOUT_MS }, (error, stdout) => {
      resolve(error === null ? Number.parseInt(stdout.replace(/^v/, ""), 10) : undefined);
    });
  });
}
