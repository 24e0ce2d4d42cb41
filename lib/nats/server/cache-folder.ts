// Owns the project's own copy of nats-server: where it lies, and how a new one gets there without a moment in
// which another process could run half a file. Knows nothing of where the copy comes from.
import { chmod, copyFile, mkdir, rename, rm } from "node:fs/promises";
import { randomUUID } from "node:crypto";
import { join } from "node:path";

import { probeNatsServer } from "./probe.ts";

/** The path of the binary inside a cache folder. */
export function cachedBinary(cacheDir: string): string {
  return join(cacheDir, "nats-server");
}

/** A nats-server in the cache folder. */
export interface InstalledNatsServer {
  readonly binary: string;
  /** Without a leading `v`, e.g. `2.15.1`. */
  readonly version: string;
}

/**
 * Puts a copy of `file` into the cache folder, after running it once from there: a binary for another processor or C
 * library is refused and the old copy stays. The copy appears by one rename, so two processes that install at once
 * both end with a whole file, and a running server keeps the file that it has open.
 *
 * Rejects with the reason when the file is no usable nats-server.
 */
export async function installIntoCache(file: string, cacheDir: string): Promise<InstalledNatsServer> {
  await mkdir(cacheDir, { recursive: true });
  const candidate = join(cacheDir, `nats-server.${randomUUID()}.new`);
  try {
    await copyFile(file, candidate);
    await chmod(candidate, 0o755);
    const probe = await probeNatsServer(candidate);
    if (probe.kind === "unusable") throw new Error(probe.reason.replace(candidate, "the binary"));
    const binary = cachedBinary(cacheDir);
    await rename(candidate, binary);
    return { binary, version: probe.version };
  } finally {
    await rm(candidate, { force: true });
  }
}
