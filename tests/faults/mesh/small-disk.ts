// A disk of a few megabytes in memory, to be filled under a broker. Needs Linux and root.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, open, rm, statfs } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { run } from "../../../lib/nats/server/run.ts";

/** A mounted disk. Disposing it takes it away, with everything on it; so does the end of this process, in whatever way. */
export interface SmallDisk extends AsyncDisposable {
  /** Where it is mounted. */
  readonly dir: string;
  /** Bytes that are free now. */
  freeBytes(): Promise<number>;
  /** Takes all room but this much, in bytes, with a file that is in nobody's way. Default: all. */
  fill(leaveBytes?: number): Promise<void>;
  /** Gives back the room that {@link fill} took. */
  free(): Promise<void>;
}

const MOUNT_TIMEOUT_MS = 10_000;
const PIECE_BYTES = 64 * 1024;

/** Whether this process may mount disks. */
export function canMountDisks(): boolean {
  return process.platform === "linux" && process.getuid?.() === 0;
}

/** Mounts an empty disk of this many bytes. */
export async function openSmallDisk(options: { readonly bytes: number }): Promise<SmallDisk> {
  const dir = await mkdtemp(join(tmpdir(), "mycel-disk-"));
  try {
    await run("mount", ["-t", "tmpfs", "-o", `size=${options.bytes}`, "mycel-faults", dir], {
      timeoutMs: MOUNT_TIMEOUT_MS,
    });
  } catch (error) {
    await rm(dir, { recursive: true });
    throw error;
  }
  // It waits for the end of its input, which comes with the end of this process at the latest.
  const guard = spawn("/bin/sh", ["-c", 'read -r _; umount -l "$1" && rmdir "$1"', "mycel-guard", dir], {
    stdio: ["pipe", "ignore", "ignore"],
    detached: true,
  });
  const gone = once(guard, "exit");
  const ballast = join(dir, "ballast");
  const freeBytes = async (): Promise<number> => {
    const { bavail, bsize } = await statfs(dir);
    return bavail * bsize;
  };
  return {
    dir,
    freeBytes,
    async fill(leaveBytes = 0) {
      const file = await open(ballast, "a");
      try {
        for (let left = await freeBytes(); left > leaveBytes; left = await freeBytes()) {
          await file.appendFile(Buffer.alloc(Math.min(PIECE_BYTES, left - leaveBytes)));
        }
      } catch (error) {
        // The broker may have taken the last of it meanwhile.
        if (!(error instanceof Error && "code" in error && error.code === "ENOSPC")) throw error;
      } finally {
        await file.close();
      }
    },
    async free() {
      await rm(ballast, { force: true });
    },
    async [Symbol.asyncDispose]() {
      guard.stdin.end();
      await gone;
    },
  };
}
