// `mycel token`: tokens that show what becomes of a task, or of a group of tasks, and nothing else.
import { Command } from "commander";
import { IssueStreamTokenResponseSchema } from "../../gen/mycel/v1/agent_service_pb.ts";
import { durationFromMs } from "../../lib/wire/time-codec.ts";
import { type CliContext, examples, openClient } from "../context.ts";
import { UsageError } from "../failure.ts";
import { durationOption, labelOption } from "../option-values.ts";
import { jsonDocument, jsonOf } from "../output/json.ts";
import { dateOf } from "../output/task-view.ts";

interface IssueFlags {
  readonly label?: Readonly<Record<string, string>>;
  readonly lifetime?: number;
  readonly json?: boolean;
}

/** The command. */
export function tokenCommand(context: CliContext): Command {
  const command = new Command("token")
    .summary("tokens that only read one task, for web pages")
    .helpCommand("help [command]", "print help for a command")
    .description("Issue tokens that show what becomes of a task, or of a group of tasks, and nothing else.")
    .addHelpText("after", examples("mycel token issue TASK", "mycel token issue --label run=7 --lifetime 1h"));
  command.addCommand(issueCommand(context));
  return command;
}

function issueCommand(context: CliContext): Command {
  return new Command("issue")
    .summary("issue a token and print it")
    .description(
      "Issue a token and print it. Whoever holds it can follow the task, or all tasks that carry the label, until it ends; it can't be " +
        "revoked by itself.",
    )
    .argument("[task]", "the task's id")
    .option("--label <label>", "instead of one task, all that carry this label, e.g. run=7", labelOption)
    .option("--lifetime <duration>", "how long it is good, at most 1d (default: 10m)", durationOption)
    .option("--json", "print JSON")
    .addHelpText(
      "after",
      examples("mycel token issue TASK --lifetime 1h", "MYCEL_TOKEN=$(mycel token issue TASK) mycel watch TASK"),
    )
    .action(async (taskId: string | undefined, flags: IssueFlags, command: Command) => {
      const scope = scopeOf(taskId, Object.entries(flags.label ?? {}));
      await using client = openClient(command);
      const lifetime = flags.lifetime === undefined ? {} : { lifetime: durationFromMs(flags.lifetime) };
      const issued = await client.rpc.issueStreamToken({ scope, ...lifetime }, { signal: context.interrupted });
      if (flags.json === true) {
        return await context.out.line(jsonDocument(jsonOf(IssueStreamTokenResponseSchema, issued)));
      }
      await context.out.line(issued.token);
      if (context.err.isTerminal) {
        await context.err.line(context.err.colors.dim(`good until ${context.err.time(dateOf(issued.expireTime))}`));
      }
    });
}

type Scope =
  | { readonly case: "taskId"; readonly value: string }
  | { readonly case: "group"; readonly value: { readonly label: string; readonly value: string } };

function scopeOf(taskId: string | undefined, labels: readonly [string, string][]): Scope {
  const [first, ...rest] = labels;
  if (taskId !== undefined && first === undefined) return { case: "taskId", value: taskId };
  if (taskId !== undefined || first === undefined || rest.length > 0) {
    throw new UsageError("name the task that the token is for, or one label with --label");
  }
  const [label, value] = first;
  return { case: "group", value: { label, value } };
}
