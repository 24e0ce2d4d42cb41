// On what a benchmark ran: versions, the machine in general terms, the command; and what of the environment it must not see.

import { cpus, loadavg, platform, totalmem } from "node:os";
import { resolve } from "node:path";
import { run } from "../../lib/nats/server/run.ts";

/** What a result is worth nothing without. */
export interface BenchEnvironment {
  readonly command: string;
  readonly date: string;
  /** The commit, with `+` when the tree had changes. */
  readonly commit: string;
  readonly node: string;
  readonly natsServer: string;
  readonly platform: string;
  readonly cores: number;
  readonly memoryGiB: number;
  /** The one-minute load before the start: what others did on the machine. */
  readonly loadBefore: number;
}

/** Settings that the user has for another mesh, or for tracing, must not change what is measured: the environment without them. */
export function withoutSettings(env: NodeJS.ProcessEnv): Record<string, string | undefined> {
  const foreign = /^(MYCEL_|OTEL_|NATS_URL$)/;
  return Object.fromEntries(Object.entries(env).filter(([name]) => !foreign.test(name)));
}

/** What others do on the machine now: the load of the last minute. */
export function loadNow(): number {
  return Math.round((loadavg()[0] ?? 0) * 100) / 100;
}

/** Looks around; `script` is how npm calls what runs. */
export async function lookAround(
  args: readonly string[],
  natsServer: string,
  loadBefore: number,
  script: string = "bench",
): Promise<BenchEnvironment> {
  return {
    command: [`npm run ${script}`, ...(args.length === 0 ? [] : ["--", ...args])].join(" "),
    date: new Date().toISOString().slice(0, 16).replace("T", " "),
    commit: await commit(),
    node: process.version,
    natsServer,
    platform: platform(),
    cores: cpus().length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    loadBefore,
  };
}

async function commit(): Promise<string> {
  const cwd = resolve(import.meta.dirname, "../..");
  try {
    const hash = (await run("git", ["rev-parse", "--short", "HEAD"], { cwd, timeoutMs: 10_000 })).trim();
    const changes = await run("git", ["status", "--porcelain"], { cwd, timeoutMs: 10_000 });
    return changes.trim() === "" ? hash : `${hash}+`;
  } catch {
    return "unknown";
  }
}
