// A command in a pseudo-terminal of the kernel, with an emulator at its other end. The kernel's side is made by `script`, which every
// Debian has; sizes are set by `stty`, as a window would.
import { execFile, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { type EmulatedTerminal, openEmulatedTerminal } from "./emulated-terminal.ts";

/** Why there is no pseudo-terminal on this machine; undefined if there is. */
export const NO_PSEUDO_TERMINAL: string | undefined = whyNone();

/** A command at work in a terminal. */
export interface PseudoTerminal extends AsyncDisposable {
  readonly screen: EmulatedTerminal;
  /** Types keys. */
  type(keys: string): void;
  /** Changes the window's size. */
  resize(columns: number, rows: number): Promise<void>;
  /** Sends the command a signal. */
  signal(name: NodeJS.Signals): Promise<void>;
  /** Resolves with the command's exit code. */
  readonly exited: Promise<number | null>;
}

/** Starts a command in a terminal of this size. What the shell had on its screen is `$ ` and the text `before`. */
export async function openPseudoTerminal(
  command: readonly string[],
  options: {
    readonly columns: number;
    readonly rows: number;
    readonly env: Readonly<Record<string, string>>;
    readonly before: string;
  },
): Promise<PseudoTerminal> {
  const dir = await mkdtemp(join(tmpdir(), "mycel-pty-"));
  const screen = openEmulatedTerminal(options.columns, options.rows);
  const quoted = command.map((word) => `'${word}'`).join(" ");
  // The process id and the terminal are told before the command takes the shell's place.
  const line = `stty rows ${options.rows} cols ${options.columns}; echo '${options.before}'; tty > ${dir}/tty; echo $$ > ${dir}/pid; exec ${quoted}`;
  const child = spawn("script", ["--quiet", "--return", "--flush", "--command", line, "/dev/null"], {
    env: { PATH: process.env["PATH"], TERM: "xterm-256color", SHELL: "/bin/sh", ...options.env },
    stdio: ["pipe", "pipe", "inherit"],
  });
  child.stdout.on("data", (data: Buffer) => screen.write(data));
  child.stdin.on("error", () => undefined);
  screen.onAnswer((data) => void child.stdin.write(data));
  const exited = once(child, "close").then(() => child.exitCode);
  const told = async (name: string): Promise<string> => (await readFile(join(dir, name), "utf8")).trim();
  return {
    screen,
    exited,
    type: (keys) => void child.stdin.write(keys),
    async resize(columns, rows) {
      screen.resize(columns, rows);
      await promisify(execFile)("stty", ["-F", await told("tty"), "rows", String(rows), "cols", String(columns)]);
    },
    async signal(name) {
      process.kill(Number(await told("pid")), name);
    },
    async [Symbol.asyncDispose]() {
      child.kill("SIGKILL");
      await exited;
      screen[Symbol.dispose]();
      await rm(dir, { recursive: true, force: true });
    },
  };
}

function whyNone(): string | undefined {
  if (process.platform !== "linux") return "pseudo-terminals are made with script and stty of Linux";
  const { error, status } = spawnSync("script", ["--version"]);
  return error === undefined && status === 0 ? undefined : "there is no script command (Debian: bsdutils)";
}
