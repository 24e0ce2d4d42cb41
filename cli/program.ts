// Puts the commands together. Reads nothing from the process itself: main.ts hands everything in.
import { Command } from "commander";
import { agentsCommand } from "./commands/agents.ts";
import { auditCommand } from "./commands/audit.ts";
import { benchCommand } from "./commands/bench.ts";
import { blobCommand } from "./commands/blob.ts";
import { capabilitiesCommand } from "./commands/capabilities.ts";
import { certsCommand } from "./commands/certs.ts";
import { completeCommand, completionCommand } from "./commands/completion.ts";
import { configCommand } from "./commands/config.ts";
import { doctorCommand } from "./commands/doctor.ts";
import { explainCommand } from "./commands/explain.ts";
import { keysCommand } from "./commands/keys.ts";
import { countCommand, deadLettersCommand, listCommand } from "./commands/lists.ts";
import { queueCommand } from "./commands/queues.ts";
import { submitCommand } from "./commands/submit.ts";
import { tailCommand } from "./commands/tail.ts";
import { cancelCommand, getCommand, retryCommand, statusCommand, watchCommand } from "./commands/tasks.ts";
import { tokenCommand } from "./commands/token.ts";
import { topCommand } from "./commands/top.ts";
import { trustCommand } from "./commands/trust.ts";
import { upCommand } from "./commands/up.ts";
import { webhooksCommand } from "./commands/webhooks.ts";
import { addAccessOptions, shownSecurityOf } from "./access.ts";
import { type CliContext, examples } from "./context.ts";
import { UsageError } from "./failure.ts";
import { CallPrinter } from "./grpcurl/call-printer.ts";
import { quietTerminal } from "./grpcurl/quiet-terminal.ts";
import { harmless } from "./output/terminal.ts";

/** Where a coordinator is looked for by default. */
export const DEFAULT_URL = "http://127.0.0.1:8080";

/** Runs the `mycel` command with the arguments that stand behind its name. */
export async function runProgram(context: CliContext, version: string, args: readonly string[]): Promise<void> {
  const printer = new CallPrinter(context.out, () => shownSecurityOf(program));
  const isQuiet = (): boolean => program.opts<{ grpcurl?: unknown }>().grpcurl !== undefined;
  const quiet = { out: quietTerminal(context.out, isQuiet), err: quietTerminal(context.err, isQuiet) };
  const program = createProgram(args.includes("--grpcurl") ? { ...context, ...quiet } : context, version);
  program.hook("preAction", (_, command) => {
    if (!isQuiet()) return;
    if (command.name() === "up") throw new UsageError("up starts a mesh: there is no call to print");
    // From here on the option stands for what prints.
    program.setOptionValue("grpcurl", printer);
  });
  try {
    await program.parseAsync(args, { from: "user" });
  } catch (error) {
    // What a command makes of answers that it did not get says nothing; that it was called wrongly does.
    if (printer.count === 0 || error instanceof UsageError) throw error;
  }
  if (isQuiet() && printer.count === 0) throw new UsageError("this command makes no call that could be printed");
}

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
    .option("--grpcurl", "print the grpcurl calls that do the same, and make none")
    .addHelpText(
      "after",
      examples(`mycel submit echo '{"message":"hello"}' --wait`, "mycel watch TASK", "mycel doctor"),
    );
  addAccessOptions(program, context.env);
  for (const command of [
    upCommand(context),
    submitCommand(context),
    watchCommand(context),
    tailCommand(context),
    topCommand(context),
    statusCommand(context),
    getCommand(context),
    explainCommand(context),
    cancelCommand(context),
    listCommand(context),
    countCommand(context),
    deadLettersCommand(context),
    retryCommand(context),
    agentsCommand(context),
    capabilitiesCommand(context),
    queueCommand(context),
    blobCommand(context),
    webhooksCommand(context),
    keysCommand(context),
    tokenCommand(context),
    auditCommand(context),
    benchCommand(context),
    trustCommand(context),
    doctorCommand(context),
    certsCommand(context),
    configCommand(context),
    completionCommand(context),
  ]) {
    program.addCommand(command);
  }
  program.addCommand(completeCommand(context), { hidden: true });
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
