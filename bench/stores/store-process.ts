// Owns a store's process: started on a free loopback port in a fresh folder, ended with it, and gone without a trace when it cannot start.
// Which program, with which settings, is its callers' business.

import { type ChildProcess, spawn } from "node:child_process";
import { access, chown, constants, mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { guardOrphan } from "../../lib/nats/server/orphan-guard.ts";
import { BenchError } from "../support/bench-error.ts";

/** As whom a process runs; as this one if undefined. */
export interface Account {
  readonly uid: number;
  readonly gid: number;
}

/** What to start. */
export interface StoreCommand {
  /** What errors call it. */
  readonly name: string;
  readonly binary: string;
  readonly args: readonly string[];
  /** The words of the log line after which it serves. */
  readonly readyWords: string;
  /** What ends it at once, data and all. */
  readonly endSignal: NodeJS.Signals;
  readonly account?: Account | undefined;
}

/** A running store. Disposing it ends it and removes its data. */
export interface Store extends AsyncDisposable {
  /** On 127.0.0.1. */
  readonly port: number;
  readonly pid: number;
  readonly version: string;
  /** Rejects with BenchError when it ends unasked; never resolves. */
  readonly failed: Promise<never>;
}

const START_WITHIN_MS = 30_000;
const STOP_WITHIN_MS = 10_000;
const KEPT_LINES = 20;
const PORT_TRIES = 3;

/** The first of the files that can be run. */
export async function firstBinary(files: readonly string[]): Promise<string | undefined> {
  for (const file of files) {
    if (
      await access(file, constants.X_OK).then(
        () => true,
        () => false,
      )
    )
      return file;
  }
  return undefined;
}

/**
 * Starts a store. `prepare` is given the fresh folder and a free port and says what to start. Rejects with BenchError when it does not
 * serve; then neither a process nor the folder is left.
 */
export async function startStore(
  version: string,
  account: Account | undefined,
  prepare: (dir: string, port: number) => Promise<StoreCommand>,
): Promise<Store> {
  await using stack = new AsyncDisposableStack();
  const dir = await mkdtemp(join(tmpdir(), "mycel-bench-store-"));
  stack.defer(() => rm(dir, { recursive: true, force: true }));
  if (account !== undefined) await chown(dir, account.uid, account.gid);
  const port = await freePort();
  const process = stack.use(await startProcess(await prepare(dir, port)));
  const { pid, failed } = process;
  const started = stack.move();
  return { port, pid, version, failed, [Symbol.asyncDispose]: () => started.disposeAsync() };
}

/** Starts a store, on another port if the one that was free is no longer. */
export async function onFreePort(start: () => Promise<Store>): Promise<Store> {
  for (let left = PORT_TRIES; ; left -= 1) {
    try {
      return await start();
    } catch (error) {
      const taken = error instanceof BenchError && /address already in use/i.test(error.message);
      if (!taken || left <= 1) throw error;
    }
  }
}

/** Neither Redis nor PostgreSQL picks a port itself. */
async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((listening, failed) => {
    server.once("error", failed);
    server.listen(0, "127.0.0.1", listening);
  });
  const address = server.address();
  await new Promise((closed) => server.close(closed));
  if (address === null || typeof address === "string") throw new BenchError("no free port on 127.0.0.1");
  return address.port;
}

interface RunningProcess extends AsyncDisposable {
  readonly pid: number;
  readonly failed: Promise<never>;
}

async function startProcess(command: StoreCommand): Promise<RunningProcess> {
  // Detached: Ctrl-C on the terminal must not end it before those who use it. Its messages are read, so they must be in English.
  const child = spawn(command.binary, command.args, {
    ...command.account,
    cwd: "/",
    env: { LC_ALL: "C", TZ: "UTC" },
    stdio: ["ignore", "pipe", "pipe"],
    detached: true,
  });
  const exited = new Promise<void>((done) => {
    child.once("exit", () => done());
    child.once("error", () => done());
  });
  const lines: string[] = [];
  const { promise: failed, reject } = Promise.withResolvers<never>();
  failed.catch(() => undefined);
  const told = (why: string): BenchError => new BenchError(`${command.name} ${why}: ${lines.join(" | ")}`);
  child.once("error", (error) => reject(new BenchError(`${command.name} could not be run: ${error.message}`)));
  const guard = child.pid === undefined ? undefined : guardOrphan(child.pid);
  let asked = false;
  const end = async (): Promise<void> => {
    asked = true;
    if (child.pid === undefined) return;
    const tooLate = setTimeout(() => child.kill("SIGKILL"), STOP_WITHIN_MS);
    child.kill(command.endSignal);
    await exited;
    clearTimeout(tooLate);
    guard?.dismiss();
  };
  // After its last line: why it ended stands in it.
  child.once("close", (code, signal) => {
    if (!asked) reject(told(`ended with ${signal ?? code}`));
  });
  const silent = setTimeout(() => reject(told(`did not serve within ${START_WITHIN_MS / 1_000} s`)), START_WITHIN_MS);
  try {
    await Promise.race([readyLine(child, command.readyWords, lines), failed]);
  } catch (error) {
    await end();
    throw error;
  } finally {
    clearTimeout(silent);
  }
  return { pid: child.pid ?? 0, failed, [Symbol.asyncDispose]: end };
}

async function readyLine(child: ChildProcess, words: string, lines: string[]): Promise<void> {
  await new Promise<void>((found) => {
    const read = (line: string): void => {
      lines.push(line.trim());
      if (lines.length > KEPT_LINES) lines.shift();
      if (line.includes(words)) found();
    };
    for (const stream of [child.stdout, child.stderr]) {
      if (stream !== null) createInterface({ input: stream }).on("line", read);
    }
  });
}
