// The command line of the soak: read, checked, with defaults.
import { parseArgs } from "node:util";

/** What was asked for. */
export interface SoakOptions {
  /** Minutes of load between the two quiet samples. `--minutes`, 0.1 to 10,080; default 30. */
  readonly minutes: number;
  /** Minutes of load before the first quiet sample. `--warm-up`, 0 to 60; default 2. */
  readonly warmUpMinutes: number;
  /** Operations of clients a second. `--rate`, 1 to 1,000; default 25. */
  readonly rate: number;
  /**
   * Seconds of quiet before each of the two looks that are compared. `--rest`, 5 to 3,600; default 330: what a process that is gone leaves
   * at the broker expires within five minutes.
   */
  readonly restSeconds: number;
  /** Seconds between samples. `--sample`, 1 to 600; default 5. */
  readonly sampleSeconds: number;
  /** A folder for `soak.json` and `soak.svg`; neither is written if undefined. `--out`. */
  readonly out: string | undefined;
  readonly help: boolean;
}

/** A mistake on the command line; the message is one line. */
export class SoakUsageError extends Error {
  override readonly name = "SoakUsageError";
}

/** What `--help` prints. */
export const USAGE = `Usage: npm run test:soak -- [options]

Runs a mesh under a steady load while agents, clients, readers, coordinators and connections come and go, and compares what every
process holds before and after: memory after a collection, handles, file descriptors, connections, subscriptions, consumers.

  --minutes N   minutes of load between the quiet samples that are compared (default 30)
  --warm-up N   minutes of load before the first of them (default 2)
  --rate N      operations of clients a second (default 25)
  --rest N      seconds of quiet before each of them, in which everything that expires does so (default 330)
  --sample N    seconds between samples (default 5)
  --out DIR     write soak.json and soak.svg there
  --help        this
`;

/** Reads the arguments. Throws SoakUsageError. */
export function readOptions(args: readonly string[]): SoakOptions {
  const values = parsed(args);
  return {
    minutes: number("--minutes", values.minutes, 30, 0.1, 10_080),
    warmUpMinutes: number("--warm-up", values["warm-up"], 2, 0, 60),
    rate: number("--rate", values.rate, 25, 1, 1_000),
    restSeconds: number("--rest", values.rest, 330, 5, 3_600),
    sampleSeconds: number("--sample", values.sample, 5, 1, 600),
    out: values.out,
    help: values.help ?? false,
  };
}

interface RawOptions {
  readonly minutes?: string;
  readonly "warm-up"?: string;
  readonly rate?: string;
  readonly rest?: string;
  readonly sample?: string;
  readonly out?: string;
  readonly help?: boolean;
}

function parsed(args: readonly string[]): RawOptions {
  try {
    return parseArgs({
      args: [...args],
      options: {
        minutes: { type: "string" },
        "warm-up": { type: "string" },
        rate: { type: "string" },
        rest: { type: "string" },
        sample: { type: "string" },
        out: { type: "string" },
        help: { type: "boolean", short: "h" },
      },
    }).values;
  } catch (error) {
    throw new SoakUsageError(error instanceof Error ? (error.message.split("\n", 1)[0] ?? "") : String(error));
  }
}

function number(option: string, text: string | undefined, fallback: number, min: number, max: number): number {
  if (text === undefined) return fallback;
  const value = Number(text);
  if (text.trim() !== "" && value >= min && value <= max) return value;
  throw new SoakUsageError(`${option} ${text} must be a number from ${min} to ${max}`);
}
