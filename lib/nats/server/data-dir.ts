// Owns who may use a data folder: at most one living server, and a record of a killed one never blocks the next.
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { mkdir, rm } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import { join } from "node:path";

import { isAlive, isProcessWith } from "./process-identity.ts";
import type { NatsServerFiles } from "./server-config.ts";
import { makeFolder } from "../../files/make-folder.ts";

/** A data folder that this process alone may start a server in, until {@link release}. */
export interface ClaimedDataDir {
  readonly files: NatsServerFiles;
  /** Records the started server, so that others see the folder is taken. Call right after the spawn. */
  record(serverPid: number): void;
  /** Ends the claim on starting. The record of a started server stays. */
  release(): void;
}

/** How long an orphan of a killed owner gets to end; its guard has already told it to. */
const ORPHAN_GRACE_MS = 15_000;
const POLL_MS = 20;

interface ServerRecord {
  readonly serverPid: number;
  readonly ownerPid: number;
}

/**
 * Makes the folder if need be and claims it. Rejects with one line when a living server uses it, or when another
 * process is starting one in it at this moment. A record whose server is dead is ignored; a server whose owner is
 * dead is about to end, and is waited for.
 */
export async function claimDataDir(dataDir: string): Promise<ClaimedDataDir> {
  await makeFolder(dataDir);
  const files: NatsServerFiles = {
    config: join(dataDir, "nats-server.conf"),
    storeDir: join(dataDir, "store"),
    resolverDir: join(dataDir, "accounts"),
    portsDir: join(dataDir, "ports"),
    log: join(dataDir, "nats-server.log"),
  };
  const lock = join(dataDir, "starting.lock");
  const recordFile = join(dataDir, "nats-server.json");
  await takeLock(lock, dataDir);
  const release = (): void => rmSync(lock, { force: true });
  try {
    await refuseLivingServer(recordFile, files.config, dataDir);
    // A killed server leaves its ports file behind; it must not be read as the next one's.
    await rm(files.portsDir, { recursive: true, force: true });
    await mkdir(files.portsDir, { recursive: true });
  } catch (error) {
    release();
    throw error;
  }
  return {
    files,
    release,
    record(serverPid): void {
      const record: ServerRecord = { serverPid, ownerPid: process.pid };
      writeFileSync(recordFile, JSON.stringify(record) + "\n");
    },
  };
}

async function takeLock(lock: string, dataDir: string): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      writeFileSync(lock, String(process.pid), { flag: "wx" });
      return;
    } catch (error) {
      if (!(error instanceof Error && "code" in error && error.code === "EEXIST")) throw error;
    }
    const holder = existsSync(lock) ? Number(readFileSync(lock, "utf8")) : 0;
    if (attempt > 1 || (holder > 0 && (await isAlive(holder)))) {
      throw new Error(`process ${holder} is starting a nats-server in ${dataDir} (if not, delete ${lock})`);
    }
    rmSync(lock, { force: true });
  }
}

async function refuseLivingServer(recordFile: string, config: string, dataDir: string): Promise<void> {
  const record = readRecord(recordFile);
  if (record === undefined) return;
  const deadline = performance.now() + ORPHAN_GRACE_MS;
  while (await isProcessWith(record.serverPid, config)) {
    const orphan = record.ownerPid !== process.pid && !(await isAlive(record.ownerPid));
    if (!orphan || performance.now() > deadline) {
      throw new Error(`${dataDir} is in use by a running nats-server (process ${record.serverPid})`);
    }
    await delay(POLL_MS);
  }
}

function readRecord(recordFile: string): ServerRecord | undefined {
  if (!existsSync(recordFile)) return undefined;
  try {
    const value: unknown = JSON.parse(readFileSync(recordFile, "utf8"));
    if (typeof value !== "object" || value === null || !("serverPid" in value) || !("ownerPid" in value))
      return undefined;
    const { serverPid, ownerPid } = value;
    if (typeof serverPid !== "number" || typeof ownerPid !== "number") return undefined;
    return { serverPid, ownerPid };
  } catch {
    return undefined; // Half a record: its writer was killed while writing, before any server could be of use.
  }
}
