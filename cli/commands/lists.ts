// The commands that list: `list`, `count`, `dead-letters`.
import { Command } from "commander";
import { CountTasksResponseSchema, DeadLetterSchema, type DeadLetter } from "../../gen/mycel/v1/agent_service_pb.ts";
import { type Task, TaskSchema } from "../../gen/mycel/v1/task_pb.ts";
import { create } from "@bufbuild/protobuf";
import { TASK_STATES } from "../../lib/core/task-state.ts";
import { stateToWire } from "../../lib/wire/state-codec.ts";
import { timestampFromMs } from "../../lib/wire/time-codec.ts";
import type { TaskFilterOptions } from "../../sdk/client/index.ts";
import { type CliContext, examples, openClient } from "../context.ts";
import { type TaskFilterFlags, taskFilterOf, withTaskFilter } from "../filter-flags.ts";
import { countOption, durationOption } from "../option-values.ts";
import { jsonDocument, jsonOf } from "../output/json.ts";
import { type Column, renderTable } from "../output/table.ts";
import { dateOf, paintState, stateWord } from "../output/task-view.ts";

const DEFAULT_LIMIT = 20;
// Ids are there to be copied: one that the mesh made is never cut.
const ID_WIDTH = 34;

interface FilterFlags extends TaskFilterFlags {
  readonly since?: number;
  readonly json?: boolean;
}

type LimitFlag = { readonly limit: number };

/** `mycel list`. */
export function listCommand(context: CliContext): Command {
  return withFilter(new Command("list").summary("tasks, newest first"))
    .description("List tasks, newest first. The list may lag behind by a second.")
    .option("--limit <n>", "how many at most", countOption, DEFAULT_LIMIT)
    .addHelpText(
      "after",
      examples("mycel list --state failed,timed_out --since 1h", "mycel list --label team=search --json"),
    )
    .action(async (flags: FilterFlags & LimitFlag, command: Command) => {
      await using client = openClient(command);
      const pageSize = Math.min(flags.limit + 1, 1000);
      const tasks = await take(client.list(filterOf(flags), { pageSize, signal: context.interrupted }), flags.limit);
      if (flags.json === true) {
        return await context.out.line(
          jsonDocument({ tasks: tasks.items.map((task) => jsonOf(TaskSchema, task)), more: tasks.more }),
        );
      }
      await printTable(context, taskColumns(context), tasks, "no tasks");
    });
}

/** `mycel count`. */
export function countCommand(context: CliContext): Command {
  return withFilter(new Command("count").summary("how many tasks are in which state"))
    .description("Count tasks by state. The counts may lag behind by a second.")
    .addHelpText("after", examples("mycel count", "mycel count --type echo --since 1d"))
    .action(async (flags: FilterFlags, command: Command) => {
      await using client = openClient(command);
      const { total, byState, asOf } = await client.count(filterOf(flags), { signal: context.interrupted });
      if (flags.json === true) {
        const counts = [...byState].map(([state, count]) => ({ state: stateToWire(state), taskCount: BigInt(count) }));
        const asOfTime = asOf === undefined ? {} : { asOfTime: timestampFromMs(asOf.getTime()) };
        const response = create(CountTasksResponseSchema, { counts, totalCount: BigInt(total), ...asOfTime });
        return await context.out.line(jsonDocument(jsonOf(CountTasksResponseSchema, response)));
      }
      const rows: { state: string; count: number }[] = [
        ...TASK_STATES.flatMap((state) => [{ state, count: byState.get(state) ?? 0 }]),
        { state: "total", count: total },
      ];
      const columns: Column<(typeof rows)[number]>[] = [
        {
          head: "STATE",
          value: ({ state }) => state,
          paint: (text, { state }) => paintState(context.out, text, state),
        },
        { head: "TASKS", value: ({ count }) => String(count).padStart(5) },
      ];
      await context.out.line(
        renderTable(
          context.out,
          columns,
          rows.filter(({ state, count }) => count > 0 || state === "total"),
        ),
      );
    });
}

