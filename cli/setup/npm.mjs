// Owns running npm: quietly, and with its last words shown only when it fails.
import { spawn } from "node:child_process";
import { delimiter, join } from "node:path";

import { projectRoot, SetupError } from "./project.mjs";

const SHOWN_LINES = 15;
const ENDING = ["SIGINT", "SIGTERM", "SIGHUP"];
const QUIET = ["--no-audit", "--no-fund", "--no-progress", "--loglevel=error"];

/**
 * Runs npm in the project's root, or in `cwd`. Throws one line with `remedy` when it fails.
 * @param {string[]} args
 * @param {string} remedy what the user can do when it fails
 * @param {string} [cwd]
 * @returns {Promise<void>}
 */
export async function npm(args, remedy, cwd = projectRoot) {
  const { code, output } = await tryNpm(args, cwd);
  if (code === 0) return;
  // The cause comes first; npm closes with its usage and the place of a log.
  const lines = output.split("\n").filter((line) => line.replace("npm error", "").trim() !== "");
  for (const line of lines.slice(0, SHOWN_LINES)) process.stderr.write(`  ${line}\n`);
  throw new SetupError(`npm ${args[0]} failed. ${remedy}`);
}

/**
 * Runs npm and tells how it ended.
 * @param {string[]} args
 * @param {string} [cwd]
 * @returns {Promise<{ code: number | null, output: string }>}
 */
export async function tryNpm(args, cwd = projectRoot) {
  return await runNpm([...args, ...QUIET], cwd);
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
    // Ended with us, or it would go on writing into node_modules beside the next start's npm.
    const endBySignal = (signal) => {
      child.kill("SIGTERM");
      child.once("close", () => process.kill(process.pid, signal));
    };
    for (const signal of ENDING) process.once(signal, endBySignal);
    child.stdout.on("data", keep);
    child.stderr.on("data", keep);
    child.once("error", (error) => {
      reject(new SetupError(`npm could not be run (${error.message}). Install npm, which comes with Node.`));
    });
    child.once("close", (code) => {
      for (const signal of ENDING) process.removeListener(signal, endBySignal);
      resolve({ code, output });
    });
  });
}
