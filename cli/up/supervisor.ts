// Keeps child processes running: starts them, waits until each says that it is ready, starts them again when they die, and stops them
// together. Their logs go to files, so that the terminal stays readable.

import { type ChildProcess, spawn } from "node:child_process";
import { createWriteStream, type WriteStream } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";

/** A process to keep running. */
export interface ServiceSpec {
  /** How it is called in messages, and its log file. */
  readonly name: string;
  /** The TypeScript file to run. */
  readonly entry: string;
  /** Its whole environment. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** What of its environment changes once it has been ready, for when it has to be started again: a port that it got, say. */
  readonly pinned?: (ready: Readonly<Record<string, unknown>>) => Readonly<Record<string, string>>;
}

/** What a supervisor needs. */
export interface SupervisorOptions {
  /** The folder for log files; it must exist. */
  readonly logDir: string;
  /** Hears, in one line each, of what the user should know. */
  readonly report: (line: string) => void;
}

/** A child process ended before it was ready. The message is its own last line for the user. */
export class StartError extends Error {
  override readonly name = "StartError";
  /** The child's exit code; 1 if a signal ended it. */
  readonly exitCode: number;

  constructor(message: string, exitCode: number) {
    super(message);
    this.exitCode = exitCode;
  }
}

/** A service that is kept running. */
export interface Supervised {
  readonly name: string;
  /** What its first ready line said. */
  readonly ready: Readonly<Record<string, unknown>>;
  readonly logFile: string;
}

const RESTART_DELAY_MS = 500;
const MAX_RESTART_DELAY_MS = 30_000;
const STOP_TIMEOUT_MS = 15_000;

interface Running {
  spec: ServiceSpec;
  child: ChildProcess;
}

/** Starts, restarts and stops services. Disposing it stops all at once. */
export class Supervisor implements AsyncDisposable {
  readonly #options: SupervisorOptions;
  readonly #running: Running[] = [];
  #stopping = false;

  constructor(options: SupervisorOptions) {
    this.#options = options;
  }

  /** Starts a service and resolves when it says that it is ready. Throws StartError. */
  async start(spec: ServiceSpec): Promise<Supervised> {
    const logFile = join(this.#options.logDir, `${spec.name}.log`);
    const running: Running = { spec, child: spawnService(spec) };
    this.#running.push(running);
    const ready = await whenReady(running.child, createWriteStream(logFile, { flags: "a" }));
    running.spec = { ...spec, env: { ...spec.env, ...spec.pinned?.(ready) } };
    this.#watch(running, logFile);
    return { name: spec.name, ready, logFile };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping = true;
    await Promise.all(this.#running.map(({ child }) => stop(child)));
  }

  #watch(running: Running, logFile: string, delay: () => number = () => RESTART_DELAY_MS): void {
    const { spec } = running;
    running.child.once("exit", (code, signal) => {
      if (this.#stopping) return;
      this.#options.report(`${spec.name} ended (${signal ?? `exit code ${code}`}); starting it again`);
      const delayMs = delay();
      setTimeout(() => {
        if (this.#stopping) return;
        running.child = spawnService(spec);
        // What does not come up, as an agent that was revoked, is tried again less and less often.
        let nextMs = Math.min(delayMs * 2, MAX_RESTART_DELAY_MS);
        whenReady(running.child, createWriteStream(logFile, { flags: "a" })).then(
          () => {
            nextMs = RESTART_DELAY_MS;
            this.#options.report(`${spec.name} is back`);
          },
          (error: unknown) =>
            this.#options.report(`${spec.name}: ${error instanceof Error ? error.message : String(error)}`),
        );
        this.#watch(running, logFile, () => nextMs);
      }, delayMs);
    });
  }
}

function spawnService({ entry, env }: ServiceSpec): ChildProcess {
  // The channel tells a child that we are gone, however we went.
  return spawn(process.execPath, [entry], {
    env: { ...env },
    stdio: ["ignore", "pipe", "pipe", "ipc"],
    detached: true,
  });
}

function whenReady(child: ChildProcess, log: WriteStream): Promise<Readonly<Record<string, unknown>>> {
  const { promise, resolve, reject } = Promise.withResolvers<Readonly<Record<string, unknown>>>();
  let lastError = "";
  if (child.stdout !== null) {
    child.stdout.pipe(log, { end: false });
    const lines = createInterface({ input: child.stdout });
    lines.on("line", (line) => {
      const entry = readLog(line);
      if (entry?.["msg"] === "ready") resolve(entry);
    });
  }
  if (child.stderr !== null) {
    child.stderr.pipe(log, { end: false });
    createInterface({ input: child.stderr }).on("line", (line) => {
      if (line.trim() !== "") lastError = line;
    });
  }
  child.once("error", reject);
  child.once("close", (code) => {
    log.end();
    reject(new StartError(lastError === "" ? `ended with code ${code} before it was ready` : lastError, code ?? 1));
  });
  return promise;
}

function readLog(line: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const entry: unknown = JSON.parse(line);
    return isRecord(entry) ? entry : undefined;
  } catch {
    return undefined;
  }
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null;
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise((resolve) => child.once("exit", resolve));
  child.kill("SIGTERM");
  const timer = setTimeout(() => child.kill("SIGKILL"), STOP_TIMEOUT_MS);
  await ended;
  clearTimeout(timer);
}
