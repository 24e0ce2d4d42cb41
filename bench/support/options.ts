// The command line of the benchmark: read, checked, with defaults.
import { wholeNumberOption, wordsOption } from "../../cli/option-values.ts";
import { toolCommand } from "../../tests/support/tool.ts";

/** What was asked for. */
export interface BenchOptions {
  /** Tasks of each throughput measurement. `--tasks`, 100 to 1,000,000; 20,000 unless told otherwise, or 400 with `--quick`. */
  readonly tasks: number;
  /** Rounds after the warm-up. `--rounds`, 1 to 100; 3 unless told otherwise, or 1 with `--quick`. */
  readonly rounds: number;
  /** Tasks of each latency measurement; 500, or 20 with `--quick`. */
  readonly samples: number;
  /** Where the results go as JSON. `--json`. */
  readonly json: string | undefined;
  /** Only these scenarios; all if empty. `--only`, comma-separated. */
  readonly only: readonly string[];
  /** Where CPU profiles of coordinator and agent go. `--profile`. */
  readonly profile: string | undefined;
}

interface Given {
  readonly tasks?: number;
  readonly rounds?: number;
  readonly quick?: boolean;
  readonly only?: readonly string[];
  readonly json?: string;
  readonly profile?: string;
}

/** Reads the arguments. Throws CommanderError. */
export function readOptions(args: readonly string[], scenarioIds: readonly string[]): BenchOptions {
  const { tasks, rounds, quick, only, json, profile } = toolCommand("bench")
    .description(
      "Measures the mesh from end to end, each number beside what the same publishes, reports and acknowledgements cost JetStream alone " +
        "on this machine, in this run.",
    )
    .option("--tasks <n>", "tasks of each throughput measurement (default: 20000)", wholeNumberOption(100, 1_000_000))
    .option(
      "--rounds <n>",
      "rounds after the warm-up, of which the median counts (default: 3)",
      wholeNumberOption(1, 100),
    )
    .option("--quick", "small numbers and one round: only to see that it works")
    .option("--only <ids>", `only these scenarios, of ${scenarioIds.join(", ")}`, wordsOption(scenarioIds))
    .option("--json <file>", "also write everything to this file")
    .option("--profile <dir>", "write CPU profiles of coordinator and agent to this folder")
    .parse(args, { from: "user" })
    .opts<Given>();
  return {
    tasks: tasks ?? (quick === true ? 400 : 20_000),
    rounds: rounds ?? (quick === true ? 1 : 3),
    samples: quick === true ? 20 : 500,
    json,
    only: only ?? [],
    profile,
  };
}
