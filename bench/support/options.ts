// The command line of the benchmark: read, checked, with defaults.

import { parseArgs } from "node:util";
import { BenchUsageError } from "./bench-error.ts";

/** What was asked for. */
export interface BenchOptions {
  /** Tasks of each throughput measurement. `--tasks`, 100 to 1,000,000; 20,000 unless told otherwise. */
  readonly tasks: number;
  /** Rounds after the warm-up. `--rounds`, 1 to 100; 3 unless told otherwise. */
  readonly rounds: number;
  /** Tasks of each latency measurement; 500, or 20 with `--quick`. */
  readonly samples: number;
  /** Where the results go as JSON. `--json`. */
  readonly json: string | undefined;
  /** Only these scenarios; all if empty. `--only`, comma-separated. */
  readonly only: readonly string[];
  /** Where CPU profiles of coordinator and agent go. `--profile`. */
  readonly profile: string | undefined;
  readonly help: boolean;
}

/** What `--help` prints. */
export const USAGE = `Usage: npm run bench -- [options]

Measures the mesh from end to end, each number beside what the same publishes, reports and acknowledgements cost JetStream
alone on this machine, in this run.

  --tasks N       tasks of each throughput measurement (default 20000)
  --rounds N      rounds after the warm-up, of which the median counts (default 3)
  --quick         small numbers and one round: only to see that it works
  --only ID,…     only these scenarios
  --json FILE     also write everything to FILE
  --profile DIR   write CPU profiles of coordinator and agent to DIR
  --help          this
`;

/** Reads the arguments. Throws BenchUsageError. */
export function readOptions(args: readonly string[], scenarioIds: readonly string[]): BenchOptions {
  const values = parsed(args);
  const quick = values.quick ?? false;
  const only = (values.only ?? "").split(",").filter((id) => id !== "");
  const unknown = only.find((id) => !scenarioIds.includes(id));
  if (unknown !== undefined) throw new BenchUsageError(`--only ${unknown} must be one of ${scenarioIds.join(", ")}`);
  return {
    tasks: number("--tasks", values.tasks, quick ? 400 : 20_000, 100, 1_000_000),
    rounds: number("--rounds", values.rounds, quick ? 1 : 3, 1, 100),
    samples: quick ? 20 : 500,
    json: values.json,
    only,
    profile: values.profile,
    help: values.help ?? false,
  };
}

interface RawOptions {
  readonly tasks?: string;
  readonly rounds?: string;
  readonly quick?: boolean;
  readonly json?: string;
  readonly only?: string;
  readonly profile?: string;
  readonly help?: boolean;
}

function parsed(args: readonly string[]): RawOptions {
  try {
    return parseArgs({
      args: [...args],
      options: {
        tasks: { type: "string" },
        rounds: { type: "string" },
        quick: { type: "boolean" },
        json: { type: "string" },
        only: { type: "string" },
        profile: { type: "string" },
        help: { type: "boolean", short: "h" },
      },
    }).values;
  } catch (error) {
    throw new BenchUsageError(error instanceof Error ? (error.message.split("\n", 1)[0] ?? "") : String(error));
  }
}

function number(option: string, text: string | undefined, fallback: number, min: number, max: number): number {
  if (text === undefined) return fallback;
  const value = Number(text);
  if (Number.isInteger(value) && value >= min && value <= max) return value;
  throw new BenchUsageError(`${option} ${text} must be a whole number from ${min} to ${max}`);
}
