// Owns the question "is that process id still the server that we started?". A bare id proves nothing: after a kill -9
// or a reboot the system gives it to somebody else.
import { readFile } from "node:fs/promises";

import { run } from "./run.ts";

const PS_TIMEOUT_MS = 5_000;

/** Tells whether process `pid` lives and has `text` in its command line. */
export async function isProcessWith(pid: number, text: string): Promise<boolean> {
  if (!isAlive(pid)) return false;
  const commandLine = await readCommandLine(pid);
  return commandLine?.includes(text) === true;
}

/** Tells whether any process has this id, ours or not. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error instanceof Error && "code" in error && error.code === "EPERM";
  }
}

async function readCommandLine(pid: number): Promise<string | undefined> {
  try {
    // Linux; a slim image has no ps. A zombie's command line is empty, which rightly reads as "not running".
    if (process.platform === "linux") return (await readFile(`/proc/${pid}/cmdline`, "utf8")).replaceAll("\0", " ");
    return await run("ps", ["-o", "args=", "-p", String(pid)], { timeoutMs: PS_TIMEOUT_MS });
  } catch {
    return undefined; // It ended between the two looks.
  }
}
