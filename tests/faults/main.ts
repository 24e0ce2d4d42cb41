// `npm run test:faults`: injects every fault of the matrix into real meshes under load, and says what held.
import { resolve } from "node:path";
import process from "node:process";
import { Option } from "commander";
import { wholeNumberOption } from "../../cli/option-values.ts";
import { runTool, toolCommand } from "../support/tool.ts";
import { ROWS } from "./rows/all.ts";
import type { Row } from "./row.ts";
import { type RowResult, runRow } from "./run-row.ts";
import { writeReport } from "./report.ts";
import { terminalTable } from "./table.ts";
import { formatVerdict } from "./checker/check.ts";
import { addCounts, noCounts } from "./checker/counts.ts";

const DEFAULT_TASKS_BETWEEN = 500;
const names = ROWS.map(({ name }) => name);

const program = toolCommand("test:faults")
  .description("Injects every fault of the matrix into real meshes under load, and says what held.")
  .addOption(new Option("--row <name...>", "only these rows").choices(names).default([...names], "all"))
  .option("--seed <number>", "what faults and tasks are chosen by", wholeNumberOption(0), 20_261_121)
  .option("--faults <number>", "faults a row (default: each row's own)", wholeNumberOption(1))
  .option("--tasks <number>", "tasks that must end between two faults (default: each row's own)", wholeNumberOption(1))
  .option("--runs <number>", "how often each row is run, each time with the next seed", wholeNumberOption(1), 1)
  .option("--write", "also writes the table into docs/reliability.md");

interface Options {
  readonly row: readonly string[];
  readonly seed: number;
  readonly faults?: number;
  readonly tasks?: number;
  readonly runs: number;
  readonly write?: boolean;
}

async function main(options: Options): Promise<number> {
  const say = (line: string): void => void process.stderr.write(`${line}\n`);
  const beganAt = performance.now();
  const results: RowResult[] = [];
  const rows: Row[] = [];
  for (const row of ROWS.filter(({ name }) => options.row.includes(name))) {
    const lacking = row.needs?.();
    if (lacking !== undefined) {
      say(`== ${row.name}: left out, it needs ${lacking}`);
      continue;
    }
    rows.push(row);
    for (let run = 0; run < options.runs; run += 1) {
      const seed = options.seed + run;
      const startedAt = performance.now();
      say(`== ${row.name}, seed ${seed}: ${row.about}`);
      const result = await runRow(row, {
        seed,
        faults: options.faults ?? row.faults,
        tasksBetween: options.tasks ?? row.tasksBetween ?? DEFAULT_TASKS_BETWEEN,
        timed: true,
        say: (line) => say(`   ${line}`),
      });
      results.push(result);
      const took = ((performance.now() - startedAt) / 1_000).toFixed(1);
      say(`   ${result.tasks} tasks, ${result.faults} faults, ${result.violations.length} violations, ${took} s`);
      for (const violation of result.violations) say(`!! ${violation}`);
    }
  }
  const counts = results.map(({ verdict }) => verdict.counts).reduce(addCounts, noCounts());
  process.stdout.write(`${terminalTable(results)}\n${formatVerdict({ violations: [], counts })}\n`);
  if (options.write === true) {
    const args = process.argv.slice(2);
    const seed = args.includes("--seed") ? [] : ["--seed", String(options.seed)];
    const command = ["npm run test:faults --", ...args, ...seed].join(" ");
    const minutes = (performance.now() - beganAt) / 60_000;
    const file = resolve(import.meta.dirname, "../../docs/reliability.md");
    await writeReport(file, { rows, command, minutes, results, counts });
  }
  return results.some(({ violations }) => violations.length > 0) ? 1 : 0;
}

await runTool("test:faults", (args) => main(program.parse(args, { from: "user" }).opts<Options>()));
