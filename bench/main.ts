// `npm run bench`: the mesh from end to end, in ratios to what JetStream alone does with the same messages in the same run.

import { mkdir, writeFile } from "node:fs/promises";
import process from "node:process";
import { setTimeout as sleep } from "node:timers/promises";
import { openFloor } from "./floor/floor.ts";
import { openMesh } from "./mesh/mesh.ts";
import { cpuRowsOf, rowsOf } from "./report/rows.ts";
import { reportText } from "./report/table.ts";
import { runRounds } from "./rounds.ts";
import { SCENARIOS } from "./scenarios/all.ts";
import { BenchError, BenchUsageError } from "./support/bench-error.ts";
import { loadNow, lookAround } from "./support/environment.ts";
import { type BenchOptions, readOptions, USAGE } from "./support/options.ts";

const EXIT_USAGE = 2;
const CRASH_KNOWN_WITHIN_MS = 500;

async function main(options: BenchOptions, args: readonly string[]): Promise<void> {
  const onProgress = (line: string): void => {
    process.stderr.write(`${line}\n`);
  };
  const loadBefore = loadNow();
  const environment = withoutSettings(process.env);
  if (options.profile !== undefined) await mkdir(options.profile, { recursive: true });
  await using mesh = await openMesh({ environment, profileDir: options.profile });
  await using floor = await openFloor({ environment, sizes: mesh.sizes });
  const scenarios = SCENARIOS.filter(({ id }) => options.only.length === 0 || options.only.includes(id));
  const ranOn = await lookAround(args, mesh.natsVersion, loadBefore);
  const { rounds, tasks, samples } = options;
  const work = runRounds({ mesh, floor, scenarios, rounds, tasks, samples, onProgress });
  const results = await Promise.race([explained(work, mesh.failed), interrupted()]);
  const rows = rowsOf(results);
  const cpuRows = cpuRowsOf(results);
  process.stdout.write(`${reportText(ranOn, rows, cpuRows)}\n`);
  if (options.json !== undefined) {
    const all = { environment: ranOn, options: { rounds, tasks, samples }, sizes: mesh.sizes, rows, cpu: cpuRows };
    await writeFile(options.json, `${JSON.stringify(all, undefined, 2)}\n`);
  }
}

/** Settings that the user has for another mesh, or for tracing, must not change what is measured. */
function withoutSettings(env: NodeJS.ProcessEnv): Record<string, string | undefined> {
  const foreign = /^(MYCEL_|OTEL_|NATS_URL$)/;
  return Object.fromEntries(Object.entries(env).filter(([name]) => !foreign.test(name)));
}

/** A call fails a moment before its process is known to be gone; that it is gone is the better reason. */
async function explained<T>(work: Promise<T>, gone: Promise<never>): Promise<T> {
  try {
    return await Promise.race([work, gone]);
  } catch (error) {
    await Promise.race([gone, sleep(CRASH_KNOWN_WITHIN_MS)]);
    throw error;
  }
}

/** Rejects when the user wants it to end, so that everything that was started is stopped. */
function interrupted(): Promise<never> {
  return new Promise((_, reject) => {
    for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => reject(new BenchError("interrupted")));
  });
}

try {
  const args = process.argv.slice(2);
  const options = readOptions(
    args,
    SCENARIOS.map(({ id }) => id),
  );
  if (options.help) process.stdout.write(USAGE);
  else await main(options, args);
  process.exit(0);
} catch (error) {
  const isForeseen = error instanceof BenchError;
  process.stderr.write(`bench: ${isForeseen ? error.message : error instanceof Error ? error.stack : String(error)}\n`);
  process.exit(error instanceof BenchUsageError ? EXIT_USAGE : 1);
}
