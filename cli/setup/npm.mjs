// Owns running npm: quietly, and with its last words shown only when it fails.
import { spawn } from "node:child_process";
import { delimiter, join } from "node:path";

import { projectRoot, SetupError } from "./project.mjs";

const SHOWN_LINES = 15;
const QUIET = ["--no-audit", "--no-fund", "--no-progress", "--loglevel=error"];

/**
 * Runs npm in the project's root, or in `cwd`.
 * @param {string[]} args
 * @param {string} remedy what the user can do when it fails
 * @param {string} [cwd]
 * @returns {Promise<void>}
 */
export async function npm(args, remedy, cwd = projectRoot) {
  const { code, output } = await runNpm([...args, ...QUIET], cwd);
  if (code === 0) return;
  const lines = output.split("\n").filter((line) => line.trim() !== "");
  for (const line of lines.slice(-SHOWN_LINES)) process.stderr.write(`  ${line}\n`);
  throw new SetupError(`npm ${args[0]} failed. ${remedy}`);
}

/**
 * @param {string[]} args
 * @param {string} cwd
 * @returns {Promise<{ code: number | null, output: string }>}
 */
async function runNpm(args, cwd) {
  // npm is about to replace node_modules: it must not run on the Node that lies in there.
  const ownBin = join(projectRoot, "node_modules", ".bin");
  const path = (process.env.PATH ?? "").split(delimiter).filter((folder) => folder !== ownBin);
  const env = { ...process.env, PATH: path.join(delimiter) };
  return await new Promise((resolve, reject) => {
    const child = spawn("npm", args, { cwd, env, stdio: ["ignore", "pipe", "pipe"] });
    let output = "";
    const keep = (chunk) => {
      output = (output + String(chunk)).slice(-64 * 1024);
    };
    child.stdout.on("data", keep);
    child.stderr.on("data", keep);
    child.once("error", (error) => {
      reject(new SetupError(`npm could not be run (${error.message}). Install npm, which comes with Node.`));
    });
    child.once("close", (code) => resolve({ code, output }));
  });
}
