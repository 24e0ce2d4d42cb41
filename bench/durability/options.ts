// The command line of the durability measurement: read, checked, with defaults.
import { parseArgs } from "node:util";
import { BenchUsageError } from "../support/bench-error.ts";

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
  readonly help: boolean;
}

/** What `--help` prints. */
export const USAGE = `Usage: npm run bench:durability -- [options]

Measures what one server and a cluster of three lose of what was acknowledged, when processes are killed and when machines lose power,
for each sync_interval, and what each setting costs in tasks a second.

  --only PART,…   of kill, power-cut, cost (default all; power-cut needs root, FUSE and Go)
  --rounds N      disasters for each setting (default 3)
  --load N        seconds of load before each (default 5)
  --passes N      passes over all settings for their costs (default 3)
  --tasks N       tasks of each bulk measurement (default 4000)
  --json FILE     also write everything to FILE
  --help          this
`;

/** Reads the arguments. Throws BenchUsageError. */
export function readOptions(args: readonly string[]): DurabilityOptions {
  const values = parsed(args);
  const only = values.only === undefined ? PARTS : values.only.split(",").map(partIn);
  return {
    only,
    rounds: number("--rounds", values.rounds, 3, 1, 100),
    loadSeconds: number("--load", values.load, 5, 1, 600),
    passes: number("--passes", values.passes, 3, 1, 100),
    tasks: number("--tasks", values.tasks, 4_000, 100, 1_000_000),
    json: values.json,
    help: values.help ?? false,
  };
}

interface RawOptions {
  readonly only?: string;
  readonly rounds?: string;
  readonly load?: string;
  readonly passes?: string;
  readonly tasks?: string;
  readonly json?: string;
  readonly help?: boolean;
}

function parsed(args: readonly string[]): RawOptions {
  try {
    return parseArgs({
      args: [...args],
      options: {
        only: { type: "string" },
        rounds: { type: "string" },
        load: { type: "string" },
        passes: { type: "string" },
        tasks: { type: "string" },
        json: { type: "string" },
        help: { type: "boolean", short: "h" },
      },
    }).values;
  } catch (error) {
    throw new BenchUsageError(error instanceof Error ? (error.message.split("\n", 1)[0] ?? "") : String(error));
  }
}

function partIn(name: string): Part {
  const part = PARTS.find((known) => known === name);
  if (part === undefined) throw new BenchUsageError(`--only ${name} must be of ${PARTS.join(", ")}`);
  return part;
}

function number(option: string, text: string | undefined, fallback: number, min: number, max: number): number {
  if (text === undefined) return fallback;
  const value = Number(text);
  if (Number.isInteger(value) && value >= min && value <= max) return value;
  throw new BenchUsageError(`${option} ${text} must be a whole number from ${min} to ${max}`);
}
