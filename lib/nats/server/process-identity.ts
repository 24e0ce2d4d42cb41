// Owns the question "is that process id still the server that we started?". A bare id proves nothing: after a kill -9
// or a reboot the system gives it to somebody else.
import { readFile } from "node:fs/promises";

import { run } from "./run.ts";

const PS_TIMEOUT_MS = 5_000;

/** Tells whether process `pid` lives and has `text` in its command line. */
export async function isProcessWith(pid: number, text: string): Promise<boolean> {
  return (await readCommandLine(pid))?.includes(text) === true;
}

/** Tells whether a process with this id lives, ours or not. One that was killed and only waits to be reaped does not. */
export async function isAlive(pid: number): Promise<boolean> {
  return (await readCommandLine(pid)) !== undefined;
}

/** Undefined when there is no such process, or a zombie, whose command line is empty (Linux) or in brackets (ps). */
async function readCommandLine(pid: number): Promise<string | undefined> {
  let line: string;
  try {
    // On Linux not by ps, which slim images do not have.
    if (process.platform === "linux") line = (await readFile(`/proc/${pid}/cmdline`, "utf8")).replaceAll("\0", " ");
    else line = await run("ps", ["-o", "args=", "-p", String(pid)], { timeoutMs: PS_TIMEOUT_MS });
  } catch {
    return undefined;
  }
  const trimmed = line.trim();
  return trimmed === "" || /^(\(.*\)|<defunct>)$/.test(trimmed) ? undefined : trimmed;
}
