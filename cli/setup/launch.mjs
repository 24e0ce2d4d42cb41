// Owns standing in for another program: its terminal, its signals and its end are ours, and it does not outlive us.
import { spawn } from "node:child_process";

import { compileCache } from "./project.mjs";

const FORWARDED = ["SIGINT", "SIGTERM", "SIGHUP"];
/** npm and `timeout` may send one signal both to us and to our whole group; the program must see it once. */
const SAME_SIGNAL_MS = 250;

/**
 * Runs a program with our standard streams and ends this process the way it ended.
 * @param {string} command
 * @param {string[]} args
 * @param {NodeJS.ProcessEnv} env
 * @returns {Promise<never>}
 */
export async function launch(command, args, env) {
  const terminal = process.stdin.isTTY === true || process.stdout.isTTY === true || process.stderr.isTTY === true;
  // On a terminal the program must stay in its foreground group, and Ctrl-C reaches it without us. Without one it gets
  // a group of its own, so that every signal comes through us, once.
  const child = spawn(command, args, {
    env: { NODE_COMPILE_CACHE: compileCache, ...env },
    stdio: "inherit",
    detached: !terminal,
  });
  const ended = new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("exit", (code, signal) => resolve({ code, signal }));
  });
  const guard = guardOrphan(child.pid);
  const lastSent = new Map();
  for (const signal of FORWARDED) {
    process.on(signal, () => {
      if (terminal && signal !== "SIGTERM") return;
      const now = performance.now();
      if (now - (lastSent.get(signal) ?? Number.NEGATIVE_INFINITY) < SAME_SIGNAL_MS) return;
      lastSent.set(signal, now);
      child.kill(signal);
    });
  }
  const { code, signal } = await ended;
  guard?.kill("SIGKILL");
  if (signal === null) process.exit(code ?? 1);
  for (const name of FORWARDED) process.removeAllListeners(name);
  process.kill(process.pid, signal);
  // Only a signal that cannot end us (SIGCHLD and the like) lets us come so far.
  return await new Promise(() => setTimeout(() => process.exit(1), 1_000));
}

/** A shell that waits on a pipe, which the system closes when we are gone, and then ends the program. */
function guardOrphan(pid) {
  if (pid === undefined) return undefined;
  const script = 'read -r _; kill -TERM "$1" 2>/dev/null';
  const guard = spawn("/bin/sh", ["-c", script, "mycel-guard", String(pid)], {
    stdio: ["pipe", "ignore", "ignore"],
    detached: true,
  });
  guard.on("error", () => undefined);
  guard.stdin.on("error", () => undefined);
  guard.unref();
  return guard;
}
