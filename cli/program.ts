// Puts the commands together. Reads nothing from the process itself: main.ts hands everything in.
import { Command } from "commander";
import { agentsCommand } from "./commands/agents.ts";
import { blobCommand } from "./commands/blob.ts";
import { doctorCommand } from "./commands/doctor.ts";
import { countCommand, deadLettersCommand, listCommand } from "./commands/lists.ts";
import { submitCommand } from "./commands/submit.ts";
import { tailCommand } from "./commands/tail.ts";
import { cancelCommand, getCommand, retryCommand, statusCommand, watchCommand } from "./commands/tasks.ts";
import { upCommand } from "./commands/up.ts";
import { webhooksCommand } from "./commands/webhooks.ts";
import { type CliContext, examples } from "./context.ts";
import { harmless } from "./output/terminal.ts";

/** Where a coordinator is looked for by default. */
export const DEFAULT_URL = "http://127.0.0.1:8080";

/** Builds the `mycel` command. */
export function createProgram(context: CliContext, version: string): Command {
  const program = new Command("mycel")
    .description("Submit tasks to a mesh of agents, follow them, and see who is there to work.")
    .version(version, "-V, --version", "print the version")
    .helpCommand("help [command]", "print help for a command")
    .option(
      "--url <urls>",
      "where coordinators are, separated by commas (or MYCEL_URL)",
      context.env["MYCEL_URL"] === undefined || context.env["MYCEL_URL"] === ""
        ? DEFAULT_URL
        : context.env["MYCEL_URL"],
    )
    .addHelpText(
      "after",
      examples(`mycel submit echo '{"message":"hello"}' --wait`, "mycel watch TASK", "mycel doctor"),
    );
  for (const command of [
    upCommand(context),
    submitCommand(context),
    watchCommand(context),
    tailCommand(context),
    statusCommand(context),
    getCommand(context),
    cancelCommand(context),
    listCommand(context),
    countCommand(context),
    deadLettersCommand(context),
    retryCommand(context),
    agentsCommand(context),
    blobCommand(context),
    webhooksCommand(context),
    doctorCommand(context),
  ]) {
    program.addCommand(command);
  }
  settle(program, context);
  return program;
}

// Commander's own endings and complaints, in our form: one line, and an exception instead of an exit.
function settle(command: Command, context: CliContext): void {
  command.exitOverride();
  command.helpOption("-h, --help", "print help");
  command.showSuggestionAfterError(true);
  command.configureHelp({ helpWidth: Math.min(context.out.columns, 100) });
  command.configureOutput({
    getOutHasColors: () => context.out.colors.isColorSupported,
    getErrHasColors: () => context.err.colors.isColorSupported,
    outputError: (text, write) => {
      const line = harmless(text.replace(/^error: /, "").trim())
        .replace(/\(Did you mean /, "(did you mean ")
        .replace(/\.$/, "");
      write(
        `mycel: ${line}${line.endsWith(")") || line.includes("--help") ? "" : `; see "mycel ${pathOf(command)}--help"`}\n`,
      );
    },
  });
  for (const sub of command.commands) settle(sub, context);
}

function pathOf(command: Command): string {
  return command.parent === null ? "" : `${pathOf(command.parent)}${command.name()} `;
}
