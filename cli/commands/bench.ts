// `mycel bench`: how fast a mesh, as it is, takes tasks from here and brings their results back.
import { randomUUID } from "node:crypto";
import { Command, Option } from "commander";
import type { MycelClient } from "../../sdk/client/index.ts";
import { latencyText, type LatencySummary, summarize } from "../bench/latencies.ts";
import { openLiveLine } from "../bench/live-line.ts";
import { type LoadOptions, type LoadResult, runLoad, startOne } from "../bench/load.ts";
import { type CliContext, examples, openClient, printerOf, urlsOf } from "../context.ts";
import { Failed } from "../failure.ts";
import { parseJson, readArgument } from "../input.ts";
import { wholeNumberOption } from "../option-values.ts";
import { jsonDocument } from "../output/json.ts";
import { renderFacts } from "../output/table.ts";
import { harmless } from "../output/terminal.ts";

interface BenchFlags {
  readonly type: string;
  readonly tasks: number;
  readonly concurrency: number;
  readonly bytes: number;
  readonly input?: string;
  readonly json?: boolean;
}

const MAX_TASKS = 1_000_000;
const MAX_CONCURRENCY = 1_000;
const MAX_BYTES = 200_000;

/** What is left of a run that was broken off ends by itself, and nothing of a run is kept for long. */
const SCHEDULE_TO_CLOSE_MS = 120_000;
const RESULT_TTL_MS = 60_000;

/** Connections, compilers and caches are warm after so many times the concurrency. */
const WARM_UP_ROUNDS = 3;

/** The command. */
export function benchCommand(context: CliContext): Command {
  return new Command("bench")
    .summary("how fast this mesh is, from here")
    .description(
      "Run many small tasks through the mesh and measure how many a second it completes, and how long each takes from its submission to " +
        "its result in hand. Measures the mesh as it is now, with its agents and whatever else they do, over one connection from this " +
        "machine; `npm run bench` in the project compares it with other systems. Exits with 1 if any task was not completed.",
    )
    .option("--type <type>", "the task type", "echo")
    .option("--tasks <n>", "how many tasks", wholeNumberOption(1, MAX_TASKS), 5_000)
    .option("--concurrency <n>", "how many at once", wholeNumberOption(1, MAX_CONCURRENCY), 64)
    .option("--bytes <n>", "how long each message is", wholeNumberOption(0, MAX_BYTES), 200)
    .addOption(new Option("--input <json>", "what each task gets instead: JSON, @file or -").conflicts("bytes"))
    .option("--json", "print JSON")
    .addHelpText(
      "after",
      examples(
        "mycel bench",
        "mycel bench --tasks 20000 --concurrency 256",
        `mycel bench --type reverse --input '"abc"'`,
      ),
    )
    .action(async (flags: BenchFlags, command: Command) => {
      const input =
        flags.input === undefined ? { message: "x".repeat(flags.bytes) } : await inputOf(context, flags.input);
      const [url = ""] = urlsOf(command);
      await using client = openClient(command);
      const load = loadOf(context, client, flags, input);
      if (printerOf(command) !== undefined) return void (await startOne(load).submitted);
      await checkType(client, flags.type);
      const measured = await measure(context, load);
      context.interrupted.throwIfAborted();
      const { errors } = measured;
      await context.out.line(
        flags.json === true ? jsonDocument(jsonOfRun(flags, url, measured)) : report(context, flags, url, measured),
      );
      if (errors.size > 0) throw new Failed();
    });
}

function loadOf({ interrupted }: CliContext, client: MycelClient, flags: BenchFlags, input: unknown): LoadOptions {
  const { type, tasks, concurrency } = flags;
  const options = {
    scheduleToCloseMs: SCHEDULE_TO_CLOSE_MS,
    resultTtlMs: RESULT_TTL_MS,
    labels: { bench: randomUUID().slice(0, 8) },
  };
  return { client, type, input, options, tasks, concurrency, signal: interrupted };
}

async function measure({ err }: CliContext, load: LoadOptions): Promise<LoadResult> {
  await using line = openLiveLine(err);
  line.show("warming up");
  await runLoad({ ...load, tasks: warmUpOf(load) });
  const started = performance.now();
  return await runLoad({
    ...load,
    onEnd: (ended) => {
      const perSecond = ended / ((performance.now() - started) / 1_000);
      line.show(`${number(ended)} of ${number(load.tasks)}, ${number(Math.round(perSecond))}/s`);
    },
  });
}

/** Tasks that nobody would take would wait until they time out. */
async function checkType(client: MycelClient, type: string): Promise<void> {
  const types = await client.capabilities();
  if (!types.has(type))
    throw new Failed(`no registered agent can do ${JSON.stringify(type)}; see "mycel capabilities"`);
}

function warmUpOf({ tasks, concurrency }: Pick<LoadOptions, "tasks" | "concurrency">): number {
  return Math.min(tasks, concurrency * WARM_UP_ROUNDS);
}

function report({ out }: CliContext, flags: BenchFlags, url: string, measured: LoadResult): string {
  const { completedMs, acknowledgedMs, elapsedMs, errors } = measured;
  const { type, tasks, concurrency, bytes, input } = flags;
  const what = input === undefined ? `${number(bytes)}-byte messages` : "the given input";
  const failed = [...errors].map(([reason, count]) => `${number(count)} ${reason}`).join(", ");
  const facts = renderFacts(out, [
    ["completed", `${number(completedMs.length)} of ${number(tasks)} in ${latencyText(elapsedMs)}`],
    ["rate", out.colors.bold(`${number(Math.round(perSecondOf(measured)))}/s`)],
    ["acknowledged", latencies(summarize(acknowledgedMs))],
    ["result in hand", latencies(summarize(completedMs))],
    ["errors", failed === "" ? "none" : out.colors.red(harmless(failed))],
  ]);
  const note = [
    "Measured at this client from each submission on: one process, one connection,",
    `after ${number(warmUpOf(flags))} tasks to warm up. The mesh was taken as it is, with all that it does`,
    'besides; "npm run bench" compares it with other systems.',
  ];
  const head = `${type} × ${number(tasks)}, ${number(concurrency)} at once, ${what}, to ${url}`;
  return `${head}\n\n${facts}\n\n${out.colors.dim(note.join("\n"))}`;
}

function latencies({ p50, p90, p99, max }: LatencySummary): string {
  return `p50 ${latencyText(p50)}, p90 ${latencyText(p90)}, p99 ${latencyText(p99)}, max ${latencyText(max)}`;
}

function jsonOfRun(flags: BenchFlags, url: string, measured: LoadResult): unknown {
  const { type, tasks, concurrency, bytes, input } = flags;
  const { elapsedMs, acknowledgedMs, completedMs, errors } = measured;
  return {
    url,
    type,
    tasks,
    concurrency,
    ...(input === undefined ? { bytes } : {}),
    warmUpTasks: warmUpOf(flags),
    completed: completedMs.length,
    elapsedMs,
    completedPerSecond: perSecondOf(measured),
    acknowledgedMs: summarize(acknowledgedMs),
    completedMs: summarize(completedMs),
    errors: Object.fromEntries(errors),
  };
}

function perSecondOf({ completedMs, elapsedMs }: LoadResult): number {
  return completedMs.length / (elapsedMs / 1_000);
}

async function inputOf(context: CliContext, argument: string): Promise<unknown> {
  return parseJson(await readArgument(argument, context.stdin), argument);
}

function number(value: number): string {
  return value.toLocaleString("en-US");
}
