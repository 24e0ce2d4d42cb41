// Owns running a short command of this machine to its end and saying in one line why it failed.
// Not for servers: those live in `start-server.ts`.
import { execFile } from "node:child_process";

/** How {@link run} runs a command. */
export interface RunOptions {
  /** Milliseconds until the command is killed and the run fails. */
  readonly timeoutMs: number;
  /** Working directory; this process's own if unset. */
  readonly cwd?: string | undefined;
  /** What error messages call the command; the command and its first argument if unset. */
  readonly name?: string | undefined;
  /** Kills the command when it aborts. */
  readonly signal?: AbortSignal | undefined;
}

/** Upper bound on what a command may print; enough for a package index's warnings, and a bound on memory. */
const MAX_OUTPUT_BYTES = 4 * 1024 * 1024;

/**
 * Runs a command without a shell and returns its standard output. Rejects with one line: the command, and why it
 * failed (not found, timed out, or the last line that it wrote to standard error).
 */
export async function run(command: string, args: readonly string[], options: RunOptions): Promise<string> {
  const name = options.name ?? [command, ...args.slice(0, 1)].join(" ");
  return await new Promise((resolve, reject) => {
    execFile(
      command,
      [...args],
      {
        timeout: options.timeoutMs,
        maxBuffer: MAX_OUTPUT_BYTES,
        cwd: options.cwd,
        signal: options.signal,
      },
      (error, stdout, stderr) => {
        if (error === null) resolve(stdout);
        else reject(new Error(`${name} ${whyItFailed(error, stderr, options)}`));
      },
    );
  });
}

function whyItFailed(error: Error, stderr: string, options: RunOptions): string {
  if (options.signal?.aborted === true) return "was canceled";
  if ("code" in error && error.code === "ENOENT") return "is not installed";
  if ("killed" in error && error.killed === true) return `did not end within ${options.timeoutMs} ms`;
  const lines = stderr.split("\n").filter((line) => line.trim() !== "");
  // apt and dpkg put the cause on a line of its own that starts with E: or dpkg…error, and then go on talking.
  const cause = lines.find((line) => /^(E|error|dpkg.*error):/i.test(line)) ?? lines.at(-1);
  return cause === undefined ? `failed: ${firstLine(error.message)}` : `failed: ${cause.trim()}`;
}

function firstLine(text: string): string {
  return text.split("\n", 1)[0] ?? text;
}
