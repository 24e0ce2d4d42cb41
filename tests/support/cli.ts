// Runs the real `mycel` process.
import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";

const MAIN = fileURLToPath(new URL("../../cli/main.ts", import.meta.url));

/** What a run left behind. */
export interface CliResult {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A run under way. */
export interface CliRun {
  readonly process: ChildProcessWithoutNullStreams;
  readonly done: Promise<CliResult>;
  /** Resolves when stdout has the text. */
  until(text: string): Promise<void>;
}

/** Starts the command; `url` becomes MYCEL_URL. */
export function startCli(url: string, args: readonly string[], env: Readonly<Record<string, string>> = {}): CliRun {
  const child = spawn(process.execPath, [MAIN, ...args], {
    env: { PATH: process.env["PATH"], MYCEL_URL: url, ...env },
  });
  const out: Buffer[] = [];
  const err: Buffer[] = [];
  child.stdout.on("data", (piece: Buffer) => out.push(piece));
  child.stderr.on("data", (piece: Buffer) => err.push(piece));
  child.stdin.on("error", () => undefined);
  const text = (pieces: Buffer[]): string => Buffer.concat(pieces).toString();
  const done = once(child, "close").then(() => ({ code: child.exitCode, stdout: text(out), stderr: text(err) }));
  return {
    process: child,
    done,
    async until(wanted) {
      while (!text(out).includes(wanted)) {
        const over = await Promise.race([once(child.stdout, "data").then(() => false), done.then(() => true)]);
        if (over) throw new Error(`ended without ${JSON.stringify(wanted)}: ${text(out)}${text(err)}`);
      }
    },
  };
}

/** Runs the command to its end. */
export async function runCli(
  url: string,
  args: readonly string[],
  options: { readonly stdin?: string; readonly env?: Readonly<Record<string, string>> } = {},
): Promise<CliResult> {
  const run = startCli(url, args, options.env);
  run.process.stdin.end(options.stdin ?? "");
  return await run.done;
}
