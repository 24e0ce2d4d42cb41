// Runs programs that are not part of the project to their end, and reads the JSON that they print.
import { spawn } from "node:child_process";

/** What a program did. */
export interface CommandResult {
  /** The exit code; -1 when a signal ended it. */
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** How to run a program. */
export interface CommandOptions {
  /** What it reads from its standard input. Default nothing. */
  readonly input?: string;
  /** Added to the environment of this process. */
  readonly env?: Readonly<Record<string, string>>;
}

/** Runs a program to its end, whatever its exit code. Rejects when it cannot be started. */
export async function runCommand(
  file: string,
  args: readonly string[],
  options: CommandOptions = {},
): Promise<CommandResult> {
  const child = spawn(file, args, { env: { ...process.env, ...options.env }, stdio: ["pipe", "pipe", "pipe"] });
  const out: Buffer[] = [];
  const err: Buffer[] = [];
  child.stdout.on("data", (chunk: Buffer) => out.push(chunk));
  child.stderr.on("data", (chunk: Buffer) => err.push(chunk));
  // A program that ends without reading its input is judged by what it did.
  child.stdin.on("error", () => undefined);
  child.stdin.end(options.input ?? "");
  const code = await new Promise<number>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (exitCode) => resolve(exitCode ?? -1));
  });
  return { code, stdout: Buffer.concat(out).toString(), stderr: Buffer.concat(err).toString() };
}

/** Runs a program to its end and returns what it printed. Rejects with all of its output when it fails. */
export async function outputOf(file: string, args: readonly string[], options: CommandOptions = {}): Promise<string> {
  const { code, stdout, stderr } = await runCommand(file, args, options);
  if (code !== 0) throw new Error(`${[file, ...args].join(" ")} ended with ${code}\n${stdout}${stderr}`);
  return stdout;
}

/** Reads JSON documents that stand one behind the other, each over any number of lines. Throws when something else is left. */
export function jsonDocuments(text: string): unknown[] {
  const documents: unknown[] = [];
  let pending = "";
  for (const line of text.split("\n")) {
    pending += `${line}\n`;
    const document = tryParse(pending);
    if (document === undefined) continue;
    documents.push(document.value);
    pending = "";
  }
  if (pending.trim() !== "") throw new Error(`not JSON: ${pending}`);
  return documents;
}

function tryParse(text: string): { readonly value: unknown } | undefined {
  try {
    return { value: JSON.parse(text) as unknown };
  } catch {
    return undefined;
  }
}
