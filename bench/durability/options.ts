// The command line of the durability measurement: read, checked, with defaults.
import { wholeNumberOption, wordsOption } from "../../cli/option-values.ts";
import { toolCommand } from "../../tests/support/tool.ts";

/** The parts of the measurement. */
export const PARTS = ["kill", "power-cut", "cost"] as const;

/** A part. */
export type Part = (typeof PARTS)[number];

/** What was asked for. */
export interface DurabilityOptions {
  /** The parts to run. `--only`, comma-separated; all by default. */
  readonly only: readonly Part[];
  /** Disasters for each setting. `--rounds`, 1 to 100; default 3. */
  readonly rounds: number;
  /** Seconds of load before each disaster. `--load`, 1 to 600; default 5. */
  readonly loadSeconds: number;
  /** Passes over all settings for their costs. `--passes`, 1 to 100; default 3. */
  readonly passes: number;
  /** Tasks of each bulk measurement. `--tasks`, 100 to 1,000,000; default 4,000. */
  readonly tasks: number;
  /** Where the results go as JSON. `--json`. */
  readonly json: string | undefined;
}

interface Given {
  readonly only?: readonly Part[];
  readonly rounds: number;
  readonly load: number;
  readonly passes: number;
  readonly tasks: number;
  readonly json?: string;
}

/** Reads the arguments. Throws CommanderError. */
export function readOptions(args: readonly string[]): DurabilityOptions {
  const { only, rounds, load, passes, tasks, json } = toolCommand("bench:durability")
    .description(
      "Measures what one server and a cluster of three lose of what was acknowledged, when processes are killed and when machines lose " +
        "power, for each sync_interval, and what each setting costs in tasks a second.",
    )
    .option(
      "--only <parts>",
      `of ${PARTS.join(", ")} (default: all; power-cut needs root, FUSE and Go)`,
      wordsOption(PARTS),
    )
    .option("--rounds <n>", "disasters for each setting", wholeNumberOption(1, 100), 3)
    .option("--load <n>", "seconds of load before each", wholeNumberOption(1, 600), 5)
    .option("--passes <n>", "passes over all settings for their costs", wholeNumberOption(1, 100), 3)
    .option("--tasks <n>", "tasks of each bulk measurement", wholeNumberOption(100, 1_000_000), 4_000)
    .option("--json <file>", "also write everything to this file")
    .parse(args, { from: "user" })
    .opts<Given>();
  return { only: only ?? PARTS, rounds, loadSeconds: load, passes, tasks, json };
}
