// The command line of the benchmark: read, checked, with defaults.
import { wholeNumberOption, wordsOption } from "../../cli/option-values.ts";
import { toolCommand } from "../../tests/support/tool.ts";
import { DURABILITIES, type Durability } from "./contender.ts";

/** What was asked for. */
export interface BenchOptions {
  /** Tasks of each throughput measurement. `--tasks`, 100 to 1,000,000; 20,000 unless told otherwise, or 400 with `--quick`. */
  readonly tasks: number;
  /** Rounds after the warm-up. `--rounds`, 1 to 100; 3 unless told otherwise, or 1 with `--quick`. */
  readonly rounds: number;
  /** Tasks of each latency measurement; 1,000, or 20 with `--quick`. */
  readonly samples: number;
  readonly quick: boolean;
  /** Only these scenarios and measurements at scale; all if undefined. `--only`, comma-separated. */
  readonly only: readonly string[] | undefined;
  /** Whom to measure beside the mesh; all if undefined. `--with`, comma-separated. */
  readonly with: readonly string[] | undefined;
  /** At which durabilities; both unless told otherwise. `--durability`, comma-separated. */
  readonly durabilities: readonly Durability[];
  /** Where the results go as JSON. `--json`. */
  readonly json: string | undefined;
  /** Whether the documentation is written. `--write`. */
  readonly write: boolean;
  /** Where CPU profiles of the contenders' processes go, in a folder for each durability. `--profile`. */
  readonly profile: string | undefined;
}

/** The words that options take. */
export interface OptionWords {
  /** Ids of scenarios and measurements at scale. */
  readonly scenarios: readonly string[];
  /** Ids of contenders beside the mesh. */
  readonly others: readonly string[];
}

interface Given {
  readonly tasks?: number;
  readonly rounds?: number;
  readonly quick?: boolean;
  readonly only?: readonly string[];
  readonly with?: readonly string[];
  readonly durability?: readonly string[];
  readonly json?: string;
  readonly write?: boolean;
  readonly profile?: string;
}

const DESCRIPTION =
  "Measures the mesh from end to end, each number beside those of the systems that are used for the same, and beside what the same " +
  "publishes, reports and acknowledgements cost JetStream alone, on this machine, in this run.";

/** Reads the arguments. Throws CommanderError. */
export function readOptions(args: readonly string[], { scenarios, others }: OptionWords): BenchOptions {
  const given = toolCommand("bench")
    .description(DESCRIPTION)
    .option("--tasks <n>", "tasks of each throughput measurement (default: 20000)", wholeNumberOption(100, 1_000_000))
    .option(
      "--rounds <n>",
      "rounds after the warm-up, of which the median counts (default: 3)",
      wholeNumberOption(1, 100),
    )
    .option("--quick", "small numbers and one round: only to see that it works")
    .option("--only <ids>", `only these, of ${scenarios.join(", ")}`, wordsOption(scenarios))
    .option("--with <ids>", `only these beside the mesh, of ${others.join(", ")}`, wordsOption(others))
    .option("--durability <ids>", `only at these, of ${DURABILITIES.join(", ")}`, wordsOption(DURABILITIES))
    .option("--json <file>", "also write everything to this file")
    .option("--write", "also write docs/performance.md and docs/performance.svg")
    .option("--profile <dir>", "write CPU profiles of the contenders' processes below this folder")
    .parse(args, { from: "user" })
    .opts<Given>();
  const quick = given.quick ?? false;
  return {
    tasks: given.tasks ?? (quick ? 400 : 20_000),
    rounds: given.rounds ?? (quick ? 1 : 3),
    samples: quick ? 20 : 1_000,
    quick,
    only: given.only,
    with: given.with,
    durabilities: DURABILITIES.filter((durability) => given.durability?.includes(durability) ?? true),
    json: given.json,
    write: given.write ?? false,
    profile: given.profile,
  };
}
