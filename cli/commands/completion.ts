// `mycel completion` prints what makes a shell complete; `mycel complete` is what it then asks.
import { Argument, Command } from "commander";
import { accessOf } from "../access.ts";
import { type CliContext, examples, urlsOf } from "../context.ts";
import { candidatesFor } from "../completion/candidates.ts";
import { namesOf } from "../completion/mesh-names.ts";
import { completionScript, type Shell, SHELLS } from "../completion/scripts.ts";
import { cut, harmless } from "../output/terminal.ts";

// One line of a menu.
const DESCRIPTION_WIDTH = 60;

/** The command that prints a script. */
export function completionCommand(context: CliContext): Command {
  return new Command("completion")
    .summary("what makes a shell complete this command")
    .description(
      "Print the script that makes a shell complete commands, options and their values, and the names of tasks, types, queues and agents, " +
        "for which the mesh is asked.",
    )
    .addArgument(new Argument("<shell>", "the shell").choices(SHELLS))
    .addHelpText(
      "after",
      examples(
        "source <(mycel completion bash)    # in ~/.bashrc",
        "source <(mycel completion zsh)     # in ~/.zshrc, after compinit",
        "mycel completion fish > ~/.config/fish/completions/mycel.fish",
      ),
    )
    .action(async (shell: Shell) => await context.out.line(completionScript(shell)));
}

/** The command that the scripts call: one candidate a line, with its description behind a tab. */
export function completeCommand(context: CliContext): Command {
  return new Command("complete")
    .description("Print what can stand in the place of the last word.")
    .argument("[words...]", "the words behind the command's name")
    .action(async (words: readonly string[], _flags: unknown, command: Command) => {
      const { parent } = command;
      if (parent === null) return;
      const found = await candidatesFor(parent, words, (kind, url) =>
        namesOf(kind, url?.split(",") ?? urlsOf(command), () => accessOf(command)),
      );
      for (const { value, description } of found) {
        await context.out.line(`${harmless(value)}\t${cut(harmless(description), DESCRIPTION_WIDTH)}`);
      }
    });
}
