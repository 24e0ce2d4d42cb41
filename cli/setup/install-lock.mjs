// Owns that two commands started at once in a fresh checkout do not install over one another.
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";

import { projectRoot, say } from "./project.mjs";

const POLL_MS = 200;

/**
 * Runs `work` while no other process of this checkout runs any; waits for its turn.
 * @template T
 * @param {() => Promise<T>} work
 * @returns {Promise<T>}
 */
export async function withInstallLock(work) {
  const folder = join(projectRoot, ".cache");
  const lock = join(folder, "setup.lock");
  try {
    mkdirSync(folder, { recursive: true });
  } catch {
    return await work(); // A read-only installation: nothing can be installed, so nothing can collide.
  }
  await acquire(lock);
  try {
    return await work();
  } finally {
    rmSync(lock, { force: true });
  }
}

async function acquire(lock) {
  for (let told = false; ;) {
    try {
      writeFileSync(lock, String(process.pid), { flag: "wx" });
      return;
    } catch (error) {
      if (error.code === "EACCES" || error.code === "EROFS") return;
      if (error.code !== "EEXIST") throw error;
    }
    const holder = readHolder(lock);
    if (holder !== undefined && !isAlive(holder)) {
      rmSync(lock, { force: true }); // Its holder was killed.
      continue;
    }
    if (!told) say(`waiting for process ${holder ?? "?"}, which is installing`);
    told = true;
    await delay(POLL_MS);
  }
}

function readHolder(lock) {
  try {
    const pid = Number(readFileSync(lock, "utf8"));
    return pid > 0 ? pid : undefined;
  } catch {
    return undefined; // Just released.
  }
}

function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === "EPERM";
  }
}
