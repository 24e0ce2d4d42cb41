// Owns the two programs in Go that Temporal is measured with: its dev server and a worker. Whether they are built, where, and how.

import { createHash } from "node:crypto";
import { access, constants, mkdir, readdir, readFile, rm } from "node:fs/promises";
import { basename, join, resolve } from "node:path";
import { run } from "../../../lib/nats/server/run.ts";
import { BenchError } from "../../support/bench-error.ts";

/** The programs' files. */
export interface TemporalBinaries {
  /** Temporal's command-line tool, which has the dev server in it. */
  readonly server: string;
  readonly worker: string;
}

const FOLDER = import.meta.dirname;
const CACHE = resolve(FOLDER, "../../../.cache/temporal");
/** What the programs are made of; `go.mod` and `go.sum` pin everything else. */
const SOURCES = ["go.mod", "go.sum", "worker/main.go"];
const BUILD_TIMEOUT_MS = 3_600_000;
const GO_TIMEOUT_MS = 10_000;

/** The programs; undefined if they have not been built from what is there now. */
export async function findTemporal(cache: string = CACHE): Promise<TemporalBinaries | undefined> {
  const binaries = binariesIn(join(cache, await sourceHash()));
  const found = Object.values(binaries).map((file: string) => access(file, constants.X_OK));
  return await Promise.all(found).then(
    () => binaries,
    () => undefined,
  );
}

/** What the machine lacks, as one line with what to do; undefined if nothing. */
export async function lackingTemporal(cache: string = CACHE): Promise<string | undefined> {
  if ((await findTemporal(cache)) !== undefined) return undefined;
  const isGo = await run("go", ["version"], { timeoutMs: GO_TIMEOUT_MS }).then(
    () => true,
    () => false,
  );
  return isGo
    ? "its dev server is not built; npm run bench:temporal builds it within some minutes"
    : "no Go toolchain to build its dev server with; install Go 1.25 or newer, then npm run bench:temporal";
}

/** Builds the programs, which takes minutes and 2 GB in Go's caches; then removes older ones. Throws BenchError if it cannot be done. */
export async function buildTemporal(): Promise<TemporalBinaries> {
  const dir = join(CACHE, await sourceHash());
  await mkdir(dir, { recursive: true });
  const packages = ["./worker", "github.com/temporalio/cli/cmd/temporal"];
  try {
    await run("go", ["build", "-ldflags=-s -w", "-o", `${dir}/`, ...packages], {
      cwd: FOLDER,
      timeoutMs: BUILD_TIMEOUT_MS,
    });
  } catch (error) {
    throw new BenchError(`Temporal cannot be built here: ${error instanceof Error ? error.message : String(error)}`);
  }
  for (const entry of await readdir(CACHE)) {
    if (entry !== basename(dir)) await rm(join(CACHE, entry), { recursive: true, force: true });
  }
  return binariesIn(dir);
}

function binariesIn(dir: string): TemporalBinaries {
  return { server: join(dir, "temporal"), worker: join(dir, "worker") };
}

async function sourceHash(): Promise<string> {
  const hash = createHash("sha256");
  for (const source of SOURCES) hash.update(await readFile(join(FOLDER, source)));
  return hash.digest("hex").slice(0, 12);
}
