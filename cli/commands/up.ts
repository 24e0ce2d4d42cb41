// `mycel up`: a whole mesh on this machine, the main job on it, and then it stays up.

import { availableParallelism } from "node:os";
import process from "node:process";
import { Command } from "commander";
import { accessOf } from "../access.ts";
import { type CliContext, examples } from "../context.ts";
import { wholeNumberOption } from "../option-values.ts";
import { DEFAULT_CONCURRENCY, DEFAULT_LISTEN, DEFAULT_SYNC, type UpOptions } from "../up/up-options.ts";

/** Makes the command. */
export function upCommand(context: CliContext): Command {
  return new Command("up")
    .summary("a whole mesh on this machine, with a real job on it")
    .description("Bring up a whole mesh on this machine, run a real job on it, and stay up.")
    .option("--path <dir>", "the folder to analyse; this project and some of its packages if left out")
    .option("--once", "stop when the job is done")
    .option("--no-job", "bring the mesh up without running the job")
    .option("--port <n>", "the port to listen on; 0 picks a free one", wholeNumberOption(0, 65_535))
    .option("--listen <address>", `where to listen, as host:port (MYCEL_LISTEN; default ${DEFAULT_LISTEN})`)
    .option("--config <file>", "the configuration file of coordinators and agents (MYCEL_CONFIG)")
    .option("--agents <n>", "how many stock agents", wholeNumberOption(0, 64), defaultAgents())
    .option(
      "--concurrency <n>",
      `how many tasks each agent runs at once (default ${DEFAULT_CONCURRENCY})`,
      wholeNumberOption(1, 1_000),
    )
    .option("--data <dir>", "the folder for data and logs; it survives restarts", ".mycel")
    .option(
      "--sync <when>",
      `when stored tasks are forced to the disk: always, or an interval (MYCEL_SYNC; default ${DEFAULT_SYNC})`,
    )
    .addHelpText("after", examples("mycel up --path ~/src/my-project", "mycel up --no-job --port 9000"))
    .action(async (options: UpOptions, command: Command) => {
      // It brings servers and tracing with it, for which the other commands need not wait.
      const { up } = await import("../up/up.ts");
      process.exitCode = await up(context, options, accessOf(command));
    });
}

function defaultAgents(): number {
  return Math.min(4, Math.max(3, availableParallelism()));
}
