// Where certificates and keys come from: a file, or their text itself.
import { readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";

/** The path of a PEM file, or PEM itself: a text that holds `-----BEGIN`. */
export type PemSource = string;

/** Whether it is a file's path. */
export function isFile(source: PemSource): boolean {
  return !source.includes("-----BEGIN");
}

/** What it is called in messages: the path, or that it was given as text. Never its content. */
export function nameOf(source: PemSource): string {
  return isFile(source) ? source : "the PEM text";
}

/** Reads it. Throws RangeError, which names the option and the file, when it can't be read or holds no PEM. */
export async function readPem(option: string, source: PemSource): Promise<string> {
  if (!isFile(source)) return source;
  return checked(option, source, await readFile(source, "utf8").catch((error: unknown) => unreadable(option, error)));
}

/** The same at once: for where Node leaves no time. The files are small. */
export function readPemNow(option: string, source: PemSource): string {
  if (!isFile(source)) return source;
  try {
    return checked(option, source, readFileSync(source, "utf8"));
  } catch (error) {
    return error instanceof RangeError ? rethrow(error) : unreadable(option, error);
  }
}

function checked(option: string, path: string, text: string): string {
  if (isFile(text)) throw new RangeError(`${option}: ${path} holds no PEM`);
  return text;
}

function rethrow(error: Error): never {
  throw error;
}

function unreadable(option: string, error: unknown): never {
  throw new RangeError(`${option} can't be read: ${error instanceof Error ? error.message : String(error)}`, {
    cause: error,
  });
}
