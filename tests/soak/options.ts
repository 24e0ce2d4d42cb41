// The command line of the soak: read, checked, with defaults.
import { numberOption } from "../../cli/option-values.ts";
import { toolCommand } from "../support/tool.ts";

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
}

interface Given {
  readonly minutes: number;
  readonly warmUp: number;
  readonly rate: number;
  readonly rest: number;
  readonly sample: number;
  readonly out?: string;
}

/** Reads the arguments. Throws CommanderError. */
export function readOptions(args: readonly string[]): SoakOptions {
  const { minutes, warmUp, rate, rest, sample, out } = toolCommand("test:soak")
    .description(
      "Runs a mesh under a steady load while agents, clients, readers, coordinators and connections come and go, and compares what every " +
        "process holds before and after: memory after a collection, handles, file descriptors, connections, subscriptions, consumers.",
    )
    .option(
      "--minutes <n>",
      "minutes of load between the quiet samples that are compared",
      numberOption(0.1, 10_080),
      30,
    )
    .option("--warm-up <n>", "minutes of load before the first of them", numberOption(0, 60), 2)
    .option("--rate <n>", "operations of clients a second", numberOption(1, 1_000), 25)
    .option(
      "--rest <n>",
      "seconds of quiet before each of them, in which everything that expires does so",
      numberOption(5, 3_600),
      330,
    )
    .option("--sample <n>", "seconds between samples", numberOption(1, 600), 5)
    .option("--out <dir>", "write soak.json and soak.svg to this folder")
    .parse(args, { from: "user" })
    .opts<Given>();
  return { minutes, warmUpMinutes: warmUp, rate, restSeconds: rest, sampleSeconds: sample, out };
}
