// Owns where the project lies and how the bootstrap speaks: one line per step on standard error, one line per failure.
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

/** The project's root folder. @type {string} */
export const projectRoot = resolve(dirname(fileURLToPath(import.meta.url)), "../..");

/** Where Node keeps what it has compiled: a command starts in half the time. @type {string} */
export const compileCache = join(projectRoot, ".cache", "compiled");

/** A failure that the user can act on; its message is all that is shown. */
export class SetupError extends Error {}

/**
 * Tells the user what is being done.
 * @param {string} line
 */
export function say(line) {
  process.stderr.write(`mycel: ${line}\n`);
}
