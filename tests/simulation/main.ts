// `npm run simulate`: runs the product's coordinators through as many interleavings of messages, faults and deaths as asked for, and shows
// the shortest one that breaks a promise.
import process from "node:process";
import { InvalidArgumentError, Option } from "commander";
import { wholeNumberOption } from "../../cli/option-values.ts";
import { runTool, toolCommand } from "../support/tool.ts";
import { explore, run, scenarioAt, shorten } from "./explore.ts";
import { formatPath, parsePath, type Path } from "./path.ts";
import { Progress } from "./progress.ts";
import { PLANTED_BUGS } from "./planted-bugs.ts";
import { counted, errorText, scenarioLines, shortened } from "./report.ts";

interface Options {
  readonly seed: number;
  readonly runs: number;
  readonly path?: Path;
  readonly plant?: string;
}

const MAX_SEED = 2 ** 31 - 1;
const DEFAULT_RUNS = 10_000;
const MAX_RUNS = 100_000_000;

const EXIT = { held: 0, broken: 1 } as const;

const program = toolCommand("simulate")
  .description(
    "Runs the mesh through seeded interleavings of messages, faults and deaths, in one process without time.",
  )
  .option(
    "--seed <number>",
    "which interleavings",
    wholeNumberOption(0, MAX_SEED),
    Math.floor(Math.random() * MAX_SEED),
  )
  .option("--runs <number>", "how many interleavings", wholeNumberOption(1, MAX_RUNS), DEFAULT_RUNS)
  .option("--path <path>", "only the one that a finding named, step by step", pathOf)
  .addOption(new Option("--plant <bug>", "plant a bug, to see it found").choices(Object.keys(PLANTED_BUGS)));

function pathOf(text: string): Path {
  const path = parsePath(text);
  if (path !== undefined) return path;
  throw new InvalidArgumentError("It must be like 12 or 12:0-3,7, as a finding names it.");
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

async function search({ seed, runs, plant }: Options): Promise<number> {
  const bug = plant === undefined ? undefined : PLANTED_BUGS[plant];
  const progress = new Progress(`seed ${seed}: `);
  const finding = await explore({ seed, runs, bug, onRun: () => progress.count(`of ${counted(runs)} interleavings`) });
  progress.end();
  if (finding === undefined) {
    say(`seed ${seed}: ${counted(runs)} interleavings, ${progress.rate}: every promise held`);
    return EXIT.held;
  }
  say(`seed ${seed}: a promise was broken after ${counted(finding.run)} interleavings that held`);
  const shortening = new Progress("shortening it: ");
  const kept = await shorten(finding.scenario, bug, () => shortening.count("interleavings"));
  shortening.end();
  return await show({ seed, runs, path: { run: finding.run, kept }, ...(plant === undefined ? {} : { plant }) });
}

async function show({ seed, path, plant }: Options & { readonly path: Path }): Promise<number> {
  const scenario = scenarioAt(seed, path);
  const lines: string[] = [];
  const bug = plant === undefined ? undefined : PLANTED_BUGS[plant];
  const { error } = await run(scenario, bug, (line) => lines.push(line));
  say(["", ...scenarioLines(scenario), "", ...shortened(lines), ""].join("\n"));
  if (error === undefined) {
    say("Every promise held.");
    return EXIT.held;
  }
  say(`Broken: ${errorText(error)}`);
  const planted = plant === undefined ? "" : ` --plant ${JSON.stringify(plant)}`;
  say(`Again:  npm run simulate -- --seed ${seed} --path ${formatPath(path)}${planted}`);
  return EXIT.broken;
}

await runTool("simulate", async (args) => {
  const options = program.parse(args, { from: "user" }).opts<Options>();
  const { path } = options;
  return await (path === undefined ? search(options) : show({ ...options, path }));
});
