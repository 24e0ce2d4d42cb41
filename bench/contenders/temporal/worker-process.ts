// Owns the worker's process, which is a program in Go: started, heard and ended.

import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { BenchError } from "../../support/bench-error.ts";

/** What to start. */
export interface WorkerOptions {
  readonly binary: string;
  readonly args: readonly string[];
  /** Hears the ids of workflows that have ended well, once Temporal has stored that. */
  readonly onEnded: (id: string) => void;
  /** Hears of those that have ended otherwise. */
  readonly onFailed: (id: string) => void;
}

/** A worker that polls. Disposing it ends it. */
export interface WorkerProcess extends AsyncDisposable {
  readonly pid: number;
  /** Rejects with BenchError when it ends unasked; never resolves. */
  readonly failed: Promise<never>;
}

const STOP_WITHIN_MS = 10_000;

/** Starts it. Rejects with BenchError when it ends before it is ready. */
export async function startWorker({ binary, args, onEnded, onFailed }: WorkerOptions): Promise<WorkerProcess> {
  // It ends with its input, and so with this process, however that ends.
  const child = spawn(binary, args, { stdio: ["pipe", "pipe", "pipe"] });
  let lastLine = "";
  createInterface({ input: child.stderr }).on("line", (line) => (lastLine = line));
  const { promise: failed, reject } = Promise.withResolvers<never>();
  failed.catch(() => undefined);
  let asked = false;
  child.once("error", (error) => reject(new BenchError(`Temporal's worker could not be run: ${error.message}`)));
  const closed = new Promise<void>((done) => {
    child.once("close", (code, signal) => {
      if (!asked) reject(new BenchError(`Temporal's worker ended with ${signal ?? code}: ${lastLine}`));
      done();
    });
  });
  const ready = new Promise<void>((found) => {
    createInterface({ input: child.stdout }).on("line", (line) => {
      const [what, id = ""] = line.split(" ", 2);
      if (what === "ended") onEnded(id);
      else if (what === "failed") onFailed(id);
      else if (what === "ready") found();
    });
  });
  await Promise.race([ready, failed]);
  return {
    pid: child.pid ?? 0,
    failed,
    [Symbol.asyncDispose]: async () => {
      asked = true;
      const tooLate = setTimeout(() => child.kill("SIGKILL"), STOP_WITHIN_MS);
      child.stdin.end();
      await closed;
      clearTimeout(tooLate);
    },
  };
}
