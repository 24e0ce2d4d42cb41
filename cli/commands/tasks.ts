// The commands about one task: `status`, which shows the whole mesh if none is named, `get`, `watch`, `cancel`, `retry`.
import { create } from "@bufbuild/protobuf";
import { Command } from "commander";
import { RetryTaskResponseSchema } from "../../gen/mycel/v1/agent_service_pb.ts";
import { TaskSchema, TaskStatusSchema, type TaskStatus } from "../../gen/mycel/v1/task_pb.ts";
import { type EventKind, MycelError } from "../../sdk/client/index.ts";
import { type CliContext, examples, noticeBreaks, openClient } from "../context.ts";
import { Failed, UsageError } from "../failure.ts";
import { durationOption, wordsOption } from "../option-values.ts";
import { jsonDocument, jsonOf } from "../output/json.ts";
import { renderFacts } from "../output/table.ts";
import { priorityWord, stateWord, statusFacts, valueLine } from "../output/task-view.ts";
import { harmless } from "../output/terminal.ts";
import { showMesh } from "../status/mesh-status.ts";
import { printEvents } from "./follow.ts";

const KINDS: readonly EventKind[] = ["state", "chunk", "progress", "log"];

interface JsonFlag {
  readonly json?: boolean;
}

type StatusFlags = JsonFlag & { readonly wait?: number };

/** `mycel status`. */
export function statusCommand(context: CliContext): Command {
  return new Command("status")
    .summary("the mesh at a glance, or how far a task is")
    .description(
      "Show the mesh at a glance: coordinators, agents, open tasks, queues, dead letters, rates. Exits with 1 if no coordinator serves. " +
        "With a task, show how far it is; with --wait, stay until it has ended, and exit with 1 if it then ended badly or has not ended.",
    )
    .argument("[task]", "the task's id")
    .option("--wait <duration>", "stay until the task has ended, at most so long", durationOption)
    .option("--json", "print JSON")
    .addHelpText("after", examples("mycel status", "mycel status t-1", "mycel status t-1 --wait 30s --json"))
    .action(async (taskId: string | undefined, flags: StatusFlags, command: Command) => {
      if (taskId !== undefined) return await showTask(context, command, taskId, flags);
      if (flags.wait !== undefined) throw new UsageError("--wait needs a task");
      await showMesh(context, command, flags.json === true);
    });
}

async function showTask(context: CliContext, command: Command, taskId: string, flags: StatusFlags): Promise<void> {
  await using client = openClient(command);
  const signal = context.interrupted;
  let ended = true;
  if (flags.wait !== undefined) {
    ended = await client.outcome(taskId, { timeoutMs: flags.wait, signal }).then(
      () => true,
      (error: unknown) => {
        if (error instanceof MycelError && error.reason === "WAIT_TIMEOUT") return false;
        throw error;
      },
    );
  }
  const status = await client.status(taskId, { signal });
  await printStatus(context, status, flags);
  if (flags.wait !== undefined && (!ended || stateWord(status) !== "completed")) throw new Failed();
}

/** `mycel get`. */
export function getCommand(context: CliContext): Command {
  return new Command("get")
    .summary("a task with its input and result")
    .description("Show a task with its input and result.")
    .argument("<task>", "the task's id")
    .option("--json", "print JSON")
    .addHelpText("after", examples("mycel get t-1", "mycel get t-1 --json | jq .result.json"))
    .action(async (taskId: string, flags: JsonFlag, command: Command) => {
      await using client = openClient(command);
      const task = await client.get(taskId, { signal: context.interrupted });
      if (flags.json === true) return await context.out.line(jsonDocument(jsonOf(TaskSchema, task)));
      const [first, ...others] = task.status === undefined ? [] : statusFacts(context.out, task.status);
      const labels = Object.entries(task.labels).map(([key, value]) => `${key}=${value}`);
      const signal = context.interrupted;
      await context.out.line(
        renderFacts(context.out, [
          first ?? ["task", task.taskId],
          ["type", harmless(task.type)],
          ["queue", harmless(task.queue)],
          ["priority", priorityWord(task.priority)],
          ["labels", harmless(labels.join(" "))],
          ...others,
          ["redrive of", task.redriveOf],
          ["input", valueLine(await client.value(task.input, { signal }))],
          ["result", valueLine(await client.value(task.result, { signal }))],
        ]),
      );
    });
}

/** `mycel watch`. */
export function watchCommand(context: CliContext): Command {
  return new Command("watch")
    .summary("what becomes of a task, live")
    .description(
      "Print what becomes of a task until it has ended: states, partial results, progress and logs, from its start or from a cursor. " +
        "Survives lost connections. Exits with 1 if the task ended badly.",
    )
    .argument("<task>", "the task's id")
    .option("--cursor <cursor>", "go on after this event")
    .option("--kinds <kinds>", `only these, of ${KINDS.join(",")}`, wordsOption(KINDS))
    .option("--json", "print one JSON object a line")
    .addHelpText("after", examples("mycel watch t-1", "mycel watch t-1 --kinds chunk --json | jq .output.output.chunk"))
    .action(
      async (
        taskId: string,
        flags: JsonFlag & { readonly cursor?: string; readonly kinds?: readonly EventKind[] },
        command: Command,
      ) => {
        await using client = openClient(command, { logger: noticeBreaks(context) });
        const { cursor, kinds, json } = flags;
        const signal = context.interrupted;
        const options = {
          ...(cursor === undefined ? {} : { cursor }),
          ...(kinds === undefined ? {} : { kinds }),
          signal,
        };
        await printEvents(context, client.watch(taskId, options), json === true);
      },
    );
}

/** `mycel cancel`. */
export function cancelCommand(context: CliContext): Command {
  return new Command("cancel")
    .summary("cancel a task")
    .description("Cancel a task that has not ended. A handler at work is told within moments.")
    .argument("<task>", "the task's id")
    .option("--reason <text>", "why, for the handler and for people")
    .option("--json", "print JSON")
    .addHelpText("after", examples('mycel cancel t-1 --reason "wrong input"'))
    .action(async (taskId: string, flags: JsonFlag & { readonly reason?: string }, command: Command) => {
      await using client = openClient(command);
      await printStatus(context, await client.cancel(taskId, flags.reason, { signal: context.interrupted }), flags);
    });
}

/** `mycel retry`. */
export function retryCommand(context: CliContext): Command {
  return new Command("retry")
    .summary("submit a dead letter again")
    .description(
      "Submit a task that failed for good again, as a new task. Prints the new task's id. Repeating it gives the same new task.",
    )
    .argument("<task>", "the dead letter's id")
    .option("--request-id <id>", "tells one redrive from another")
    .option("--json", "print JSON")
    .addHelpText("after", examples("mycel retry t-1", "mycel watch $(mycel retry t-1)"))
    .action(async (taskId: string, flags: JsonFlag & { readonly requestId?: string }, command: Command) => {
      await using client = openClient(command);
      const { requestId } = flags;
      const redrive = await client.retry(taskId, {
        ...(requestId === undefined ? {} : { requestId }),
        signal: context.interrupted,
      });
      if (flags.json !== true) return await context.out.line(redrive.task.taskId);
      await context.out.line(jsonDocument(jsonOf(RetryTaskResponseSchema, create(RetryTaskResponseSchema, redrive))));
    });
}

async function printStatus(context: CliContext, status: TaskStatus, flags: JsonFlag): Promise<void> {
  await context.out.line(
    flags.json === true
      ? jsonDocument(jsonOf(TaskStatusSchema, status))
      : renderFacts(context.out, statusFacts(context.out, status)),
  );
}
