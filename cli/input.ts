// Reads a command's input: from the argument itself, a file, or stdin; as JSON with the place of a mistake, or as bytes.
import { readFile } from "node:fs/promises";
import { UsageError } from "./failure.ts";

/** The content that an argument names: `-` is stdin, `@file` a file, everything else the text itself. */
export async function readArgument(argument: string, stdin: AsyncIterable<Uint8Array | string>): Promise<Uint8Array> {
  if (argument === "-") return await readAll(stdin);
  return argument.startsWith("@") ? await readInputFile(argument.slice(1)) : Buffer.from(argument);
}

/** A file's content. Throws a UsageError when it cannot be read. */
export async function readInputFile(path: string): Promise<Uint8Array> {
  try {
    return await readFile(path);
  } catch (error) {
    throw new UsageError(`cannot read ${path === "" ? "a file without a name" : path}: ${reasonOf(error)}`);
  }
}

/** Everything that a stream gives. */
export async function readAll(stream: AsyncIterable<Uint8Array | string>): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  for await (const piece of stream) pieces.push(typeof piece === "string" ? Buffer.from(piece) : piece);
  return Buffer.concat(pieces);
}

/** Parses JSON. Throws a UsageError that names line and column. */
export function parseJson(content: Uint8Array, argument: string): unknown {
  const text = new TextDecoder().decode(content);
  try {
    return JSON.parse(text);
  } catch (error) {
    const where = argument === "-" ? "stdin" : argument.startsWith("@") ? argument.slice(1) : "the input";
    throw new UsageError(`${where} is not JSON: ${explain(text, error)}${hint(argument, text)}`);
  }
}

function explain(text: string, error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  const position = Number(/at position (\d+)/.exec(message)?.[1] ?? text.length);
  const before = text.slice(0, position).split("\n");
  const place = `line ${before.length}, column ${(before.at(-1)?.length ?? 0) + 1}`;
  if (text.trim() === "") return "it is empty";
  const what = message.replace(/ in JSON at position.*$/s, "").replace(/, (?:"|\.\.\.).* is not valid JSON$/s, "");
  return `${what} at ${place}`;
}

// The commonest mistake is a bare word, or quotes that the shell took away.
function hint(argument: string, text: string): string {
  const bare = argument !== "-" && !argument.startsWith("@") && /^[\p{L}_][^{}[\]"']*$/u.test(text);
  return bare ? `. A string needs its own quotes: '"${text}"'` : "";
}

/** Why a file operation failed, in a few words. */
export function reasonOf(error: unknown): string {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  if (code === "ENOENT") return "no such file";
  if (code === "EACCES") return "permission denied";
  if (code === "EISDIR") return "it is a folder";
  return error instanceof Error ? error.message : String(error);
}
