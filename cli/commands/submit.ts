// `mycel submit`: hands in one task and, if wanted, stays until it has ended.
import { Command, Option } from "commander";
import { SubmitTaskResponseSchema } from "../../gen/mycel/v1/agent_service_pb.ts";
import { TaskSchema } from "../../gen/mycel/v1/task_pb.ts";
import { create } from "@bufbuild/protobuf";
import { PayloadSchema } from "../../gen/mycel/v1/payload_pb.ts";
import {
  type MycelClient,
  MycelError,
  type PriorityName,
  type TaskOptions,
  type TaskRun,
} from "../../sdk/client/index.ts";
import { type CliContext, examples, noticeBreaks, openClient } from "../context.ts";
import { formatDuration } from "../duration.ts";
import { Failed, UsageError } from "../failure.ts";
import { parseJson, readArgument } from "../input.ts";
import { countOption, durationOption, labelOption } from "../option-values.ts";
import { jsonDocument, jsonOf } from "../output/json.ts";
import { valueLine } from "../output/task-view.ts";
import { printEvents } from "./follow.ts";

interface SubmitFlags {
  readonly stream?: boolean;
  readonly wait?: boolean;
  readonly json?: boolean;
  readonly bytes?: string;
  readonly id?: string;
  readonly requestId?: string;
  readonly priority?: PriorityName;
  readonly queue?: string;
  readonly label?: Readonly<Record<string, string>>;
  readonly delay?: number;
  readonly startToClose?: number;
  readonly scheduleToClose?: number;
  readonly maxAttempts?: number;
  readonly resultTtl?: number;
  readonly webhook?: string;
  readonly webhookAllStates?: boolean;
  readonly timeout?: number;
}

/** The command. */
export function submitCommand(context: CliContext): Command {
  return new Command("submit")
    .summary("submit a task")
    .description(
      "Submit a task. Prints its id; with --wait its result, with --stream its events. Exits with 1 if you stayed and it ended badly.",
    )
    .argument("<type>", "the kind of work, e.g. echo")
    .argument("[input]", "JSON, @file to read it from a file, or - for stdin")
    .addOption(new Option("--stream", "print what becomes of it until it has ended").conflicts("wait"))
    .option("--wait", "wait until it has ended and print its result")
    .option("--timeout <duration>", "how long to stay with --stream or --wait, e.g. 2m", durationOption)
    .option("--id <id>", "the task's id; submitting it again is safe")
    .option("--request-id <id>", "makes a repeated submission the same task")
    .addOption(new Option("--priority <priority>", "who goes first").choices(["low", "normal", "high", "critical"]))
    .option("--queue <queue>", "the queue to wait in (default: the type)")
    .option("--label <key=value>", "a label; may be repeated", labelOption)
    .option("--delay <duration>", "start not before this long from now", durationOption)
    .option("--start-to-close <duration>", "the limit of one attempt (default: 30s)", durationOption)
    .option("--schedule-to-close <duration>", "the limit of the whole task", durationOption)
    .option("--max-attempts <n>", "how many attempts in all (default: 3)", countOption)
    .option("--result-ttl <duration>", "how long to keep it after its end (default: 24h)", durationOption)
    .option("--webhook <endpoint>", "deliver its end to this webhook endpoint")
    .option("--webhook-all-states", "deliver each of its states, not its end alone")
    .option("--bytes <media-type>", "send the input as bytes of this type, not as JSON")
    .option("--json", "print JSON")
    .addHelpText(
      "after",
      examples(
        `mycel submit echo '{"message":"hello"}' --wait`,
        "mycel submit code-analysis @files.json --stream --label team=search",
      ),
    )
    .action(async (type: string, argument: string | undefined, flags: SubmitFlags, command: Command) => {
      const stays = flags.wait === true || flags.stream === true;
      if (flags.timeout !== undefined && !stays) throw new UsageError("--timeout needs --wait or --stream");
      if (flags.webhookAllStates === true && flags.webhook === undefined)
        throw new UsageError("--webhook-all-states needs --webhook");
      const input = await inputOf(context, argument, flags);
      await using client = openClient(command, { logger: noticeBreaks(context) });
      if (!stays) return await submitOnly(context, client, type, input, flags);
      const limit = flags.timeout === undefined ? new AbortController().signal : AbortSignal.timeout(flags.timeout);
      const run = client.run(type, input, {
        ...taskOptions(flags),
        signal: AbortSignal.any([context.interrupted, limit]),
        ...(flags.wait === true ? { kinds: ["state"] } : {}),
      });
      let taskId: string | undefined;
      run.submitted.then(
        (submitted) => (taskId = submitted.taskId),
        () => undefined,
      );
      try {
        await stay(context, client, run, flags);
      } catch (error) {
        const left = context.interrupted.aborted;
        if (!(left || limit.aborted) || !(error instanceof MycelError)) throw error;
        const goesOn = taskId === undefined ? "" : `task ${taskId} goes on; follow it with: mycel watch ${taskId}`;
        if (left) {
          if (goesOn !== "") await context.err.line(goesOn);
          throw error;
        }
        const within = `within ${formatDuration(flags.timeout ?? 0)}`;
        throw new Failed(goesOn === "" ? `not submitted ${within}` : `no end ${within}: ${goesOn}`);
      }
    });
}

