// Real processes of the mesh for tests: coordinators and agents, started as an operator starts them, and killed as faults kill them.

import { type ChildProcess, spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { openTestNats, type TestNats, type TestNatsSettings } from "./nats.ts";
import { testTrust } from "./trust.ts";

const ROOT = resolve(import.meta.dirname, "../..");

/** A child process that said that it is ready. */
export interface TestProcess extends AsyncDisposable {
  readonly child: ChildProcess;
  readonly pid: number;
  /** The fields of its ready line. */
  readonly ready: Readonly<Record<string, unknown>>;
  /** Everything that it wrote so far, for messages of failing tests. */
  output(): string;
  /** Sends a signal. */
  signal(name: NodeJS.Signals): void;
  /** Resolves with the exit code, or the signal that ended it. */
  readonly exited: Promise<number | NodeJS.Signals | null>;
}

/** Starts a TypeScript file and resolves when it logs `ready`. Rejects with its output when it ends before that. */
export async function startProcess(
  entry: string,
  env: Readonly<Record<string, string>>,
  args: readonly string[] = [],
): Promise<TestProcess> {
  const child = spawn(process.execPath, [resolve(ROOT, entry), ...args], {
    env: { ...process.env, NODE_NO_WARNINGS: "1", ...env },
    stdio: ["ignore", "pipe", "pipe", "ipc"],
  });
  const lines: string[] = [];
  const exited = new Promise<number | NodeJS.Signals | null>((done) => {
    child.once("exit", (code, signal) => done(signal ?? code));
  });
  const ready = await new Promise<Readonly<Record<string, unknown>>>((found, failed) => {
    const read = (line: string): void => {
      lines.push(line);
      const entry = line.startsWith("{") ? (JSON.parse(line) as Record<string, unknown>) : {};
      if (entry["msg"] === "ready") found(entry);
    };
    createInterface({ input: child.stdout! }).on("line", read);
    createInterface({ input: child.stderr! }).on("line", read);
    child.once("exit", () => failed(new Error(`${entry} ended before it was ready:\n${lines.join("\n")}`)));
  });
  return {
    child,
    pid: child.pid!,
    ready,
    output: () => lines.join("\n"),
    signal: (name) => {
      child.kill(name);
    },
    exited,
    [Symbol.asyncDispose]: async () => {
      child.kill("SIGKILL");
      await exited;
    },
  };
}

/** What a mesh in a test is made of. */
export interface TestMeshOptions {
  /** How many coordinators. Default 1. */
  readonly coordinators?: number;
  /** The lease, in milliseconds. Default 2,000. */
  readonly leaseMs?: number;
  /** Settings of the NATS server. */
  readonly nats?: Omit<TestNatsSettings, "trust">;
  /** Whether the NATS server asks everybody for credentials. Default true. */
  readonly trusted?: boolean;
  /** Further settings of the coordinators. */
  readonly env?: Readonly<Record<string, string>>;
}

/** A NATS server and coordinators of its own. */
export interface TestMesh extends AsyncDisposable {
  readonly nats: TestNats;
  readonly coordinators: TestProcess[];
  /** The coordinators' URLs. */
  readonly urls: readonly string[];
  /** A folder that goes away with the mesh. */
  readonly dir: string;
  /** The environment of a coordinator. */
  readonly env: Readonly<Record<string, string>>;
  /** Starts another coordinator. */
  addCoordinator(): Promise<string>;
  /** Starts an agent of `tests/support/test-agent.ts`. */
  startAgent(agentId: string, env?: Readonly<Record<string, string>>): Promise<TestProcess>;
}

/** A coordinator's credentials allow exactly what it does: it must never have met a refusal. */
function expectAllowed(coordinators: readonly TestProcess[]): void {
  const lines = coordinators.flatMap((coordinator) => coordinator.output().split("\n"));
  const refused = lines.find((line) => line.includes("refused by NATS"));
  if (refused !== undefined) throw new Error(`a coordinator tried what it may not do: ${refused}`);
}

/** Opens a mesh of real processes on free ports. */
export async function openMesh(options: TestMeshOptions = {}): Promise<TestMesh> {
  const dir = await mkdtemp(join(tmpdir(), "mycel-mesh-"));
  const trust = options.trusted === false ? undefined : await testTrust();
  const nats = await openTestNats({ ...options.nats, trust });
  const processes: TestProcess[] = [];
  const coordinators: TestProcess[] = [];
  const urls: string[] = [];
  const env = {
    NATS_URL: nats.url,
    ...(trust === undefined ? {} : { MYCEL_NATS_TRUST: trust.coordinatorDir }),
    MYCEL_LISTEN: "127.0.0.1:0",
    MYCEL_LEASE: String(options.leaseMs ?? 2_000),
    MYCEL_HEARTBEAT: "500",
    ...options.env,
  };
  const mesh: TestMesh = {
    nats,
    coordinators,
    urls,
    dir,
    env,
    addCoordinator: async () => {
      const started = await startProcess("services/coordinator/main.ts", env);
      processes.push(started);
      coordinators.push(started);
      const url = String(started.ready["url"]);
      urls.push(url);
      return url;
    },
    startAgent: async (agentId, extra = {}) => {
      const started = await startProcess("tests/support/test-agent.ts", {
        MYCEL_URL: urls.join(","),
        MYCEL_AGENT_ID: agentId,
        TEST_DIR: dir,
        ...extra,
      });
      processes.push(started);
      return started;
    },
    [Symbol.asyncDispose]: async () => {
      await Promise.all(processes.map((started) => started[Symbol.asyncDispose]()));
      await nats[Symbol.asyncDispose]();
      await rm(dir, { recursive: true, force: true });
      expectAllowed(coordinators);
    },
  };
  try {
    for (let i = 0; i < (options.coordinators ?? 1); i += 1) await mesh.addCoordinator();
  } catch (error) {
    await mesh[Symbol.asyncDispose]();
    throw error;
  }
  return mesh;
}