/** `mycel dead-letters`. */
export function deadLettersCommand(context: CliContext): Command {
  return withFilter(new Command("dead-letters").summary("tasks that failed for good"))
    .description("List the tasks that failed for good and were not submitted again, newest failure first.")
    .option("--all", "also those that were submitted again")
    .option("--limit <n>", "how many at most", countOption, DEFAULT_LIMIT)
    .addHelpText(
      "after",
      examples("mycel dead-letters --type echo", "mycel dead-letters --json | jq -r '.deadLetters[].task.taskId'"),
    )
    .action(async (flags: FilterFlags & LimitFlag & { readonly all?: boolean }, command: Command) => {
      await using client = openClient(command);
      const pageSize = Math.min(flags.limit + 1, 1000);
      const filter = { ...filterOf(flags), includeRedriven: flags.all === true };
      const dead = await take(client.deadLetters(filter, { pageSize, signal: context.interrupted }), flags.limit);
      if (flags.json === true) {
        const deadLetters = dead.items.map((letter) => jsonOf(DeadLetterSchema, letter));
        return await context.out.line(jsonDocument({ deadLetters, more: dead.more }));
      }
      await printTable(context, deadLetterColumns(context), dead, "no dead letters");
    });
}

function withFilter(command: Command): Command {
  return withTaskFilter(command)
    .option("--since <duration>", "only created so long ago or later, e.g. 1h", durationOption)
    .option("--json", "print JSON");
}

function filterOf({ since, ...flags }: FilterFlags): TaskFilterOptions {
  return { ...taskFilterOf(flags), ...(since === undefined ? {} : { createdFrom: new Date(Date.now() - since) }) };
}

interface Taken<Item> {
  readonly items: readonly Item[];
  readonly more: boolean;
}

async function take<Item>(source: AsyncIterable<Item>, limit: number): Promise<Taken<Item>> {
  const items: Item[] = [];
  for await (const item of source) {
    if (items.length === limit) return { items, more: true };
    items.push(item);
  }
  return { items, more: false };
}

async function printTable<Row>(
  context: CliContext,
  columns: readonly Column<Row>[],
  { items, more }: Taken<Row>,
  none: string,
): Promise<void> {
  if (items.length === 0) return await context.err.line(none);
  await context.out.line(renderTable(context.out, columns, items));
  if (more) await context.err.line(`There are more than these ${items.length}; see further with --limit`);
}

function taskColumns({ out }: CliContext): Column<Task>[] {
  return [
    { head: "TASK", value: ({ taskId }) => taskId, minimum: ID_WIDTH },
    { head: "TYPE", value: ({ type }) => type, minimum: 8 },
    {
      head: "STATE",
      value: ({ status }) => stateWord(status),
      paint: (text, { status }) => paintState(out, text, stateWord(status)),
    },
    { head: "TRY", value: ({ status }) => `${status?.attempt ?? 0}/${status?.maximumAttempts ?? 0}` },
    { head: "AGENT", value: ({ status }) => status?.agentId ?? "", minimum: 6 },
    { head: "CREATED", value: ({ createTime }) => out.time(dateOf(createTime)) },
  ];
}

function deadLetterColumns({ out }: CliContext): Column<DeadLetter>[] {
  return [
    { head: "TASK", value: ({ task }) => task?.taskId ?? "", minimum: ID_WIDTH },
    { head: "TYPE", value: ({ task }) => task?.type ?? "", minimum: 8 },
    { head: "FAILED", value: ({ task }) => out.time(dateOf(task?.status?.endTime)) },
    {
      head: "REASON",
      value: ({ task }) => task?.status?.failure?.reason ?? "",
      minimum: 12,
      paint: (text) => out.colors.red(text),
    },
    { head: "MESSAGE", value: ({ task }) => task?.status?.failure?.message ?? "", minimum: 10 },
    { head: "AGAIN AS", value: ({ redrivenBy }) => redrivenBy, minimum: 8 },
  ];
}
