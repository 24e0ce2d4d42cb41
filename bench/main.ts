// `npm run bench`: the mesh from end to end, in ratios to its peers and to what JetStream alone does, all in the same run.

import { mkdir, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import process from "node:process";
import { findNatsServer } from "../lib/nats/server/find-server.ts";
import { runTool } from "../tests/support/tool.ts";
import { OTHERS } from "./contenders/all.ts";
import { type BenchReport, environmentText, measuredText, targetTable } from "./report/report.ts";
import { cpuRowsOf, rowsOf } from "./report/rows.ts";
import { judged, TARGETS } from "./report/targets.ts";
import { writeReport } from "./report/write.ts";
import { SCALE_SCENARIOS } from "./scale/all.ts";
import { measureScale } from "./scale/measure.ts";
import { SCENARIOS } from "./scenarios/all.ts";
import { runSuite, type SuiteOptions, type SuiteResult } from "./suite.ts";
import { BenchError } from "./support/bench-error.ts";
import { loadNow, lookAround, withoutSettings } from "./support/environment.ts";
import { type BenchOptions, readOptions } from "./support/options.ts";

const DOCS = resolve(import.meta.dirname, "../docs");

async function main(options: BenchOptions, args: readonly string[]): Promise<void> {
  const loadBefore = loadNow();
  const environment = withoutSettings(process.env);
  const { version } = await findNatsServer({ environment });
  const ranOn = await lookAround(args, version, loadBefore);
  const stopped = interrupted();
  const isWanted = ({ id }: { readonly id: string }): boolean => options.only?.includes(id) ?? true;

  const suites = await runSuites(options, {
    environment,
    others: OTHERS.filter(({ id }) => options.with?.includes(id) ?? true),
    scenarios: SCENARIOS.filter(isWanted),
    stopped,
    onProgress: say,
  });
  const scale = await measureScale(SCALE_SCENARIOS.filter(isWanted), {
    environment,
    quick: options.quick,
    stopped,
    onProgress: say,
  });

  const rows = suites.flatMap(({ durability, results }) => rowsOf(durability, results));
  const figures = scale.groups.flatMap((group) => group.figures);
  const absent = { ...absentOf(suites), ...scale.absent };
  const report: BenchReport = {
    environment: ranOn,
    titles: Object.fromEntries(suites.map(({ durability, titles }) => [durability, titles])),
    rows,
    cpu: suites.flatMap(({ durability, results }) => cpuRowsOf(durability, results)),
    scale: scale.groups,
    absent,
    verdicts: judged(TARGETS, { rows, figures, absent }),
  };
  const parts = [environmentText(ranOn), measuredText(report), targetTable(report.verdicts)];
  process.stdout.write(`${parts.join("\n\n")}\n`);
  const { tasks, rounds, samples } = options;
  const all = { ...report, options: { tasks, rounds, samples }, sizes: suites[0]?.sizes };
  if (options.json !== undefined) await writeFile(options.json, `${JSON.stringify(all, undefined, 2)}\n`);
  if (options.write) await writeReport(DOCS, report);
}

type Common = Pick<SuiteOptions, "environment" | "others" | "scenarios" | "stopped" | "onProgress">;

async function runSuites(options: BenchOptions, common: Common): Promise<readonly SuiteResult[]> {
  const { rounds, tasks, samples, profile } = options;
  const suites: SuiteResult[] = [];
  for (const durability of options.durabilities) {
    if (!common.scenarios.some(({ durabilities }) => durabilities.includes(durability))) continue;
    say(`durability ${durability}`);
    const profileDir = profile === undefined ? undefined : join(profile, durability);
    if (profileDir !== undefined) await mkdir(profileDir, { recursive: true });
    suites.push(await runSuite({ ...common, durability, rounds, tasks, samples, profileDir }));
  }
  return suites;
}

function absentOf(suites: readonly SuiteResult[]): Record<string, string> {
  return Object.fromEntries(
    suites.flatMap(({ durability, absent }) =>
      Object.entries(absent).map(([id, reason]) => [`${durability} ${id}`, reason] as const),
    ),
  );
}

function say(line: string): void {
  process.stderr.write(`${line}\n`);
}

/** Rejects when the user wants it to end, so that everything that was started is stopped. */
function interrupted(): Promise<never> {
  const { promise, reject } = Promise.withResolvers<never>();
  for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => reject(new BenchError("interrupted")));
  promise.catch(() => undefined);
  return promise;
}

await runTool("bench", async (args) => {
  const words = {
    scenarios: [...SCENARIOS, ...SCALE_SCENARIOS].map(({ id }) => id),
    others: OTHERS.map(({ id }) => id),
  };
  await main(readOptions(args, words), args);
  return 0;
});
