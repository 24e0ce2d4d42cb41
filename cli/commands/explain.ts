// `mycel explain`: why a task is where it is.
import { Command } from "commander";
import {
  ExplanationCode,
  type ExplanationDeadline,
  ExplanationDeadlineKind,
  TaskExplanationSchema,
} from "../../gen/mycel/v1/task_explanation_pb.ts";
import { type CliContext, examples, openClient } from "../context.ts";
import { jsonDocument, jsonOf } from "../output/json.ts";
import { renderFacts } from "../output/table.ts";
import { dateOf, paintState, priorityWord, stateWord } from "../output/task-view.ts";
import { harmless, type Terminal } from "../output/terminal.ts";

const DEADLINES: Readonly<Record<ExplanationDeadlineKind, string>> = {
  [ExplanationDeadlineKind.UNSPECIFIED]: "time limit",
  [ExplanationDeadlineKind.SCHEDULE_TO_START]: "start",
  [ExplanationDeadlineKind.START_TO_CLOSE]: "end of the attempt",
  [ExplanationDeadlineKind.SCHEDULE_TO_CLOSE]: "end of the task",
};

/** Reasons that somebody can do something about. */
const TROUBLE: ReadonlySet<ExplanationCode> = new Set([
  ExplanationCode.NO_CAPABLE_AGENT,
  ExplanationCode.QUEUE_PAUSED,
  ExplanationCode.AGENT_LOST,
]);

/** The command. */
export function explainCommand(context: CliContext): Command {
  return new Command("explain")
    .summary("why a task is where it is")
    .description(
      "Say why a task is where it is: what it waits for, who is at work, or how it ended, and which time limit passes next.",
    )
    .argument("<task>", "the task's id")
    .option("--json", "print JSON")
    .addHelpText("after", examples("mycel explain t-1", "mycel explain t-1 --json | jq -r '.reasons[].code'"))
    .action(async (taskId: string, flags: { readonly json?: boolean }, command: Command) => {
      await using client = openClient(command);
      const explanation = await client.explain(taskId, { signal: context.interrupted });
      const { out } = context;
      if (flags.json === true) return await out.line(jsonDocument(jsonOf(TaskExplanationSchema, explanation)));
      const state = stateWord(explanation.status);
      await out.line(
        renderFacts(out, [
          ["task", harmless(taskId)],
          ["state", paintState(out, state, state)],
          ["queue", `${harmless(explanation.queue)}, ${priorityWord(explanation.priority)} priority`],
          ...explanation.reasons.map(({ code, message }, i): [string, string] => {
            const text = harmless(message);
            return [i === 0 ? "because" : "and", TROUBLE.has(code) ? out.colors.yellow(text) : text];
          }),
          ["limit", explanation.nextDeadline === undefined ? "" : deadlineLine(out, explanation.nextDeadline)],
        ]),
      );
    });
}

function deadlineLine(out: Terminal, { kind, deadlineTime, endsTask }: ExplanationDeadline): string {
  const then = endsTask ? "the task ends" : "another attempt follows";
  return `${DEADLINES[kind]} ${out.time(dateOf(deadlineTime))}, else ${then}`;
}