async function stay(context: CliContext, client: MycelClient, run: TaskRun, flags: SubmitFlags): Promise<void> {
  if (flags.stream === true) return await printEvents(context, run, flags.json === true);
  const result = await run.result();
  if (flags.json !== true) return await printResult(context, result);
  const { taskId } = await run.submitted;
  await context.out.line(jsonDocument(jsonOf(TaskSchema, await client.get(taskId))));
}

async function submitOnly(
  context: CliContext,
  client: MycelClient,
  type: string,
  input: unknown,
  flags: SubmitFlags,
): Promise<void> {
  const { taskId, status, existing } = await client.submit(type, input, {
    ...taskOptions(flags),
    signal: context.interrupted,
  });
  if (flags.json === true) {
    const response = create(SubmitTaskResponseSchema, { taskId, status, existing });
    return await context.out.line(jsonDocument(jsonOf(SubmitTaskResponseSchema, response)));
  }
  // Only the id, so that `id=$(mycel submit …)` works.
  await context.out.line(taskId);
  if (!context.err.isTerminal) return;
  const note = existing ? "It had been submitted before. " : "";
  await context.err.line(context.err.colors.dim(`${note}Follow it with: mycel watch ${taskId}`));
}

async function inputOf(context: CliContext, argument: string | undefined, flags: SubmitFlags): Promise<unknown> {
  if (argument === undefined) return undefined;
  const content = await readArgument(argument, context.stdin);
  if (flags.bytes === undefined) return parseJson(content, argument);
  const data = new Uint8Array(content);
  return create(PayloadSchema, { kind: { case: "bytes", value: { contentType: flags.bytes, data } } });
}

function taskOptions(flags: SubmitFlags): TaskOptions {
  return {
    ...(flags.id === undefined ? {} : { taskId: flags.id }),
    ...(flags.requestId === undefined ? {} : { requestId: flags.requestId }),
    ...(flags.priority === undefined ? {} : { priority: flags.priority }),
    ...(flags.queue === undefined ? {} : { queue: flags.queue }),
    ...(flags.label === undefined ? {} : { labels: flags.label }),
    ...(flags.delay === undefined ? {} : { delayMs: flags.delay }),
    ...(flags.startToClose === undefined ? {} : { startToCloseMs: flags.startToClose }),
    ...(flags.scheduleToClose === undefined ? {} : { scheduleToCloseMs: flags.scheduleToClose }),
    ...(flags.maxAttempts === undefined ? {} : { retry: { maximumAttempts: flags.maxAttempts } }),
    ...(flags.resultTtl === undefined ? {} : { resultTtlMs: flags.resultTtl }),
    ...(flags.webhook === undefined
      ? {}
      : { webhook: { endpointId: flags.webhook, allStates: flags.webhookAllStates === true } }),
  };
}

async function printResult({ out }: CliContext, result: unknown): Promise<void> {
  if (result === undefined) return;
  if (!(result instanceof Uint8Array)) {
    // JSON escapes control characters by itself.
    return await out.line(out.isTerminal ? jsonDocument(result) : JSON.stringify(result));
  }
  if (out.isTerminal) await out.line(valueLine(result));
  else await out.bytes(result);
}
