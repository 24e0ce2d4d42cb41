// Prints the events of a task as they come, for `submit --stream` and `watch`.
import { StreamResultsResponseSchema } from "../../gen/mycel/v1/agent_service_pb.ts";
import { type TaskEvent, MycelError } from "../../sdk/client/index.ts";
import type { CliContext } from "../context.ts";
import { Failed } from "../failure.ts";
import { eventLine } from "../output/event-line.ts";
import { jsonLine, jsonOf } from "../output/json.ts";
import { isBadEnd } from "../output/task-view.ts";

/** Prints events until the task has ended. Throws Failed (everything is said already) when it ended badly. */
export async function printEvents(context: CliContext, events: AsyncIterable<TaskEvent>, json: boolean): Promise<void> {
  let last: TaskEvent | undefined;
  let taskId = "";
  try {
    for await (const event of events) {
      last = event;
      if (event.kind === "snapshot") taskId = event.status.taskId;
      await context.out.line(
        json ? jsonLine(jsonOf(StreamResultsResponseSchema, event.message)) : eventLine(context.out, event),
      );
    }
  } catch (error) {
    if (last !== undefined && context.err.isTerminal && error instanceof MycelError) {
      const resume = `mycel watch ${taskId} --cursor ${last.cursor}`;
      await context.err.line(context.err.colors.dim(`The task goes on. Resume with: ${resume}`));
    }
    throw error;
  }
  const state = last?.kind === "snapshot" || last?.kind === "state" ? last.state : undefined;
  if (state !== undefined && isBadEnd(state)) throw new Failed();
}
