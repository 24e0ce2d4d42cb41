// Owns the life of a nats-server that Mycel runs itself: start until JetStream answers, address, end.
// Does not find the binary (`find-server.ts`), and opens no NATS connection.
import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { resolve } from "node:path";

import { adoptStore } from "./adopt-store.ts";
import { claimDataDir } from "./data-dir.ts";
import { guardOrphan } from "./orphan-guard.ts";
import { awaitReady, type NatsServerAddresses } from "./readiness.ts";
import { checkSettings, type NatsServerFiles, type NatsServerSettings, serverConfig } from "./server-config.ts";
import { openServerLog } from "./server-log.ts";

/** What {@link startNatsServer} starts. */
export interface StartNatsServerOptions extends NatsServerSettings {
  /** The nats-server binary, as {@link findNatsServer} gives it. */
  readonly binary: string;
  /** Folder for JetStream's store, the configuration and the log; made if missing, used by one server at a time. */
  readonly dataDir: string;
  /** Milliseconds until JetStream must answer; reading back a large store takes long. Default 60,000. */
  readonly startTimeoutMs?: number | undefined;
}

/** How a server ended: its exit code, or the signal that ended it. */
export interface NatsServerExit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** A running nats-server, child of this process. It ends when this process ends, in whatever way. */
export interface NatsServerProcess extends NatsServerAddresses, AsyncDisposable {
  readonly pid: number;
  /** nats-server's log, across restarts. */
  readonly logFile: string;
  /** Resolves when the process has ended, for whatever reason; never rejects. */
  readonly exited: Promise<NatsServerExit>;
  /** Ends the server cleanly (SIGTERM, after 10 s SIGKILL) and resolves when it is gone. May be called again. */
  stop(): Promise<void>;
  /** Ends the server with SIGKILL, as a crash would, and resolves when it is gone. For fault tests. */
  killNow(): Promise<void>;
}

const DEFAULT_START_TIMEOUT_MS = 60_000;
const STOP_TIMEOUT_MS = 10_000;

/**
 * Starts a nats-server with JetStream and resolves when it serves. Rejects with one line when a setting is out of
 * range, the port is taken, the data folder is in use, or the server ends or stays silent during its start.
 */
export async function startNatsServer(options: StartNatsServerOptions): Promise<NatsServerProcess> {
  checkSettings(options);
  const startTimeoutMs = options.startTimeoutMs ?? DEFAULT_START_TIMEOUT_MS;
  const dataDir = await claimDataDir(resolve(options.dataDir));
  try {
    const { files } = dataDir;
    if (options.trust !== undefined) await adoptStore(files.storeDir, options.trust.meshAccount);
    await writeFile(files.config, serverConfig(options, files), { mode: 0o600 });
    const log = await openServerLog(files.log);
    const child = spawnServer(options.binary, files);
    const exited = exitOf(child);
    const { pid } = child;
    if (pid === undefined) throw new Error(`${options.binary} could not be run`);
    try {
      dataDir.record(pid);
    } catch (error) {
      // A server that nothing tells of would hold the folder unseen.
      await kill(child, exited, "SIGKILL");
      throw error;
    }
    const guard = guardOrphan(pid);
    void exited.then(() => guard.dismiss());

    const end = new AbortController();
    void exited.then(() => end.abort(new Error("nats-server ended")));
    const signal = AbortSignal.any([end.signal, AbortSignal.timeout(startTimeoutMs)]);
    try {
      const addresses = await awaitReady({ portsDir: files.portsDir, pid, host: options.host, signal });
      return serverProcess(child, pid, addresses, files.log, exited);
    } catch (error) {
      const ended = end.signal.aborted;
      await kill(child, exited, "SIGKILL");
      const why = ended ? await log.failure() : `gave no sign of health within ${startTimeoutMs} ms`;
      throw new Error(`nats-server ${why} (log: ${files.log})`, { cause: error });
    }
  } finally {
    dataDir.release();
  }
}

function serverProcess(
  child: ChildProcess,
  pid: number,
  addresses: NatsServerAddresses,
  logFile: string,
  exited: Promise<NatsServerExit>,
): NatsServerProcess {
  const stop = async (): Promise<void> => {
    const tooLate = setTimeout(() => child.kill("SIGKILL"), STOP_TIMEOUT_MS);
    // A server that a test has stopped with SIGSTOP would not see the SIGTERM.
    child.kill("SIGCONT");
    await kill(child, exited, "SIGTERM");
    clearTimeout(tooLate);
  };
  return {
    ...addresses,
    pid,
    logFile,
    exited,
    stop,
    killNow: async () => await kill(child, exited, "SIGKILL"),
    [Symbol.asyncDispose]: stop,
  };
}

async function kill(child: ChildProcess, exited: Promise<NatsServerExit>, signal: NodeJS.Signals): Promise<void> {
  child.kill(signal);
  await exited;
}

function spawnServer(binary: string, files: NatsServerFiles): ChildProcess {
  // What the server says before it has opened its log, or when it panics, goes to the same file.
  const log = openSync(files.log, "a");
  try {
    // Detached: Ctrl-C on the terminal must reach Mycel alone, which stops the server after everything that uses it.
    return spawn(binary, ["-c", files.config], { stdio: ["ignore", log, log], detached: true });
  } finally {
    closeSync(log);
  }
}

async function exitOf(child: ChildProcess): Promise<NatsServerExit> {
  return await new Promise((resolveExit) => {
    child.once("exit", (code, signal) => resolveExit({ code, signal }));
    child.on("error", () => {
      if (child.pid === undefined) resolveExit({ code: null, signal: null });
    });
  });
}
