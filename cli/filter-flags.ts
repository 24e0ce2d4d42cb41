// The options by which commands choose tasks, and what they mean to the client.
import type { Command } from "commander";
import { TASK_STATES, type TaskState } from "../lib/core/task-state.ts";
import type { TaskFilterOptions } from "../sdk/client/index.ts";
import { labelOption, repeatedOption, wordsOption } from "./option-values.ts";

/** The values of {@link withTaskFilter}'s options. */
export interface TaskFilterFlags {
  readonly state?: readonly TaskState[];
  readonly type?: readonly string[];
  readonly queue?: string;
  readonly agent?: string;
  readonly label?: Readonly<Record<string, string>>;
}

/** Adds the options by which tasks are chosen. */
export function withTaskFilter(command: Command): Command {
  return command
    .option("--state <states>", `only in these, of ${TASK_STATES.join(", ")}`, wordsOption(TASK_STATES))
    .option("--type <type>", "only of this type; may be repeated", repeatedOption)
    .option("--queue <queue>", "only in this queue")
    .option("--agent <id>", "only last run by this agent")
    .option("--label <key=value>", "only with this label; may be repeated", labelOption);
}

/** The filter that the options stand for. */
export function taskFilterOf(flags: TaskFilterFlags): TaskFilterOptions {
  return {
    ...(flags.state === undefined ? {} : { states: flags.state }),
    ...(flags.type === undefined ? {} : { types: flags.type }),
    ...(flags.queue === undefined ? {} : { queue: flags.queue }),
    ...(flags.agent === undefined ? {} : { agentId: flags.agent }),
    ...(flags.label === undefined ? {} : { labels: flags.label }),
  };
}
