// Owns where the project lies and how the bootstrap speaks: one line per step on standard error, one line per failure.
import { dirname, resolve } from "node:path";
import { fileURLToPath } from "node:url";

/** The project's root folder. @type {string} */
export const projectRoot = resolve(dirname(fileURLToPath(import.meta.url)), "../..");

/** A failure that the user can act on; its message is all that is shown. */
export class SetupError extends Error {}

/**
 * Tells the user what is being done.
 * @param {string} line
 */
export function say(line) {
  process.stderr.write(`mycel: ${line}\n`);
}
