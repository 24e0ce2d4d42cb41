// Owns the processes that the benchmark measures: started as an operator starts them, and ended with it.

import { type ChildProcess, spawn } from "node:child_process";
import { resolve } from "node:path";
import { createInterface } from "node:readline";
import { BenchError } from "./bench-error.ts";
import { cleanUpOnExit } from "./left-behind.ts";

/** What to start. */
export interface ProcessOptions {
  /** The TypeScript file, from the project's root. */
  readonly entry: string;
  readonly args?: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Node's own options, e.g. for profiling. */
  readonly nodeArgs?: readonly string[];
  /** Hears what the process sends with `process.send`. */
  readonly onMessage?: (message: unknown) => void;
}

/** A process that said that it is ready. Disposing it stops it. */
export interface BenchProcess extends AsyncDisposable {
  readonly pid: number;
  /** The fields of its ready line. */
  readonly ready: Readonly<Record<string, unknown>>;
  /** Rejects with BenchError and the process's last lines when it ends unasked; never resolves. */
  readonly failed: Promise<never>;
  /** Sends it a message, which its `process.on("message")` hears. */
  readonly send: (message: string) => void;
}

const ROOT = resolve(import.meta.dirname, "../..");
/** Longer than a drain takes, so that a profile is written; after that it is killed. */
const STOP_MS = 20_000;
const KEPT_LINES = 50;

/** Starts a file and resolves when it logs `ready`. Throws BenchError with its last lines when it ends before that. */
export async function startProcess(options: ProcessOptions): Promise<BenchProcess> {
  const nodeArgs = [...(options.nodeArgs ?? []), resolve(ROOT, options.entry), ...(options.args ?? [])];
  const child = spawn(process.execPath, nodeArgs, {
    env: { ...options.env, NODE_NO_WARNINGS: "1" },
    // The channel ends a process whose starter is gone.
    stdio: ["ignore", "pipe", "pipe", "ipc"],
  });
  const onExit = cleanUpOnExit(() => child.kill("SIGKILL"));
  child.once("exit", () => onExit[Symbol.dispose]());
  if (options.onMessage !== undefined) child.on("message", options.onMessage);
  const exited = new Promise<void>((done) => {
    child.once("exit", () => done());
    child.once("error", () => done());
  });
  const lines: string[] = [];
  const ready = await readyLine(child, options.entry, lines);
  let asked = false;
  const { promise: failed, reject } = Promise.withResolvers<never>();
  failed.catch(() => undefined);
  child.once("exit", (code, signal) => {
    if (!asked) reject(new BenchError(`${options.entry} ended with ${signal ?? code}: ${lines.join(" | ")}`));
  });
  return {
    pid: child.pid ?? 0,
    ready,
    failed,
    send: (message) => void child.send(message),
    [Symbol.asyncDispose]: async () => {
      asked = true;
      const tooLate = setTimeout(() => child.kill("SIGKILL"), STOP_MS);
      child.kill("SIGTERM");
      await exited;
      clearTimeout(tooLate);
    },
  };
}

async function readyLine(
  child: ChildProcess,
  entry: string,
  lines: string[],
): Promise<Readonly<Record<string, unknown>>> {
  return new Promise((found, failed) => {
    const read = (line: string): void => {
      lines.push(line);
      if (lines.length > KEPT_LINES) lines.shift();
      const fields = line.startsWith("{") ? parsed(line) : {};
      if (fields["msg"] === "ready") found(fields);
    };
    for (const stream of [child.stdout, child.stderr]) {
      if (stream !== null) createInterface({ input: stream }).on("line", read);
    }
    child.once("error", (cause) => failed(new BenchError(`${entry} could not be started: ${cause.message}`)));
    child.once("exit", () => failed(new BenchError(`${entry} ended before it was ready: ${lines.join(" | ")}`)));
  });
}

function parsed(line: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === "object" && value !== null ? { ...value } : {};
  } catch {
    return {};
  }
}

/** What a process of the benchmark itself prints once it works, with what its starter must know. */
export function sayReady(fields: Readonly<Record<string, string | number>> = {}): void {
  process.stdout.write(`${JSON.stringify({ ...fields, msg: "ready" })}\n`);
}

/** Resolves when the process is asked to stop, or its starter is gone. */
export function askedToStop(): Promise<void> {
  return new Promise((done) => {
    for (const event of ["SIGTERM", "SIGINT", "disconnect"]) process.once(event, () => done());
  });
}
