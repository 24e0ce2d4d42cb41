// The tools of this repository, such as `npm run bench`: how they read their command line, and how they end. Knows none of them.
import process from "node:process";
import { Command, CommanderError } from "commander";

/** Why a tool ended without a result, where that was foreseen. The message is one line. */
export class ToolError extends Error {
  override readonly name: string = "ToolError";
}

/** The command line of `npm run SCRIPT`. Throws CommanderError, and prints nothing but the help that was asked for. */
export function toolCommand(script: string): Command {
  return new Command(`npm run ${script} --`).configureOutput({ writeErr: () => undefined }).exitOverride();
}

/** Runs a tool and ends the process: with what it returns, with 2 for a mistake on its command line, with 1 for every other error. */
export async function runTool(
  script: string,
  main: (args: readonly string[]) => Promise<number> | number,
): Promise<never> {
  try {
    process.exit(await main(process.argv.slice(2)));
  } catch (error) {
    // Commander throws after it has printed the help, too.
    if (error instanceof CommanderError && error.exitCode === 0) process.exit(0);
    process.stderr.write(`${script}: ${complaintOf(error)}\n`);
    process.exit(error instanceof CommanderError ? 2 : 1);
  }
}

function complaintOf(error: unknown): string {
  // A suggestion stands on a line of its own.
  if (error instanceof CommanderError) return error.message.replace(/^error: /, "").replaceAll("\n", " ");
  if (error instanceof ToolError) return error.message;
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
