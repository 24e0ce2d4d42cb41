// `mycel queue`: the queues, and what an operator does with them.
import { create } from "@bufbuild/protobuf";
import { Command, InvalidArgumentError } from "commander";
import { type Queue, QueueSchema } from "../../gen/mycel/v1/queue_pb.ts";
import { type PauseQueueRequest, PurgeQueueResponseSchema } from "../../gen/mycel/v1/queue_service_pb.ts";
import type { TaskState } from "../../lib/core/task-state.ts";
import { priorityToWire, stateToWire } from "../../lib/wire/state-codec.ts";
import { durationFromMs, timestampFromMs } from "../../lib/wire/time-codec.ts";
import { type CliContext, examples, openClient } from "../context.ts";
import { UsageError } from "../failure.ts";
import { countOption, durationOption, repeatedOption, wordsOption } from "../option-values.ts";
import { jsonDocument, jsonOf } from "../output/json.ts";
import { laneTable, queueFacts, queueTable } from "../output/queue-view.ts";
import { renderFacts } from "../output/table.ts";

const STATES: readonly TaskState[] = ["submitted", "scheduled", "backing_off"];
const PRIORITIES = { low: 1, normal: 5, high: 10, critical: 15 } as const;
type PriorityWord = keyof typeof PRIORITIES;
const PRIORITY_WORDS: readonly PriorityWord[] = ["low", "normal", "high", "critical"];

/** How many tasks one call ends at most: it answers long before its time is over, and a person sees it go on. */
const PURGE_STEP = 2_000;

interface JsonFlag {
  readonly json?: boolean;
}

/** The command, with one below it for each thing to do. */
export function queueCommand(context: CliContext): Command {
  return new Command("queue")
    .summary("the queues: list, show, pause, resume, purge")
    .description("Show the queues in which tasks wait, and stop, restart and empty them.")
    .helpCommand("help [command]", "print help for a command")
    .addHelpText("after", examples("mycel queue list", "mycel queue pause echo --for 10m --reason deploy"))
    .addCommand(listCommand(context))
    .addCommand(showCommand(context))
    .addCommand(pauseCommand(context))
    .addCommand(resumeCommand(context))
    .addCommand(purgeCommand(context));
}

function listCommand(context: CliContext): Command {
  return new Command("list")
    .summary("all queues")
    .description("List the queues with what waits, what is out, and who pulls from them.")
    .option("--json", "print JSON")
    .addHelpText("after", examples("mycel queue list", "mycel queue list --json | jq '.queues[] | select(.pause)'"))
    .action(async (flags: JsonFlag, command: Command) => {
      await using client = openClient(command);
      const options = { signal: context.interrupted };
      const queues: Queue[] = [];
      for (let pageToken = ""; ;) {
        const page = await client.queues.listQueues({ pageSize: 1_000, pageToken }, options);
        queues.push(...page.queues);
        pageToken = page.nextPageToken;
        if (pageToken === "") break;
      }
      if (flags.json === true) {
        return await context.out.line(jsonDocument({ queues: queues.map((queue) => jsonOf(QueueSchema, queue)) }));
      }
      if (queues.length === 0) return await context.err.line("there are no queues yet");
      await context.out.line(queueTable(context.out, queues));
    });
}

function showCommand(context: CliContext): Command {
  return new Command("show")
    .summary("one queue by priority")
    .description("Show one queue: whether it is paused, who pulls from it, and what waits at each priority.")
    .argument("<queue>", "the queue")
    .option("--json", "print JSON")
    .addHelpText("after", examples("mycel queue show echo"))
    .action(async (name: string, flags: JsonFlag, command: Command) => {
      await using client = openClient(command);
      const { queue } = await client.queues.getQueue({ queue: name }, { signal: context.interrupted });
      if (queue === undefined) return;
      if (flags.json === true) return await context.out.line(jsonDocument(jsonOf(QueueSchema, queue)));
      await context.out.line(renderFacts(context.out, queueFacts(context.out, queue)));
      await context.out.line();
      await context.out.line(laneTable(context.out, queue));
    });
}

function pauseCommand(context: CliContext): Command {
  return new Command("pause")
    .summary("give nothing more out of a queue")
    .description(
      "Pause a queue: submissions are accepted and attempts at work go on, but agents get nothing more until it is resumed. " +
        "Deadlines of waiting tasks go on. Pausing again sets the end and the reason anew.",
    )
    .argument("<queue>", "the queue")
    .option("--for <duration>", "resume by itself after so long, at most 30d", durationOption)
    .option("--until <time>", "resume by itself at this time, e.g. 2030-01-31T18:00:00Z", timeOption)
    .option("--reason <text>", "why, for whoever asks why a task waits")
    .option("--json", "print JSON")
    .addHelpText("after", examples("mycel queue pause echo --reason deploy", "mycel queue pause echo --for 10m"))
    .action(
      async (
        name: string,
        flags: JsonFlag & { readonly for?: number; readonly until?: number; readonly reason?: string },
        command: Command,
      ) => {
        if (flags.for !== undefined && flags.until !== undefined)
          throw new UsageError("give --for or --until, not both");
        await using client = openClient(command);
        const request = { queue: name, reason: flags.reason ?? "", end: endOf(flags) };
        const { queue } = await client.queues.pauseQueue(request, { signal: context.interrupted });
        if (queue !== undefined) await printQueue(context, queue, flags);
      },
    );
}

