// Owns how a secret is read from a file.
import { readFile, stat } from "node:fs/promises";
import { SecretError } from "./secret-error.ts";

/** A key with its chain fits; a mistaken path to a log or an image does not. */
const MAX_FILE_BYTES: number = 64 * 1024;
const READABLE_BY_OTHERS = 0o004;

/** What a file holds. */
export interface SecretFile {
  /** Without the line breaks and spaces around it. */
  readonly text: string;
  /** Whether every user of the machine may read it. */
  readonly isOpen: boolean;
}

/** Reads a file. Throws SecretError, whose message goes on after the setting's name. */
export async function readSecretFile(path: string): Promise<SecretFile> {
  try {
    const facts = await stat(path);
    if (!facts.isFile())
      throw new SecretError(`${path} must be a file, is ${facts.isDirectory() ? "a folder" : "none"}`);
    if (facts.size > MAX_FILE_BYTES) {
      throw new SecretError(`${path} must have ${MAX_FILE_BYTES} bytes at most, has ${facts.size}`);
    }
    const text = textOf(await readFile(path))?.trim();
    if (text === undefined) throw new SecretError(`${path} must be text in UTF-8, is something else`);
    if (text === "") throw new SecretError(`${path} is empty`);
    return { text, isOpen: process.platform !== "win32" && (facts.mode & READABLE_BY_OTHERS) !== 0 };
  } catch (error) {
    if (error instanceof SecretError) throw error;
    const code = error instanceof Error && "code" in error ? String(error.code) : String(error);
    throw new SecretError(`${path} cannot be read: ${code}`, { cause: error });
  }
}

function textOf(content: Uint8Array): string | undefined {
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(content);
    return text.includes("\0") ? undefined : text;
  } catch {
    return undefined;
  }
}
