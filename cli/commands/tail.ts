// `mycel tail`: what becomes of all tasks, live.
import { create } from "@bufbuild/protobuf";
import { Command } from "commander";
import { WatchTasksResponseSchema } from "../../gen/mycel/v1/agent_service_pb.ts";
import type { TaskWatchEvent } from "../../sdk/client/index.ts";
import { type CliContext, examples, openClient } from "../context.ts";
import { type TaskFilterFlags, taskFilterOf, withTaskFilter } from "../filter-flags.ts";
import { createChangeLines } from "../output/change-line.ts";
import { jsonLine, jsonOf } from "../output/json.ts";

type TailFlags = TaskFilterFlags & { readonly json?: boolean };

/** The command. */
export function tailCommand(context: CliContext): Command {
  return withTaskFilter(new Command("tail").summary("what becomes of all tasks, live"))
    .description(
      "Print every submission and state change of all tasks from now on, until Ctrl-C. A live view: under more load than it can follow, " +
        "or while a connection is lost, it leaves changes out and says so.",
    )
    .option("--json", "print one JSON object a line")
    .addHelpText(
      "after",
      examples("mycel tail --type echo", "mycel tail --state failed,timed_out --json | jq .change.taskId"),
    )
    .action(async (flags: TailFlags, command: Command) => {
      await using client = openClient(command);
      const line = createChangeLines(context.out);
      for await (const event of client.watchTasks(taskFilterOf(flags), { signal: context.interrupted })) {
        if (event.kind === "begun") await note(context, "watching; Ctrl-C ends it");
        else if (flags.json === true) await context.out.line(jsonLine(jsonOfEvent(event)));
        else if (event.kind === "change") await context.out.line(line(event.state, event.task));
        else await context.out.line(context.out.colors.yellow(missedLine(event.count)));
      }
    });
}

function missedLine(count: number | undefined): string {
  if (count === undefined) return "the connection was interrupted: changes may be missing here";
  return count === 1
    ? "1 change is missing here"
    : `${count} changes are missing here: there is more than can be shown`;
}

function jsonOfEvent(event: Exclude<TaskWatchEvent, { kind: "begun" }>): unknown {
  const unknown = create(WatchTasksResponseSchema, { kind: { case: "missed", value: {} } });
  return jsonOf(WatchTasksResponseSchema, event.message ?? unknown);
}

async function note({ err }: CliContext, text: string): Promise<void> {
  if (err.isTerminal) await err.line(err.colors.dim(text));
}
