// `mycel config`: what the settings of a coordinator and a stock agent are, whether a file is right, and what may stand in it.
import { Command } from "commander";
import { type CliContext, examples } from "../context.ts";

/** The command. */
export function configCommand(context: CliContext): Command {
  return new Command("config")
    .summary("the settings of coordinators and agents: which hold, whether a file is right")
    .description("Show which settings hold, check a configuration file, and list everything that may stand in one.")
    .addCommand(showCommand(context))
    .addCommand(checkCommand(context))
    .addCommand(docsCommand(context));
}

function showCommand(context: CliContext): Command {
  return new Command("show")
    .summary("the settings that hold here, and where each is from")
    .description(
      "Show the settings that a coordinator or a stock agent would have if it were started here: by the configuration file and by " +
        "variables. Secrets are never shown, only where they are.",
    )
    .option("--config <file>", "the configuration file (MYCEL_CONFIG)")
    .option("--defaults", "also those that nobody has set")
    .option("--json", "print JSON")
    .addHelpText("after", examples("mycel config show --config mycel.yaml", "mycel config show --defaults --json"))
    .action(async (flags: { readonly config?: string; readonly defaults?: boolean; readonly json?: boolean }) => {
      const { showSettings } = await import("../config/show.ts");
      await showSettings(context, flags);
    });
}

function checkCommand(context: CliContext): Command {
  return new Command("check")
    .summary("whether a configuration file is right")
    .description("Check a configuration file. Prints every mistake with its line and exits with 2 if there is one.")
    .argument("<file>", "the configuration file")
    .addHelpText("after", examples("mycel config check deploy/mycel.yaml"))
    .action(async (file: string) => {
      const { checkFile } = await import("../config/check.ts");
      await checkFile(context, file);
    });
}

function docsCommand(context: CliContext): Command {
  return new Command("docs")
    .summary("every setting there is")
    .description("Print every setting as Markdown: key, variable, what it may be, default and meaning.")
    .option("--into <file>", "replace what follows the first line `<!-- settings -->` of this file instead")
    .action(async ({ into }: { readonly into?: string }) => {
      const { printReference, writeReference } = await import("../config/reference.ts");
      await (into === undefined ? printReference(context) : writeReference(into));
    });
}
