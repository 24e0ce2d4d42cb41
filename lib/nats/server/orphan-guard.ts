// Owns one promise: a server that we started does not outlive us, even if we are killed with -9. Node has no
// parent-death signal, so a tiny shell waits on a pipe that the system closes when we are gone.
import { spawn } from "node:child_process";

/** A guard over one process. */
export interface OrphanGuard {
  /** Ends the guard; call once the guarded process has ended, before its id can belong to another. */
  dismiss(): void;
}

/** Watches over process `pid`: when this process ends in whatever way, `pid` gets SIGTERM. */
export function guardOrphan(pid: number): OrphanGuard {
  // Detached, so that Ctrl-C on the terminal does not kill the guard before it has done its work.
  const guard = spawn("/bin/sh", ["-c", 'read -r _; kill -TERM "$1" 2>/dev/null', "mycel-guard", String(pid)], {
    stdio: ["pipe", "ignore", "ignore"],
    detached: true,
  });
  // Without a shell there is no guard; the server itself works all the same.
  guard.on("error", () => undefined);
  guard.stdin.on("error", () => undefined);
  guard.unref();
  return {
    dismiss(): void {
      guard.kill("SIGKILL");
    },
  };
}
