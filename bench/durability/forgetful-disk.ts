// Owns disks that forget, when told to, whatever was not forced onto them: a small FUSE file system of this folder, built when it is
// first used. It needs Go, /dev/fuse and the right to mount.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { run } from "../../lib/nats/server/run.ts";
import { BenchError } from "../support/bench-error.ts";

/** A mounted folder. Disposing it unmounts it and removes what it held. */
export interface ForgetfulDisk extends AsyncDisposable {
  /** The folder. */
  readonly path: string;
  /** Forces everything down, as time does. */
  sync(): Promise<void>;
  /** Forgets what was not forced down, as a machine that loses power, and comes back under the same path. End its users before. */
  cut(): Promise<void>;
}

const ROOT = resolve(import.meta.dirname, "../..");
const BUILD_TIMEOUT_MS = 180_000;
const COMMAND_TIMEOUT_MS = 10_000;

let built: Promise<string> | undefined;

/** Mounts an empty disk. Throws BenchError, in one line, where that cannot be done. */
export async function openForgetfulDisk(): Promise<ForgetfulDisk> {
  built ??= build();
  const binary = await built;
  const dir = await mkdtemp(join(tmpdir(), "mycel-powercut-"));
  const [backing, path] = [join(dir, "backing"), join(dir, "disk")];
  await mkdir(backing);
  await mkdir(path);
  let server = await mount(binary, backing, path);
  const unmount = async (): Promise<void> => {
    server.child.kill("SIGKILL");
    await server.exited;
    await run("umount", ["-l", path], { timeoutMs: COMMAND_TIMEOUT_MS });
  };
  return {
    path,
    sync: async () => {
      const synced = server.nextLine("synced");
      server.child.kill("SIGUSR1");
      await synced;
    },
    cut: async () => {
      await unmount();
      server = await mount(binary, backing, path);
    },
    [Symbol.asyncDispose]: async () => {
      await unmount();
      await rm(dir, { recursive: true, force: true });
    },
  };
}

async function build(): Promise<string> {
  const binary = join(ROOT, ".cache/powercut/powercut");
  try {
    await run("go", ["build", "-o", binary, "."], {
      cwd: join(import.meta.dirname, "power-cut-fs"),
      timeoutMs: BUILD_TIMEOUT_MS,
    });
  } catch (error) {
    throw new BenchError(`no power can be cut here: ${error instanceof Error ? error.message : String(error)}`);
  }
  return binary;
}

interface FileServer {
  readonly child: ChildProcess;
  readonly exited: Promise<void>;
  /** Resolves when it prints this line. */
  nextLine(line: string): Promise<void>;
}

async function mount(binary: string, backing: string, path: string): Promise<FileServer> {
  const child = spawn(binary, [backing, path], { stdio: ["ignore", "pipe", "pipe"] });
  const exited = new Promise<void>((done) => {
    child.once("exit", () => done());
    child.once("error", () => done());
  });
  const complaints: string[] = [];
  createInterface({ input: child.stderr }).on("line", (line) => complaints.push(line));
  const lines = createInterface({ input: child.stdout });
  const nextLine = async (line: string): Promise<void> => {
    for (;;) {
      const [said]: unknown[] = await Promise.race([
        once(lines, "line"),
        exited.then(() => {
          throw new BenchError(`no power can be cut here: ${complaints.at(-1) ?? "the file system ended"}`);
        }),
      ]);
      if (said === line) return;
    }
  };
  await nextLine("ready");
  return { child, exited, nextLine };
}
