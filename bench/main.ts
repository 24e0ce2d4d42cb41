// `npm run bench`: the mesh from end to end, in ratios to what JetStream alone does with the same messages in the same run.

import { mkdir, writeFile } from "node:fs/promises";
import process from "node:process";
import { setTimeout as sleep } from "node:timers/promises";
import { runTool } from "../tests/support/tool.ts";
import { openFloor } from "./floor/floor.ts";
import { openMesh } from "./mesh/mesh.ts";
import { cpuRowsOf, rowsOf } from "./report/rows.ts";
import { reportText } from "./report/table.ts";
import { runRounds } from "./rounds.ts";
import { SCENARIOS } from "./scenarios/all.ts";
import { BenchError } from "./support/bench-error.ts";
import { loadNow, lookAround, withoutSettings } from "./support/environment.ts";
import { type BenchOptions, readOptions } from "./support/options.ts";

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

await runTool("bench", async (args) => {
  const scenarioIds = SCENARIOS.map(({ id }) => id);
  await main(readOptions(args, scenarioIds), args);
  return 0;
});