function resumeCommand(context: CliContext): Command {
  return new Command("resume")
    .summary("end a queue's pause")
    .description("End a queue's pause: agents that wait for work get it at once.")
    .argument("<queue>", "the queue")
    .option("--json", "print JSON")
    .addHelpText("after", examples("mycel queue resume echo"))
    .action(async (name: string, flags: JsonFlag, command: Command) => {
      await using client = openClient(command);
      const { queue } = await client.queues.resumeQueue({ queue: name }, { signal: context.interrupted });
      if (queue !== undefined) await printQueue(context, queue, flags);
    });
}

interface PurgeFlags extends JsonFlag {
  readonly type?: readonly string[];
  readonly priority?: readonly PriorityWord[];
  readonly state?: readonly TaskState[];
  readonly reason?: string;
  readonly limit?: number;
}

function purgeCommand(context: CliContext): Command {
  return new Command("purge")
    .summary("cancel what waits in a queue")
    .description(
      "Cancel the tasks of a queue that wait: for an agent, for their start time, or for their next attempt. Tasks at work are left " +
        "alone. Prints how many were canceled.",
    )
    .argument("<queue>", "the queue")
    .option("--type <type>", "only of this type; may be repeated", repeatedOption)
    .option("--priority <priorities>", `only of these, of ${PRIORITY_WORDS.join(", ")}`, wordsOption(PRIORITY_WORDS))
    .option("--state <states>", `only in these, of ${STATES.join(", ")}`, wordsOption(STATES))
    .option("--reason <text>", "why, for whoever looks at the tasks")
    .option("--limit <n>", "how many at most; all if left out", countOption)
    .option("--json", "print JSON")
    .addHelpText(
      "after",
      examples(
        'mycel queue purge echo --reason "wrong input"',
        "mycel queue purge echo --state scheduled --priority low",
      ),
    )
    .action(async (name: string, flags: PurgeFlags, command: Command) => {
      await using client = openClient(command);
      const wanted = {
        queue: name,
        types: [...(flags.type ?? [])],
        priorities: (flags.priority ?? []).map((word) => priorityToWire(PRIORITIES[word])),
        states: (flags.state ?? []).map(stateToWire),
        reason: flags.reason ?? "",
      };
      let purged = 0;
      let remaining = 0n;
      for (;;) {
        const limit = Math.min(PURGE_STEP, (flags.limit ?? Infinity) - purged);
        const asked = client.queues.purgeQueue({ ...wanted, limit }, { signal: context.interrupted });
        const answer = await asked.catch(async (error: unknown) => {
          if (purged > 0) await context.err.line(`${purged} canceled before this went wrong`);
          throw error;
        });
        purged += Number(answer.purgedCount);
        remaining = answer.remainingCount;
        if (remaining === 0n || answer.purgedCount === 0n || purged >= (flags.limit ?? Infinity)) break;
        if (context.err.isTerminal) await context.err.line(context.err.colors.dim(`${purged} canceled so far`));
      }
      if (flags.json === true) {
        const sum = create(PurgeQueueResponseSchema, { purgedCount: BigInt(purged), remainingCount: remaining });
        return await context.out.line(jsonDocument(jsonOf(PurgeQueueResponseSchema, sum)));
      }
      const left = remaining > 0n ? `; at least ${remaining} left` : "";
      await context.out.line(`${purged} ${purged === 1 ? "task" : "tasks"} canceled${left}`);
    });
}

/** When a pause ends, as the contract wants to be told. */
function endOf(flags: { readonly for?: number; readonly until?: number }): PauseQueueRequest["end"] {
  if (flags.for !== undefined) return { case: "duration", value: durationFromMs(flags.for) };
  return flags.until === undefined ? { case: undefined } : { case: "untilTime", value: timestampFromMs(flags.until) };
}

function timeOption(text: string): number {
  const ms = Date.parse(text);
  // What has no date in front is read by every machine in another way.
  if (/^\d{4}-\d{2}-\d{2}T/.test(text) && !Number.isNaN(ms)) return ms;
  throw new InvalidArgumentError("Write a time like 2030-01-31T18:00:00Z.");
}

async function printQueue({ out }: CliContext, queue: Queue, flags: JsonFlag): Promise<void> {
  await out.line(
    flags.json === true ? jsonDocument(jsonOf(QueueSchema, queue)) : renderFacts(out, queueFacts(out, queue)),
  );
}
